//! What the fuzz targets share: how an input becomes packets, and what must hold whatever the
//! packets are.
//!
//! An input is a list of records with small headers, so that mutations change one packet and leave
//! the others, and so that the seeds (examples/seeds.rs) can be written from real packets.

pub mod books;
pub mod dns;
#[path = "../../common/tests/oracle/mod.rs"]
pub mod etherparse;
// The room of the analyzer that decodes exports, by its path: the analyzer as a whole would bring
// polars and SQLite into every fuzz target.
#[allow(dead_code, missing_docs)]
#[cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]
#[path = "../../analyzer/src/exported/mod.rs"]
pub mod exported;
pub mod frames;
// Likewise the room that reads files of --owners.
pub mod initial;
#[allow(dead_code, missing_docs)]
#[cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]
#[path = "../../analyzer/src/owners/mod.rs"]
pub mod owners;
pub mod pieces;
pub mod records;
pub mod segment;
pub mod targets;

/// Reads little-endian numbers and byte runs from an input; ends quietly where the input does.
pub struct Feed<'a>(pub &'a [u8]);

impl<'a> Feed<'a> {
    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from(self.u8()?) | u16::from(self.u8()?) << 8)
    }

    /// The next `n` bytes, or what is left.
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }
}
