//! Files whose bytes are counted as they are read.

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that were read.
pub(in crate::archive) type Spent = Arc<AtomicU64>;

/// A file whose bytes are counted as they are read.
#[derive(Debug, Clone)]
pub(in crate::archive) struct Input {
    pub(super) file: Arc<File>,
    pub(super) spent: Spent,
}

/// Part of an [`Input`], from a place on.
pub(in crate::archive) struct Piece {
    input: Input,
    at: u64,
}

impl io::Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        self.input.spent.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.len())
    }
}

impl ChunkReader for Input {
    type T = io::BufReader<Piece>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(io::BufReader::new(Piece { input: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // What a hostile file claims to have may be more than there is.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(parquet::errors::ParquetError::EOF("the file is shorter".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        self.spent.fetch_add(length as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }
}
