//! The options of `plan`, as typed.

use super::groups::{AnswerArgs, CaptureArgs};
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
    /// How the answer is made.
    #[command(flatten)]
    pub answer: AnswerArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
}
