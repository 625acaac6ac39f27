//! Captures are kept as segments of our own beside the database, so that they can be booked again like any other source.

use super::corridor::{Corridor, Passage};
use super::order::{Captures, Found};
use super::run::{IngestError, Read, ReadOptions, name_of, open_capture};
use crate::files;
use crate::store::Store;
use imon_common::capture_file::{Content, ContentId};
use imon_common::segment::{PART_SUFFIX, Replay, SEALED_SUFFIX, SegmentHeader};
use imon_common::time::UnixNanos;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Beginning of the names of files that are being made.
const PREFIX: &str = "ingest-";

/// A capture that was turned into a segment, and not booked yet.
#[derive(Debug)]
pub(super) struct Kept {
    /// The file, until it is booked.
    pub(super) part: PathBuf,
    /// The name that it gets then.
    pub(super) name: PathBuf,
    /// Header of the segment.
    pub(super) header: SegmentHeader,
    /// SHA-256 of the capture file.
    pub(super) sha256: [u8; 32],
    /// Identity of its packets; `None` where it has none.
    pub(super) content: Option<ContentId>,
    /// Its first interval.
    pub(super) first: UnixNanos,
    /// Packets in it.
    pub(super) packets: u64,
    /// What was skipped, in words.
    pub(super) skipped: Option<String>,
}

/// Turns captures into segments. One that follows the one before goes on with its flows.
#[derive(Debug)]
pub(super) struct Keeper<'a> {
    folder: &'a Path,
    options: &'a ReadOptions,
    corridor: Option<Corridor>,
    count: usize,
}

impl<'a> Keeper<'a> {
    /// One that keeps segments in `folder`.
    pub(super) fn new(folder: &'a Path, options: &'a ReadOptions) -> Self {
        Self { folder, options, corridor: None, count: 0 }
    }

    /// The capture among `waiting` that goes on with the one before.
    pub(super) fn follower(&self, waiting: &Captures) -> Option<usize> {
        waiting.following(self.corridor.as_ref()?)
    }

    /// Reads a capture and writes its segment. Unless it is the [`Self::follower`] it has nothing to do with the one
    /// before.
    ///
    /// # Errors
    /// [`IngestError`]; nothing is kept then.
    pub(super) fn keep(&mut self, found: &Found, goes_on: bool) -> Result<Kept, IngestError> {
        files::make_folder(self.folder).map_err(|e| self.error(e))?;
        let part = self.folder.join(format!("{PREFIX}{}-{}{PART_SUFFIX}", std::process::id(), self.count));
        self.count += 1;
        let corridor = self.corridor.take().filter(|_| goes_on);
        let result = self.write(
            found,
            &part,
            corridor.unwrap_or_else(|| Corridor::new(self.options.recorder, &self.options.local)),
        );
        if result.is_err() {
            // If it cannot be removed, nothing is lost but room.
            _ = std::fs::remove_file(&part);
        }
        result
    }

    fn write(&mut self, found: &Found, part: &Path, corridor: Corridor) -> Result<Kept, IngestError> {
        let reader = open_capture(&found.path, self.options, true)?;
        let mut file = BufWriter::new(self.create(part)?);
        let mut passage = Passage::begin(corridor, reader, &name_of(&found.path), Some(Content::default()))
            .map_err(IngestError::Read)?;
        let mut first = passage.header().start;
        while let Some(bytes) = passage.next_bytes().map_err(IngestError::Read)? {
            first = first.min(Replay::time_of(bytes).unwrap_or(first));
            file.write_all(bytes).map_err(|e| self.error(e))?;
            passage.take();
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|e| self.error(e))?;
        let (mut run, input, corridor) = passage.finish();
        self.corridor = Some(corridor);
        if run.packets == 0
            && let Some(error) = run.stopped.take()
        {
            return Err(error.into());
        }
        let sha256 = input.finish().map_err(IngestError::Read)?.sha256.unwrap_or_default();
        let (header, packets, content) = (run.header.clone(), run.packets, run.content);
        let name = self.folder.join(format!("{}{SEALED_SUFFIX}", header.file_stem()));
        let skipped = Read::Capture(run).skipped();
        Ok(Kept { part: part.into(), name, header, sha256, content, first, packets, skipped })
    }

    /// Makes a file anew: one of that name is of a process that ended, whose number this one has now.
    fn create(&self, part: &Path) -> Result<File, IngestError> {
        _ = std::fs::remove_file(part);
        files::create_new(part).map_err(|e| self.error(e))
    }

    fn error(&self, source: io::Error) -> IngestError {
        IngestError::Keep { folder: self.folder.to_owned(), source }
    }
}

/// Sees to what an ingest that was killed left: a segment that is booked gets its name, others go, as their captures will
/// be read again. Files of a process that lives are its own.
///
/// # Errors
/// The store cannot be read.
pub(super) fn tidy(folder: &Path, store: &Store) -> Result<(), IngestError> {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next());
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let Some(process) = process.filter(is_number) else { continue };
        if Path::new("/proc").join(process).exists() {
            continue;
        }
        let header = files::open(&entry.path()).ok().and_then(|mut file| SegmentHeader::read(&mut file).ok());
        let booked = header.map(|(header, _)| store.source(&header.segment)).transpose()?.flatten();
        // If it cannot be renamed or removed, the next ingest tries again.
        _ = match booked.and_then(|source| source.kept) {
            Some(kept) if !Path::new(&kept).exists() => std::fs::rename(entry.path(), kept),
            _ => std::fs::remove_file(entry.path()),
        };
    }
    Ok(())
}
