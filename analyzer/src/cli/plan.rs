//! The options of `plan`, as typed.

use super::groups::{CaptureArgs, OutputArgs, SiteOptions, StoreArgs};
use clap::Args;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plans of the configuration, by name [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The period that this day lies in: 2026-11-01, yesterday [default: today's]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub on: Option<String>,
    /// Families.
    #[command(flatten)]
    pub sites: SiteOptions,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}
