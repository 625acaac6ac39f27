//! Where files of a dataset belong.

use super::{HASH_DIGITS, MERGED};
use crate::archive::Entry;
use crate::books::month::Month;
use crate::table::units::uuid;

/// Where a file belongs.
#[derive(Debug, Clone, Copy)]
pub(in crate::archive) struct Place<'a> {
    pub(in crate::archive) table: &'a str,
    pub(in crate::archive) month: Month,
    /// Who recorded it, as engines find it; `None`: several did.
    pub(in crate::archive) recorder: Option<[u8; 16]>,
    /// Its number, where it is one of several that were merged.
    pub(in crate::archive) number: Option<usize>,
    /// There are no folders of recorders.
    pub(in crate::archive) flat: bool,
}

impl Place<'_> {
    pub(super) fn folder(&self) -> String {
        let Self { table, month, recorder, .. } = self;
        match recorder.filter(|_| !self.flat) {
            Some(recorder) => format!("{table}/month={month}/recorder={}/", uuid(recorder)),
            None => format!("{table}/month={month}/"),
        }
    }

    pub(super) fn entry(&self, sha256: String, bytes: u64, rows: u64, closed: bool) -> Entry {
        let hash: String = sha256.chars().take(HASH_DIGITS).collect();
        let recorder = self.recorder.map(uuid).unwrap_or_default();
        let name = match self.number {
            Some(number) => format!("{MERGED}{number:05}-{hash}"),
            None if self.flat => format!("{recorder}-{hash}"),
            None => hash,
        };
        let file = format!("{}{name}.parquet", self.folder());
        let (table, month) = (self.table.to_owned(), self.month.to_string());
        Entry { table, month, recorder, file, rows, bytes, sha256, closed, of: String::new() }
    }
}
