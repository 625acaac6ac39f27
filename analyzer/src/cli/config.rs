//! The options of `config`, as typed.

use super::groups::{AnswerArgs, CaptureArgs, OwnersArgs};
use clap::Args;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Time zone, as behind other commands
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// How the answer is made.
    #[command(flatten)]
    pub answer: AnswerArgs,
    /// Labels of addresses.
    #[command(flatten)]
    pub owners: OwnersArgs,
    /// How captures are read.
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// Keys of `[report]` that the command line says.
    #[arg(skip)]
    pub typed: Vec<&'static str>,
}
