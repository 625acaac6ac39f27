//! The options of `verify`, as typed.

use super::groups::{CaptureArgs, OutputArgs, SiteOptions};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Segments, pcap and pcapng files, also compressed
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Also how often evidence of an age is there, and right, for ages of seconds to days
    #[arg(long)]
    pub curve: bool,
    /// Judge all files as one recording: the pieces of a ring buffer [default: each capture by
    /// itself]
    #[arg(long)]
    pub together: bool,
    /// Instead of the sums the flows themselves: what was booked, by which rule, and what is inside
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "curve")]
    pub flows: Option<Judged>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// Which flows `verify --flows` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Judged {
    /// Booked on another site
    Wrong,
    /// Right by the simplest rules, and not by ours
    Lost,
    /// Not on the right site: booked on another one, or on none
    Missed,
    /// Every flow that carries a name
    All,
}
