//! The options of `top`, as typed.

use super::groups::{AnswerArgs, MaskArgs, OwnersArgs};
use crate::top::snapshot::Sort;
use crate::top::snapshot::View;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Folders that imon-record writes into [default: the spool]
    #[arg(value_name = "SPOOL")]
    pub spools: Vec<PathBuf>,
    /// Which view comes first
    #[arg(long, value_enum, value_name = "VIEW", default_value_t)]
    pub by: View,
    /// What decides the order of rows
    #[arg(long, value_enum, value_name = "ORDER", default_value_t)]
    pub sort: Sort,
    /// Only rows with these words; also site:X, host:X, page:X, device:X, evidence:X
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Labels of addresses.
    #[command(flatten)]
    pub owners: OwnersArgs,
    /// Names.
    #[command(flatten)]
    pub mask: MaskArgs,
    /// Write the rows of this moment and end
    #[arg(long)]
    pub once: bool,
    /// With --once only the first N rows [default: all]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    /// Time zone of days and hours, such as Europe/Berlin or +05:30 [default: that of the system,
    /// or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// How the answer is made.
    #[command(flatten)]
    pub answer: AnswerArgs,
}
