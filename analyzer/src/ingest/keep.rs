//! Captures are kept as segments of our own beside the database, so that they can be booked again
//! like any other source.

use super::corridor::{Bytes, Corridor, Passage};
use super::find::is_segment_name;
use super::order::{Captures, Found, Glance};
use super::plan::header_of;
use super::run::{IngestError, Read, ReadOptions, name_of, open_capture};
use super::same::is_of_capture;
use crate::exported::Spotted;
use crate::files;
use crate::input::Source;
use crate::store::{CaptureFacts, Store};
use imon_common::capture_file::{Content, ContentId};
use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX, SegmentHeader, time_of_block};
use imon_common::time::UnixNanos;
use std::collections::BTreeSet;
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
    /// What it is known by: its packets, or, where it has none, the SHA-256 of the file.
    pub(super) identity: Vec<u8>,
    /// SHA-256 of the capture file, where it was computed.
    pub(super) sha256: Option<[u8; 32]>,
    /// Identities of its first so many packets, the whole last; empty where it has none.
    pub(super) identities: Vec<(u64, ContentId)>,
    /// What the file was.
    pub(super) capture: CaptureFacts,
    /// Its first interval.
    pub(super) first: UnixNanos,
    /// Packets in it.
    pub(super) packets: u64,
    /// What was skipped, in words.
    pub(super) skipped: Option<String>,
    /// Messages of an exporter in it that were not asked for.
    pub(super) spotted: Option<Spotted>,
}

/// Turns captures into segments. One that follows the one before goes on with its flows.
#[derive(Debug)]
pub(super) struct Keeper<'a> {
    folder: &'a Path,
    options: &'a ReadOptions,
    /// Compute the SHA-256 of each file: some captures are known by nothing else.
    by_file: bool,
    corridor: Option<Corridor>,
    count: usize,
}

impl<'a> Keeper<'a> {
    /// One that keeps segments in `folder`; `by_file` if captures are to be known by their files as
    /// well.
    pub(super) fn new(folder: &'a Path, options: &'a ReadOptions, by_file: bool) -> Self {
        Self { folder, options, by_file, corridor: None, count: 0 }
    }

    /// The capture among `waiting` that goes on with the one before.
    pub(super) fn follower(&self, waiting: &Captures) -> Option<usize> {
        waiting.following(self.corridor.as_ref()?)
    }

    /// Reads a capture and writes its segment. Unless it is the [`Self::follower`] it has nothing
    /// to do with the one before. `ends` are numbers of packets of captures that it may have grown
    /// out of.
    ///
    /// # Errors
    /// [`IngestError`]; nothing is kept then.
    pub(super) fn keep(
        &mut self,
        found: &Found,
        goes_on: bool,
        ends: impl IntoIterator<Item = u64>,
    ) -> Result<Kept, IngestError> {
        files::make_folder(self.folder).map_err(|e| self.error(e))?;
        let part = self.folder.join(format!("{PREFIX}{}-{}{PART_SUFFIX}", std::process::id(), self.count));
        self.count += 1;
        let corridor = self.corridor.take().filter(|_| goes_on);
        let result =
            self.write(found, &part, corridor.unwrap_or_else(|| Corridor::new(self.options)), Content::with_ends(ends));
        if result.is_err() {
            // If it cannot be removed, nothing is lost but room.
            _ = std::fs::remove_file(&part);
        }
        result
    }

    fn write(&mut self, found: &Found, part: &Path, corridor: Corridor, content: Content) -> Result<Kept, IngestError> {
        // Without packets, and where nothing can be looked into before it is read, the file is all
        // that is known.
        let by_file = self.by_file || matches!(found.glance, Glance::Nothing);
        let reader = open_capture(&found.path, self.options, by_file)?;
        let mut file = BufWriter::new(self.create(part)?);
        let about = (&*name_of(&found.path), Some(content));
        let mut passage = Passage::begin(corridor, reader, about, Bytes::new).map_err(IngestError::Read)?;
        let header = passage.header().clone();
        let mut first = header.start;
        while passage.fill().map_err(IngestError::Read)? {
            let bytes = passage.sink().get();
            first = first.min(time_of_block(&header, bytes).unwrap_or(first));
            file.write_all(bytes).map_err(|e| self.error(e))?;
            passage.sink().clear();
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|e| self.error(e))?;
        let (mut run, input, corridor) = passage.finish();
        self.corridor = Some(corridor);
        if run.packets == 0
            && let Some(error) = run.stopped.take()
        {
            return Err(error.into());
        }
        let Source { sha256, raw_bytes } = input.finish().map_err(IngestError::Read)?;
        let (header, packets, identities) = (run.header.clone(), run.packets, std::mem::take(&mut run.identities));
        let capture = CaptureFacts { file_len: raw_bytes, packets, chain: run.chain };
        let content = identities.last().map(|(_, content)| content.to_vec());
        let identity = content.unwrap_or_else(|| sha256.unwrap_or_default().to_vec());
        // Captures of two commands that begin in one second have one number.
        let [a, b, c, d, ..] = header.segment;
        let stem = header.file_stem();
        let name = self.folder.join(format!("{stem}-{a:02x}{b:02x}{c:02x}{d:02x}{SEALED_SUFFIX}"));
        let spotted = run.spotted;
        let skipped = Read::Capture(run).skipped();
        Ok(Kept {
            part: part.into(),
            name,
            header,
            identity,
            sha256,
            identities,
            capture,
            first,
            packets,
            skipped,
            spotted,
        })
    }

    /// Makes a file anew: one of that name is of a process that ended, whose number this one has
    /// now.
    fn create(&self, part: &Path) -> Result<File, IngestError> {
        _ = std::fs::remove_file(part);
        files::create_new(part).map_err(|e| self.error(e))
    }

    fn error(&self, source: io::Error) -> IngestError {
        IngestError::Keep { folder: self.folder.to_owned(), source }
    }
}

/// Whether a file is a segment that a capture was kept as, or is being.
pub fn is_kept(path: &Path) -> bool {
    is_segment_name(path) && header_of(path).is_some_and(|header| is_of_capture(&header))
}

/// Removes segments that captures were kept as and that hold what the user has removed. Only a file
/// that is the segment which is meant is ours to remove; what cannot be removed now goes another
/// time.
///
/// # Errors
/// The store.
pub fn remove_doomed(store: &Store) -> Result<u64, IngestError> {
    let (mut left, mut gone) = (0, Vec::new());
    for (path, segment) in store.doomed()? {
        let is_it = header_of(Path::new(&path)).is_some_and(|header| header.segment.as_slice() == segment);
        if is_it && std::fs::remove_file(&path).is_err() {
            left += 1;
            continue;
        }
        gone.push(path);
    }
    // Or a power cut brings back what nobody knows any more.
    let folders: BTreeSet<&Path> = gone.iter().map(|path| files::folder_of(Path::new(path))).collect();
    folders.into_iter().for_each(|folder| _ = files::sync_folder(folder));
    gone.iter().try_for_each(|path| store.is_gone(path))?;
    Ok(left)
}

/// Sees to what an ingest that was killed left: a segment that is booked gets its name, others go,
/// as their captures will be read again. Who calls this holds the lock of the store: no other
/// ingest is at work in this folder.
///
/// # Errors
/// The store cannot be read.
pub(super) fn tidy(folder: &Path, store: &Store) -> Result<(), IngestError> {
    let is_ours = !files::is_anothers_link(folder);
    for entry in std::fs::read_dir(folder).into_iter().filter(|_| is_ours).flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.strip_suffix(PART_SUFFIX));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !number.and_then(|n| n.split_once('-')).is_some_and(|(process, n)| is_number(process) && is_number(n)) {
            continue;
        }
        let header = files::open(&entry.path()).ok().and_then(|mut file| SegmentHeader::read(&mut file).ok());
        let booked = header.as_ref().map(|(header, _)| store.source(&header.segment)).transpose()?.flatten();
        let stands = |kept: &str| header_of(Path::new(kept)).map(|header| header.segment);
        // If it cannot be renamed or removed, the next ingest tries again.
        _ = match booked.and_then(|source| source.kept) {
            // Under its name there is nothing yet, or what it takes the place of.
            Some(kept) if stands(&kept) != header.map(|(header, _)| header.segment) => {
                std::fs::rename(entry.path(), kept)
            }
            _ => std::fs::remove_file(entry.path()),
        };
    }
    // By their names: not before they have them.
    remove_doomed(store)?;
    Ok(())
}
