//! The options of `export`, as typed.

use super::groups::{CaptureArgs, StoreArgs};
use crate::archive::Extra;
use crate::report::Mask;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder of the dataset, which is made if it is not there; databases may share one
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Also these tables, of segments and captures that are kept
    #[arg(long = "with", value_enum, value_name = "TABLE[,TABLE]", value_delimiter = ',')]
    pub with: Vec<Extra>,
    /// Merge the files that a closed month has of all recorders into large ones, of 128 MiB and
    /// more where a month has as much; later exports keep them so
    #[arg(long)]
    pub compact: bool,
    /// Write pseudonyms for names, so that the dataset can be given to others: the same name has
    /// the same one in every export with the key
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "with")]
    pub mask: Option<Mask>,
    /// The key of --mask, which is made if it is not there; whoever has it can try names out
    /// [default: mask.key beside the database]
    #[arg(long, value_name = "FILE", requires = "mask")]
    pub mask_key: Option<PathBuf>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}

impl ExportArgs {
    /// Where the key of --mask is.
    pub fn key_file(&self, database: &Path) -> PathBuf {
        self.mask_key.clone().unwrap_or_else(|| database.with_file_name("mask.key"))
    }
}
