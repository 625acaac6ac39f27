//! The options of `export`, as typed.

use super::groups::{CaptureArgs, StoreArgs};
use crate::archive::Extra;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder of the dataset, which is made if it is not there; databases may share one
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Also these tables, of segments and captures that are kept
    #[arg(long = "with", value_enum, value_name = "TABLE[,TABLE]", value_delimiter = ',')]
    pub with: Vec<Extra>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}
