//! The options of `report`, as typed.

use super::groups::AskArgs;
use super::meant::{parse_bytes, parse_server};
use crate::question::Key;
use crate::report::LedgerShown;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Report on these files only and keep nothing [default: the database, after ingesting what is
    /// new in the spool]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the rows stand for; several with commas between: site,day [default: site; of a page the
    /// overview]
    #[arg(long, value_enum, value_name = "KEY[,KEY]", value_delimiter = ',')]
    pub by: Vec<Key>,
    /// Only the N largest values of each key, and all of keys that are times; 0 for all [default:
    /// 25 in tables for people, 10 with several keys; 500 on a page with one]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Sum up rows with fewer bytes: 1000, 64KiB, 10MB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "0", hide_default_value = true)]
    pub min: u64,
    /// Give traffic inside the local network rows too
    #[arg(long)]
    pub include_local: bool,
    /// Beside the range another one, largest change first: previous (the one before, as far into it
    /// as now), last-year, or a time as behind --in
    #[arg(long, value_name = "TIME", conflicts_with_all = ["resolve", "compare_with"])]
    pub compare: Option<String>,
    /// Beside the range the same of these files
    #[arg(long, value_name = "FILE", conflicts_with = "resolve")]
    pub compare_with: Vec<PathBuf>,
    /// Report on the dataset in this folder, which `export` wrote, and use no database
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "database", "spool", "compare", "compare_with", "resolve"])]
    pub dataset: Option<PathBuf>,
    /// How much of the ledger text shows [default: short on a terminal when all is well, else full]
    #[arg(long, value_enum, value_name = "HOW")]
    pub ledger: Option<LedgerShown>,
    /// Which bytes, and how the answer is written.
    #[command(flatten)]
    pub asked: AskArgs,
    /// Reverse lookups.
    #[command(flatten)]
    pub resolve: ResolveArgs,
}

/// Whether and how addresses are looked up.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Names")]
pub struct ResolveArgs {
    /// Ask DNS for names of addresses that nothing names: your resolver learns these addresses.
    /// Without it nothing is sent
    #[arg(long)]
    pub resolve: bool,
    /// Ask this DNS server [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = parse_server, requires = "resolve")]
    pub resolver: Option<SocketAddr>,
    /// Most addresses that are asked about, those with most bytes first
    #[arg(long, value_name = "N", default_value_t = 100, requires = "resolve")]
    pub resolve_limit: usize,
    /// Most questions a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000), requires = "resolve")]
    pub resolve_rate: u32,
}
