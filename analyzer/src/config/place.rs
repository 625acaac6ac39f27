//! Where configuration files are, and whether they may be believed.

use crate::error::{Error, shown};
use crate::files;
use crate::say::note;
use std::io;
use std::path::{Path, PathBuf};

/// The system's file.
pub const SYSTEM_CONFIG: &str = "/etc/imon/imon.toml";

/// Longest file: thousands of devices with all they have.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// What a file that cannot be understood should be.
pub(super) const IS_TOML: &str = "a configuration is a text in TOML: docs/CONFIG.md says what it may hold";

/// How far a file must be its owner's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Not everybody may write it, and it is this user's or root's. A group may: many systems give
    /// each user one.
    Own,
    /// Nobody but this user and root can put anything there: what it says is run.
    Alone,
}

/// Where files are looked for.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The one file that the command line names.
    pub named: Option<PathBuf>,
    /// The system's, if there is one.
    pub system: Option<PathBuf>,
    /// This user's, if there is a place for it.
    pub own: Option<PathBuf>,
    /// What `~/` stands for.
    pub home: Option<PathBuf>,
    /// This user is root.
    pub is_root: bool,
}

impl Places {
    /// The files that are there, with their texts, the most particular last.
    ///
    /// # Errors
    /// Usage: one cannot be read, or others could have written it.
    pub fn texts(&self) -> Result<Vec<(PathBuf, String)>, Error> {
        if let Some(named) = &self.named {
            let trust = if self.is_root { Some(Trust::Alone) } else { None };
            return Ok(vec![(named.clone(), read(named, trust)?)]);
        }
        let mut texts = Vec::new();
        let trust = if self.is_root { Trust::Alone } else { Trust::Own };
        for (path, is_own) in
            self.system.iter().map(|path| (path, false)).chain(self.own.iter().map(|path| (path, true)))
        {
            if !path.try_exists().unwrap_or(true) {
                continue;
            }
            // With `sudo` the home may be that of whoever called it.
            if is_own && self.is_root && files::check_trust(path, Trust::Alone).is_err() {
                note!("note: root does not read {}: others can write it", shown(&path.to_string_lossy()));
                continue;
            }
            texts.push((path.clone(), read(path, Some(trust))?));
        }
        Ok(texts)
    }
}

fn read(path: &Path, trust: Option<Trust>) -> Result<String, Error> {
    let failed = |e: &io::Error| {
        let error = Error::usage(format!("cannot use the configuration {}", shown(&path.to_string_lossy())));
        match e.kind() {
            io::ErrorKind::InvalidData => error.cause("it is no text in UTF-8").hint(IS_TOML),
            _ => error.because(e).hint(IS_TOML).hint_for(path, e),
        }
    };
    if let Some(trust) = trust {
        files::check_trust(path, trust).map_err(|e| {
            let text = shown(&path.to_string_lossy());
            match e.kind() {
                io::ErrorKind::NotFound => failed(&e),
                _ => failed(&e).hint(format!("`ls -ld {text}` shows who may write it; --no-config goes without")),
            }
        })?;
    }
    files::read_list(path, MAX_CONFIG_BYTES).map_err(|e| failed(&e))
}
