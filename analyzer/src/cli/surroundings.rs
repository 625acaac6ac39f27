//! What the process finds around it.

use crate::config::{Config, Places, SYSTEM_CONFIG};
use crate::table::{TextStyle, TotalsShown};
use imon_common::time::UnixNanos;
use jiff::Timestamp;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where imon-record writes when it runs as root.
pub(super) const SYSTEM_SPOOL: &str = "/var/lib/imon";

/// What the service's timer books into; members of the group imon share it.
pub(crate) const SYSTEM_DATABASE: &str = "/var/lib/imon-analyze/imon.db";

/// Columns of a terminal that does not say how many it has: those of the VT100.
const USUAL_COLUMNS: usize = 80;

/// When text has colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What the process finds around it; a value, so that tests can choose it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time.
    pub now: Timestamp,
    /// Columns of the terminal that standard output is, if it is one.
    pub width: Option<usize>,
    /// Whether that terminal can draw bars: it takes UTF-8.
    pub draws: bool,
    /// Whether text has colour.
    pub color: bool,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
    /// The service's database, if there is one that this user may use.
    pub system_database: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub config_home: Option<OsString>,
    /// What the configuration says; nothing until it is read.
    pub config: Config,
}

/// Columns of a terminal: as the environment says, else as it says itself; `None` if it is none.
pub fn columns_of(terminal: &console::Term) -> Option<usize> {
    let text = std::env::var("COLUMNS").ok();
    let asked = || text.and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
    // Some say no size: serial lines, and terminals that a program makes.
    let size = || terminal.size_checked().map_or(USUAL_COLUMNS, |(_, columns)| columns.into());
    terminal.is_term().then(|| asked().unwrap_or_else(size))
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process(color: Color) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let terminal = console::Term::stdout();
        let width = columns_of(&terminal);
        // The first of these that is set says it (POSIX, environment variables, LC_ALL).
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default();
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        let draws = locale.ends_with("utf-8") || locale.ends_with("utf8");
        let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let auto = width.is_some() && variable("NO_COLOR").is_none() && !is_dumb;
        // Both, as SQLite's readers write beside the database, too.
        let usable = std::fs::OpenOptions::new().read(true).write(true).open(SYSTEM_DATABASE).is_ok();
        Self {
            now: Timestamp::now(),
            width,
            draws,
            color: match color {
                Color::Auto => auto,
                Color::Always => true,
                Color::Never => false,
            },
            state_home: variable("XDG_STATE_HOME"),
            home: variable("HOME"),
            system_database: usable.then(|| SYSTEM_DATABASE.into()),
            config_home: variable("XDG_CONFIG_HOME"),
            config: Config::default(),
        }
    }

    /// The time in nanoseconds; `None` beyond what they can count.
    pub fn now_nanos(&self) -> Option<UnixNanos> {
        i64::try_from(self.now.as_nanosecond()).ok().map(UnixNanos)
    }

    /// How text is written to `to`, or to standard output.
    pub fn text_style(&self, to: Option<&Path>, totals: Option<TotalsShown>) -> TextStyle {
        match to {
            None => TextStyle { width: self.width, bars: self.draws, color: self.color, totals },
            Some(_) => TextStyle { totals, ..TextStyle::default() },
        }
    }

    /// Where configuration files are looked for.
    pub fn config_places(&self) -> Places {
        let absolute = |text: &OsString| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
        let home = self.home.as_ref().and_then(absolute);
        // As with the state folder: relative paths are to be ignored.
        let xdg = self.config_home.as_ref().and_then(absolute);
        let own = xdg.or_else(|| home.as_ref().map(|home| home.join(".config")));
        Places {
            named: None,
            system: Some(SYSTEM_CONFIG.into()),
            own: own.map(|folder| folder.join("imon/imon.toml")),
            home,
            is_root: nix::unistd::geteuid().is_root(),
        }
    }

    /// The user's own folder for what imon keeps: a database is neither configuration nor a cache
    /// that may vanish.
    pub fn state_folder(&self) -> Option<PathBuf> {
        // The XDG base directory specification: relative paths are to be ignored.
        let xdg = self.state_home.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || self.home.as_ref().map(|home| Path::new(home).join(".local/state"));
        xdg.or_else(home).map(|folder| folder.join("imon"))
    }
}
