//! The options of `close`, as typed.

use super::groups::StoreArgs;
use crate::books::month::Month;
use clap::Args;

/// Arguments of `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// This month of UTC, such as 2026-10; may be repeated [default: all that ended at least seven
    /// days ago]
    #[arg(long, value_name = "MONTH")]
    pub month: Vec<Month>,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}
