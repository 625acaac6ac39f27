//! The options of `alert`, as typed.

use super::groups::{CaptureArgs, SiteOptions, StoreArgs};
use super::meant::parse_percent;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `alert`.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// Run this program for each alert, without a shell and with the alert in its environment; a
    /// path from the root [default: exec in the configuration, else lines on standard output]
    #[arg(long, value_name = "PROGRAM")]
    pub exec: Option<PathBuf>,
    /// Parts of a plan in percent [default: percent in the configuration]
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', value_parser = parse_percent)]
    pub percent: Vec<u32>,
    /// Say everything that holds, told before or not; run nothing and remember nothing
    #[arg(long, conflicts_with = "exec")]
    pub all: bool,
    /// Hand alerts over to a parent, which runs the program.
    #[arg(long, hide = true)]
    pub judge: bool,
    /// Time zone of hours and days of rates [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}
