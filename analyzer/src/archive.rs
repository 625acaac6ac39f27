//! The one door to what is booked: open months in the database, months that are put away in files
//! beside it. Who asks gets [`Books`] and is not told where rows came from.
//!
//! ```text
//! books/month=2026-10/recorder=<id>/<generation>-<hash>.parquet      rows; pages/ and ledger/ likewise
//! ```
//! A month that is put away is immutable. It is written beside, synced, renamed and its folder
//! synced before one transaction names it and removes its rows; what a transaction no longer names
//! is removed after it. So a month counts once, whenever the power fails.

mod close;
mod dataset;
mod days;
mod door;
mod export;
mod facts;
mod fold;
mod folder;
mod gathering;
mod known;
mod mask;
mod merge;
mod only;
mod parts;
mod places;
mod read;
mod remove;
mod restore;
mod schema;
mod shares;
mod sheets;
mod summary;
mod text;
mod write;

#[cfg(test)]
mod tests;

pub use close::{Archive, Closing, Why};
pub use dataset::{Dataset, Entry, MANIFESTS, Manifest};
pub use door::{Hole, Need, Opened, books, dataset_books, sums};
pub use export::{Exporter, Extra, Files, Form, Written};
pub use fold::{Alike, Apart, Likeness, MAX_VIEWS, Stretch};
pub use folder::{Folder, FoundFile, Leftovers};
pub use mask::{Key, MaskOf, Pseudonyms};
pub use only::Only;
pub use read::{Broken, Pool, Table, Wanted, hash_of};
pub use remove::{Taken, Trial};
pub use restore::{Restored, restore};
pub use schema::{Part, SCHEMA};
pub use write::{Layout, Order};

use crate::store::StoreError;
use nix::errno::Errno;
use std::io;
use std::path::PathBuf;

/// What can go wrong with months that are put away.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder cannot be used.
    #[error("cannot use {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of a month is not there.
    #[error("{} is not there", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file of a month cannot be read: a disk that fails, something else in its place, rights.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of a month is not what was written.
    #[error("{} is damaged: its SHA-256 begins with {found}, and was {wanted}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// First digits as they are.
        found: String,
        /// First digits as they were.
        wanted: String,
    },
    /// A file of a month cannot be understood.
    #[error("cannot read {}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Broken,
    },
    /// Rows do not sum up to what they did.
    #[error("the rows of {} sum up to something else than what was written", .path.display())]
    Sums {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was exported into this folder.
    #[error("{} holds no dataset: it has no manifest in {}", .path.display(), MANIFESTS)]
    NoDataset {
        /// The folder.
        path: PathBuf,
    },
    /// Another program exports into this folder.
    #[error("another export writes into {}", .path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A dataset has another mask, or pseudonyms by another key.
    #[error("{} was exported with {found}, and this is an export with {wanted}", .path.display())]
    OtherMask {
        /// The manifest.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// Months are read from a database in memory.
    #[error("a database in memory has no months that are put away")]
    InMemory,
}

impl ArchiveError {
    /// Whether a file of a month, and nothing else, is at fault: other months are good.
    pub fn is_of_one_month(&self) -> bool {
        let is_not_there = matches!(self, Self::Missing { .. } | Self::Unreadable { .. });
        is_not_there || matches!(self, Self::Changed { .. } | Self::Broken { .. } | Self::Sums { .. })
    }

    /// The file of a month cannot be opened, or not be read to its end.
    pub(crate) fn of_file(path: PathBuf, source: io::Error) -> Self {
        let of_process = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EINTR];
        match source.raw_os_error().map(Errno::from_raw) {
            _ if source.kind() == io::ErrorKind::NotFound => Self::Missing { path },
            // Says nothing of the file.
            Some(errno) if of_process.contains(&errno) => Self::Io { path, source },
            _ => Self::Unreadable { path, source },
        }
    }
}
