//! The options of `ingest`, as typed.

use super::groups::{CaptureArgs, StoreArgs};
use clap::Args;
use std::path::PathBuf;

/// Arguments of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Segments, folders of segments, pcap and pcapng files, also compressed (.gz .zst .xz .lz4)
    /// [default: the spool]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}
