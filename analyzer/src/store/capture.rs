//! What is kept of capture files, beside what their segments hold.

use super::read::unsigned;
use super::{KnownSource, Store, StoreError, facts};
use imon_common::capture_file::ContentId;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use rusqlite::OptionalExtension as _;
use sha2::{Digest as _, Sha256};

/// Captures that one meter read one after the other, up to one of them: what is kept of that one
/// rests on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// How many they are.
    pub captures: u64,
    /// Stands for their packets.
    pub id: [u8; 16],
}

impl Chain {
    /// The chain with one capture more.
    #[must_use]
    pub fn then(self, content: &ContentId) -> Self {
        let hash = Sha256::new().chain_update(self.id).chain_update(content).finalize();
        Self { captures: self.captures + 1, id: hash.first_chunk().copied().unwrap_or_default() }
    }
}

/// What a capture file was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureFacts {
    /// Bytes of the file, as it lay on the disk.
    pub file_len: u64,
    /// Packets in it.
    pub packets: u64,
    /// The captures before it, and it.
    pub chain: Chain,
}

impl CaptureFacts {
    pub(super) fn of_row(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let numbers: [Option<i64>; 3] = [row.get(first)?, row.get(first + 1)?, row.get(first + 2)?];
        let id: Option<Vec<u8>> = row.get(first + 3)?;
        let [Some(file_len), Some(packets), Some(captures)] = numbers.map(|n| n.map(unsigned)) else { return Ok(None) };
        let id = id.and_then(|id| id.try_into().ok());
        Ok(id.map(|id| Self { file_len, packets, chain: Chain { captures, id } }))
    }
}

impl Store {
    /// The source with this identity or this content.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn source_like(&self, identity: &[u8], content: Option<&ContentId>) -> Result<Option<KnownSource>, StoreError> {
        let sql = format!("{} WHERE identity = ?1 OR content = ?2", facts::SELECT_KNOWN);
        Ok(self
            .db
            .prepare_cached(&sql)?
            .query_row((identity, content), facts::known_source)
            .optional()?
            .map(|s| self.at_home(s)))
    }

    /// Captures whose first packet came in the second of `start`: one of them may go on in a
    /// capture that begins with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn captures_from(&self, start: UnixNanos) -> Result<Vec<KnownSource>, StoreError> {
        let sql = format!(
            "{} WHERE kept IS NOT NULL AND content IS NOT NULL AND packets > 0 AND first_ns BETWEEN ?1 AND ?2
             ORDER BY packets, identity",
            facts::SELECT_KNOWN
        );
        let mut select = self.db.prepare_cached(&sql)?;
        let rows = select.query_map([start.0.saturating_sub(NANOS_PER_SECOND), start.0], facts::known_source)?;
        Ok(rows.map(|source| source.map(|source| self.at_home(source))).collect::<Result<_, _>>()?)
    }

    /// Whether captures are known by nothing but the SHA-256 of their file: from a version that did
    /// not look at packets.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn knows_files(&self) -> Result<bool, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT 1 FROM source WHERE kept IS NOT NULL AND content IS NULL AND packets IS NOT 0
             UNION ALL SELECT 1 FROM pruned WHERE length(identity) = 32",
        )?;
        Ok(select.exists([])?)
    }
}
