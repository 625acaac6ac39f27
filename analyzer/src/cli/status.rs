//! The options of `status`, as typed.

use super::groups::{OutputArgs, StoreArgs};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// All months instead: open or closed, rows, bytes, hash, what can be booked again
    #[arg(long)]
    pub months: bool,
    /// Also copy the database and its closed months into this folder, which must be empty or not be
    /// there yet; another program may book meanwhile
    #[arg(long, value_name = "DIR")]
    pub backup: Option<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}
