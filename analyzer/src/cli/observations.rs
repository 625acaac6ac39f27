//! The options of `flows` and `names`, as typed.

use super::groups::{CaptureArgs, FilterArgs, MaskArgs, OwnersArgs, RangeArgs, SiteOptions};
use super::meant::parse_bytes;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `flows` and `names`.
#[derive(Debug, Args)]
pub struct ObservationArgs {
    /// Segments, pcap and pcapng files, also compressed
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How it is written [default: json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) format: Option<LineFormat>,
    /// The same as --format json
    #[arg(long, conflicts_with_all = ["format", "csv"])]
    pub(super) json: bool,
    /// The same as --format csv
    #[arg(long, conflicts_with = "format")]
    pub(super) csv: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only flows of so many bytes or more: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Days.
    #[command(flatten)]
    pub range: RangeArgs,
    /// Which bytes.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Labels of addresses.
    #[command(flatten)]
    pub owners: OwnersArgs,
    /// What becomes of names.
    #[command(flatten)]
    pub mask: MaskArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

/// How a list of observations is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LineFormat {
    /// One JSON object a line
    #[default]
    Json,
    /// A header, then the rows
    Csv,
    /// Typed columns for data frames, with -o FILE
    Parquet,
    /// A display filter for Wireshark: the addresses and ports of the flows' servers
    DisplayFilter,
}

/// Arguments of `flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// A line for each flow and quarter of an hour, with all that `report` tells rows apart by; by
    /// time, when all was read
    #[arg(long, value_enum, value_name = "LENGTH")]
    pub every: Option<Every>,
    /// Files and output.
    #[command(flatten)]
    pub observations: ObservationArgs,
}

/// Stretches of time that `flows --every` cuts flows into: those that books are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Every {
    /// A quarter of an hour
    #[value(name = "15m")]
    Quarter,
}

/// Arguments of `names`.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// Instead of the names: how many of each kind, what they name, and why the rest has no name
    #[arg(long)]
    pub summary: bool,
    /// Files and output.
    #[command(flatten)]
    pub observations: ObservationArgs,
}
