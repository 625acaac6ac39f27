//! The options of `import`, as typed.

use super::groups::StoreArgs;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What `vnstat --json` printed; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "forget")]
    pub files: Vec<PathBuf>,
    /// Take this interface only; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Call the interface so: its name in what imon records, or that of the machine
    #[arg(long = "as", value_name = "NAME")]
    pub called: Option<String>,
    /// Forget what was imported of this interface; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with_all = ["files", "interface", "called"])]
    pub forget: Vec<String>,
    /// Time zone of dates, of vnStat before 2.7 [default: the system's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// Database.
    #[command(flatten)]
    pub store: StoreArgs,
}
