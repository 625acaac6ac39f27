//! Reading one source.

use super::corridor::CaptureRun;
use super::order::{Found, Glance};
use crate::attribution::{Attributor, Ledger, Role};
use crate::exported::{ExportOptions, Gatherer};
use crate::input::{self, Input, InputError, Kind, Watch};
use crate::progress::Progress;
use crate::store::StoreError;
use crate::threads::Threads;
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use imon_common::local::LocalNets;
use imon_common::observe::Observer;
use imon_common::segment::{HeaderError, SegmentEnd, SegmentHeader, SegmentReport};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};

/// Why a source gave nothing, or could not be booked.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It cannot be opened.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It is neither a segment nor a capture.
    #[error("this is {found}; segments of imon-record, pcap and pcapng files are read")]
    Neither {
        /// What it is, with an article.
        found: String,
    },
    /// A segment whose header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A capture without a single packet that could be read.
    #[error(transparent)]
    Capture(#[from] CaptureFileError),
    /// Reading failed.
    #[error("reading failed")]
    Read(#[source] io::Error),
    /// The capture cannot be kept as a segment.
    #[error("cannot keep the capture as a segment in {}", .folder.display())]
    Keep {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A month that is put away cannot be taken back.
    #[error(transparent)]
    Archive(#[from] crate::archive::ArchiveError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What reading a source gave.
#[derive(Debug)]
pub enum Read {
    /// A segment.
    Segment(SegmentHeader, SegmentReport),
    /// A capture file.
    Capture(CaptureRun),
}

impl Read {
    /// What was skipped, in words; `None` if the source was read whole.
    pub fn skipped(&self) -> Option<String> {
        match self {
            Self::Segment(_, report) => match &report.end {
                SegmentEnd::Damaged { at, cause } => Some(format!(
                    "damaged at byte {at}: {cause}; {} bytes were skipped, {} records are good",
                    report.damaged_bytes, report.records
                )),
                SegmentEnd::Sealed { .. } | SegmentEnd::Open { .. } | SegmentEnd::Torn { .. } => None,
            },
            Self::Capture(run) => run.stopped.as_ref().map(|error| error.to_string()),
        }
    }
}

/// How sources are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Stands for whoever keeps captures as segments: the database; zeros where nothing is kept.
    pub recorder: [u8; 16],
    /// Networks that are local in capture files, beside the built-in ranges.
    pub local: LocalNets,
    /// Bytes count whatever other sources hold: the user knows that sources do not overlap.
    pub allow_overlap: bool,
    /// How many threads work on captures.
    pub threads: Threads,
    /// Which captures hold messages of exporters, and what names their flows.
    pub exports: ExportOptions,
    /// Tells how far it is.
    pub progress: Progress,
}

/// Takes the observations of sources, which may come side by side, and hears which source they are
/// of. Sources are known by their place in the list that is read.
pub trait Taker: Observer<Error = Infallible> {
    /// A source that is about to begin comes from this file, which is so long.
    fn file(&mut self, source: usize, path: &Path, len_bytes: u64) {
        _ = (source, path, len_bytes);
    }

    /// A source begins; for a capture file this is the header of the segment that it is turned
    /// into.
    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        _ = (source, header);
    }

    /// What follows is of `source`, in the interval that starts at `ts`.
    fn turn(&mut self, source: usize, ts: UnixNanos) {
        _ = (source, ts);
    }

    /// A source was read.
    fn end(&mut self, source: usize, read: &Read) {
        _ = (source, read);
    }

    /// The last source of a run was read.
    fn end_run(&mut self, run: &[u8; 16]) {
        _ = run;
    }

    /// Nothing more is wanted.
    fn is_done(&self) -> bool {
        false
    }
}

impl Taker for Gatherer {}

impl<L: Ledger> Taker for Attributor<L> {
    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        self.add_source(source, header, Role::Book, Vec::new());
    }

    fn file(&mut self, source: usize, path: &Path, len_bytes: u64) {
        self.size_source(source, len_bytes);
        self.ledger.file(source, path);
    }

    fn end(&mut self, source: usize, _: &Read) {
        self.end_source(source);
    }

    fn turn(&mut self, source: usize, ts: UnixNanos) {
        self.turn_to(source, ts);
    }

    fn end_run(&mut self, run: &[u8; 16]) {
        Self::end_run(self, run);
    }
}

impl Found {
    /// Whether it is a segment; else it is read as a capture.
    ///
    /// # Errors
    /// It is neither, or cannot be opened.
    pub(super) fn is_segment(&self) -> Result<bool, IngestError> {
        match self.glance {
            Glance::Segment(_) => Ok(true),
            Glance::Capture(..) => Ok(false),
            Glance::Nothing => match input::classify(&self.path)? {
                Kind::Segment => Ok(true),
                Kind::Capture => Ok(false),
                Kind::Other(found) => Err(IngestError::Neither { found }),
                Kind::Folder => Err(InputError::Folder { path: self.path.clone() }.into()),
            },
        }
    }
}

/// Opens a capture file; its SHA-256 is computed where `identity` is set.
///
/// # Errors
/// [`IngestError`].
pub(super) fn open_capture(
    path: &Path,
    options: &ReadOptions,
    identity: bool,
) -> Result<CaptureReader<Input>, IngestError> {
    let watch = Watch { identity, progress: options.progress.watch(path) };
    Ok(CaptureReader::new(input::open(path, watch)?)?)
}

/// The name of a capture file for the segment that it becomes.
pub(super) fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}
