//! The options of `explain`, as typed.

use super::groups::AskArgs;
use super::meant::parse_bytes;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// An address, a host (www.youtube.com) or a site (youtube.com)
    #[arg(value_name = "ADDRESS|NAME")]
    pub target: String,
    /// Captures and segments to look into [default: the facts that the database knows around that
    /// time]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only an hour before and after this time: 2026-11-22T14:30, or 14:30 of today [default:
    /// today, or all of the files]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to", "within"])]
    pub at: Option<String>,
    /// Only flows of so many bytes or more: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Which bytes, and how the answer is written.
    #[command(flatten)]
    pub asked: AskArgs,
}
