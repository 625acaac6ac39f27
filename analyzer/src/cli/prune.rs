//! The options of `prune`, as typed.

use super::groups::StoreArgs;
use clap::Args;

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// What to remove.
    #[command(flatten)]
    pub age: PruneAge,
    /// With --device: from this time on (a day, month, or instant; else from the beginning)
    #[arg(long, value_name = "TIME", requires = "device", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// With --device: up to this time, a day or month included (else up to now)
    #[arg(long, value_name = "TIME", requires = "device", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Time zone of the day, such as Europe/Berlin or +05:30 [default: that of the system, or $TZ]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Remove only the segments that captures were kept as: what was booked stays, and cannot be
    /// booked again
    #[arg(long)]
    pub captures_only: bool,
    /// Change nothing: say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Database and spool.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// What is removed: by age, or by whose it is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PruneAge {
    /// Remove sources that end before this day: 2026-11-01, today, yesterday or 30d (thirty days
    /// ago)
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    pub before: Option<String>,
    /// Keep today and this many days before it
    #[arg(long, value_name = "N")]
    pub keep_days: Option<u32>,
    /// Remove what [keep] of the configuration lets go; nothing where it says nothing
    #[arg(long, conflicts_with = "captures_only")]
    pub configured: bool,
    /// Remove what a device moved, by its address, network, hardware address, or name in [devices];
    /// `ingest` and `rebuild` leave it out from then on; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "captures_only")]
    pub device: Vec<String>,
    /// Remove copies of the database that were kept when its schema was changed
    #[arg(long, conflicts_with = "captures_only")]
    pub drop_old: bool,
}
