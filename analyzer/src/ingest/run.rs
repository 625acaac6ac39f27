//! Reading one source.

use super::corridor::{self, CaptureRun, Passage};
use crate::attribution::{Attributor, Ledger};
use crate::input::{self, Input, InputError, Kind, Watch};
use crate::progress::Progress;
use crate::store::StoreError;
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use imon_common::local::LocalNets;
use imon_common::observe::Observer;
use imon_common::segment::{HeaderError, ReadError, SegmentEnd, SegmentHeader, SegmentReader, SegmentReport};
use std::convert::Infallible;
use std::fs::File;
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
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What reading a source gave.
#[derive(Debug)]
pub enum Read {
    /// A segment.
    Segment(SegmentHeader, SegmentReport),
    /// A capture file, and the SHA-256 of the file if it was asked for.
    Capture(CaptureRun, Option<[u8; 32]>),
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
            Self::Capture(run, _) => run.stopped.as_ref().map(|error| error.to_string()),
        }
    }
}

/// How sources are read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Networks that are local in capture files, beside the built-in ranges.
    pub local: LocalNets,
    /// Tells how far it is.
    pub progress: Progress,
}

/// Takes the observations of a source, and hears first which source it is.
pub trait Taker: Observer<Error = Infallible> {
    /// A source begins; for a capture file this is the header of the segment that it is turned into.
    fn begin(&mut self, header: &SegmentHeader) {
        _ = header;
    }
}

impl<L: Ledger> Taker for Attributor<L> {
    fn begin(&mut self, header: &SegmentHeader) {
        self.begin_run(header.recorder);
    }
}

/// Reads a source to its end and hands its observations to `taker`; a capture's segment goes to `keep`, and its SHA-256
/// is computed, where `keep` is given.
///
/// # Errors
/// [`IngestError`]. Damage behind the first packet is no error: it is in the result.
pub fn read<T: Taker>(
    path: &Path,
    options: &ReadOptions,
    keep: Option<&mut dyn io::Write>,
    taker: &mut T,
) -> Result<Read, IngestError> {
    match input::classify(path)? {
        Kind::Segment => {
            let file = File::open(path).map_err(IngestError::Read)?;
            read_segment(SegmentReader::open(file)?, taker)
        }
        Kind::Capture => read_capture(path, options, keep, taker),
        Kind::Other(found) => Err(IngestError::Neither { found }),
        Kind::Folder => Err(InputError::Folder { path: path.into() }.into()),
    }
}

/// Reads a source and books it with `attributor`. Segments of one run of a recorder that are read one after the other
/// count as one source: flows go on over a rotation.
///
/// # Errors
/// [`IngestError`].
pub fn read_into<L: Ledger>(
    path: &Path,
    options: &ReadOptions,
    attributor: &mut Attributor<L>,
) -> Result<Read, IngestError> {
    read(path, options, None, attributor)
}

fn read_segment<T: Taker>(reader: SegmentReader<File>, taker: &mut T) -> Result<Read, IngestError> {
    let header = reader.header().clone();
    taker.begin(&header);
    match reader.read(taker) {
        Ok(report) => Ok(Read::Segment(header, report)),
        Err(ReadError::Io(error)) => Err(IngestError::Read(error)),
    }
}

fn read_capture<T: Taker>(
    path: &Path,
    options: &ReadOptions,
    keep: Option<&mut dyn io::Write>,
    taker: &mut T,
) -> Result<Read, IngestError> {
    let watch = Watch { identity: keep.is_some(), progress: options.progress.watch(path) };
    let input: Input = input::open(path, watch)?;
    let mut reader = CaptureReader::new(input)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let passage = Passage { name: &name, local: &options.local };
    let keeping = keep.is_some();
    let run = corridor::capture(&mut reader, &passage, keep, taker)
        .map_err(|source| IngestError::Keep { folder: PathBuf::new(), source })?;
    match run.stopped {
        Some(error) if run.totals.packets == 0 => return Err(error.into()),
        _ => {}
    }
    let sha256 = match keeping {
        true => reader.into_inner().finish().map_err(IngestError::Read)?.sha256,
        false => None,
    };
    Ok(Read::Capture(run, sha256))
}
