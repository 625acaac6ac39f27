//! One source at a time: read it, and book it.

use super::corridor::{self, CaptureRun, Passage};
use super::find::Found;
use crate::attribution::{AnswerBook, Attributor, Ledger};
use crate::input::{self, Input, InputError, Kind, Watch};
use crate::progress::Progress;
use crate::rollup::Rollup;
use crate::store::{NewSource, Store, StoreError};
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use imon_common::local::LocalNets;
use imon_common::observe::Observer;
use imon_common::segment::{
    HeaderError, PART_SUFFIX, ReadError, SEALED_SUFFIX, SegmentEnd, SegmentHeader, SegmentReader, SegmentReport,
};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
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

/// Reads a source to its end and hands its observations to `observer`; a capture's segment goes to `keep`, and its
/// SHA-256 is computed, where `keep` is given.
///
/// # Errors
/// [`IngestError`]. Damage behind the first packet is no error: it is in the result.
pub fn read<O: Observer<Error = Infallible>>(
    path: &Path,
    options: &ReadOptions,
    keep: Option<&mut dyn io::Write>,
    observer: &mut O,
) -> Result<Read, IngestError> {
    match input::classify(path)? {
        Kind::Segment => {
            let file = File::open(path).map_err(IngestError::Read)?;
            read_segment(SegmentReader::open(file)?, observer)
        }
        Kind::Capture => read_capture(path, options, keep, observer),
        Kind::Other(found) => Err(IngestError::Neither { found }),
        Kind::Folder => Err(InputError::Folder { path: path.into() }.into()),
    }
}

fn read_segment<O: Observer<Error = Infallible>>(
    reader: SegmentReader<File>,
    observer: &mut O,
) -> Result<Read, IngestError> {
    let header = reader.header().clone();
    match reader.read(observer) {
        Ok(report) => Ok(Read::Segment(header, report)),
        Err(ReadError::Io(error)) => Err(IngestError::Read(error)),
    }
}

fn read_capture<O: Observer<Error = Infallible>>(
    path: &Path,
    options: &ReadOptions,
    keep: Option<&mut dyn io::Write>,
    observer: &mut O,
) -> Result<Read, IngestError> {
    let watch = Watch { identity: keep.is_some(), progress: options.progress.watch(path) };
    let input: Input = input::open(path, watch)?;
    let mut reader = CaptureReader::new(input)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let passage = Passage { name: &name, local: &options.local };
    let keeping = keep.is_some();
    let run = corridor::capture(&mut reader, &passage, keep, observer)
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

/// Reads a source and books it in `ledger`, beginning with what `answers` knows.
///
/// # Errors
/// [`IngestError`].
pub fn read_into<L: Ledger>(
    path: &Path,
    options: &ReadOptions,
    answers: &mut AnswerBook,
    ledger: &mut L,
) -> Result<Read, IngestError> {
    let mut attributor = Attributor::new(answers, ledger);
    let result = read(path, options, None, &mut attributor)?;
    attributor.finish();
    Ok(result)
}

/// What became of a source.
#[derive(Debug)]
pub enum IngestOutcome {
    /// It is in the store already, whole.
    Already,
    /// It was booked; what was skipped, in words.
    Booked {
        /// Packets of its usage rows.
        packets: u64,
        /// What was skipped.
        skipped: Option<String>,
    },
}

/// Books sources into a store.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a mut Store,
    /// Folder in which captures are kept as segments.
    captures: PathBuf,
    options: ReadOptions,
    /// What the sources before taught, and when the last of them began.
    answers: Option<(UnixNanos, AnswerBook)>,
}

impl<'a> Ingest<'a> {
    /// An ingest into `store` that keeps captures as segments in the folder `captures`.
    pub fn new(store: &'a mut Store, captures: PathBuf, options: ReadOptions) -> Self {
        Self { store, captures, options, answers: None }
    }

    /// Books one source, in one transaction.
    ///
    /// # Errors
    /// [`IngestError`]; the store is then as it was.
    pub fn source(&mut self, found: &Found) -> Result<IngestOutcome, IngestError> {
        match input::classify(&found.path)? {
            Kind::Segment => self.segment(&found.path),
            Kind::Capture => self.capture(&found.path),
            Kind::Other(found) => Err(IngestError::Neither { found }),
            Kind::Folder => Err(InputError::Folder { path: found.path.clone() }.into()),
        }
    }

    fn segment(&mut self, path: &Path) -> Result<IngestOutcome, IngestError> {
        let file = File::open(path).map_err(IngestError::Read)?;
        let len_bytes = file.metadata().map_err(IngestError::Read)?.len();
        let reader = SegmentReader::open(file)?;
        let header = reader.header().clone();
        if self.store.source(&header.segment)?.is_some_and(|known| known.len_bytes >= len_bytes) {
            return Ok(IngestOutcome::Already);
        }
        let mut answers = self.take_answers(header.start, &header.segment)?;
        let mut rollup = Rollup { keep_learned: true, ..Rollup::default() };
        let mut attributor = Attributor::new(&mut answers, &mut rollup);
        let result = read_segment(reader, &mut attributor)?;
        attributor.finish();
        let Read::Segment(_, report) = &result else { return Ok(IngestOutcome::Already) };
        rollup.note_damage(report);
        let source = NewSource {
            identity: header.segment.to_vec(),
            kind: "segment",
            path: path.to_string_lossy().into_owned(),
            kept: None,
            interface: header.interface.clone(),
            start: header.start,
            ended: ended(&report.end),
            len_bytes: report.len_bytes,
            records: report.records,
        };
        self.store.replace_source(&source, &rollup)?;
        self.answers = Some((header.start, answers));
        Ok(IngestOutcome::Booked { packets: report.packets, skipped: result.skipped() })
    }

    fn capture(&mut self, path: &Path) -> Result<IngestOutcome, IngestError> {
        let keep_error = |folder: &Path, source| IngestError::Keep { folder: folder.into(), source };
        std::fs::create_dir_all(&self.captures).map_err(|e| keep_error(&self.captures, e))?;
        let part = self.captures.join(format!("ingest-{}{PART_SUFFIX}", std::process::id()));
        let result = self.capture_by(path, &part);
        // Whatever happened, what was not given its final name is of no use.
        _ = std::fs::remove_file(&part);
        result
    }

    fn capture_by(&mut self, path: &Path, part: &Path) -> Result<IngestOutcome, IngestError> {
        let folder = self.captures.clone();
        let keep_error = |source| IngestError::Keep { folder: folder.clone(), source };
        let mut file = BufWriter::new(File::create(part).map_err(keep_error)?);
        // The time of its first packet is not known yet; what later sources taught is told by its own time.
        let mut answers = self.take_answers(UnixNanos(i64::MAX), &[])?;
        let mut rollup = Rollup { keep_learned: true, ..Rollup::default() };
        let mut attributor = Attributor::new(&mut answers, &mut rollup);
        let result = read(path, &self.options, Some(&mut file), &mut attributor);
        let result = match result {
            Err(IngestError::Keep { source, .. }) => return Err(keep_error(source)),
            other => other?,
        };
        attributor.finish();
        file.flush().map_err(keep_error)?;
        let Read::Capture(run, sha256) = &result else { return Ok(IngestOutcome::Already) };
        let identity = sha256.unwrap_or_default();
        if self.store.source(&identity)?.is_some() {
            return Ok(IngestOutcome::Already);
        }
        let kept = folder.join(format!("{}{SEALED_SUFFIX}", run.header.file_stem()));
        file.get_ref().sync_all().map_err(keep_error)?;
        std::fs::rename(part, &kept).map_err(keep_error)?;
        let source = NewSource {
            identity: identity.to_vec(),
            kind: "capture",
            path: path.to_string_lossy().into_owned(),
            kept: Some(kept.to_string_lossy().into_owned()),
            interface: run.header.interface.clone(),
            start: run.header.start,
            ended: if run.stopped.is_some() { "cut" } else { "complete" },
            len_bytes: run.written.bytes,
            records: run.written.records,
        };
        self.store.replace_source(&source, &rollup)?;
        self.answers = None;
        let packets = run.totals.packets;
        Ok(IngestOutcome::Booked { packets, skipped: result.skipped() })
    }

    /// What is known before a source that begins at `start`.
    fn take_answers(&mut self, start: UnixNanos, identity: &[u8]) -> Result<AnswerBook, StoreError> {
        match self.answers.take() {
            Some((before, answers)) if before <= start => Ok(answers),
            _ => self.store.answers_before(start, identity),
        }
    }
}

fn ended(end: &SegmentEnd) -> &'static str {
    match end {
        SegmentEnd::Sealed { .. } => "sealed",
        SegmentEnd::Open { .. } => "open",
        SegmentEnd::Torn { .. } => "torn",
        SegmentEnd::Damaged { .. } => "damaged",
    }
}
