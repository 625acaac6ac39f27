//! The options of `site`, as typed.

use super::groups::AskArgs;
use super::meant::parse_bytes;
use crate::report::LedgerShown;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `site`.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// A family (Google), a site (youtube.com), a domain that is part of it (ytimg.com), a host
    /// (www.youtube.com) or an address
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Look into these files and folders only and keep nothing [default: the database, after
    /// ingesting what is new in the spool]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Look into the dataset in this folder, which `export` wrote, and use no database
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "database", "spool"])]
    pub dataset: Option<PathBuf>,
    /// Count traffic inside the local network too
    #[arg(long)]
    pub include_local: bool,
    /// Sum up days with fewer bytes: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// How much of the ledger text shows [default: short on a terminal when all is well, else full]
    #[arg(long, value_enum, value_name = "HOW")]
    pub ledger: Option<LedgerShown>,
    /// Which bytes, and how the answer is written.
    #[command(flatten)]
    pub asked: AskArgs,
}
