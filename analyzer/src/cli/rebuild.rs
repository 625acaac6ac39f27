//! The options of `rebuild`, as typed.

use super::groups::AnswerArgs;
use clap::Args;

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Only sources that reach to this day or later: 2026-11-01, today, yesterday or 7d (seven days
    /// ago) [default: all]
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Time zone of the day, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// The database is lost: make it anew from its closed months alone. What was not closed is
    /// booked again by the next ingest
    #[arg(long, conflicts_with_all = ["from", "diff"])]
    pub from_books: bool,
    /// Show by site and evidence what changed
    #[arg(long)]
    pub diff: bool,
    /// Change nothing: book again in a copy of the database, which is removed
    #[arg(long, requires = "diff")]
    pub dry_run: bool,
    /// How the answer is made.
    #[command(flatten)]
    pub answer: AnswerArgs,
}
