//! The options of `config`, as typed.

use super::groups::{CaptureArgs, OutputArgs, SiteOptions, StoreArgs};
use clap::Args;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Time zone, as behind other commands
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
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
    /// Keys of `[report]` that the command line says.
    #[arg(skip)]
    pub typed: Vec<&'static str>,
}
