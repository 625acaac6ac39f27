//! Sources into the store.

use super::run::{IngestError, Read, ReadOptions, Taker, read};
use crate::attribution::{AnswerBook, Attributor};
use crate::input::{self, InputError, Kind};
use crate::rollup::{Rollup, Rollups};
use crate::store::{NewSource, Store};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX, SegmentEnd, SegmentHeader, SegmentReader};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Segments of one run that wait to be written together, at most: ten days of hourly ones. Beyond it the flows that are
/// alive are booked with what is known.
const MAX_WAITING: usize = 240;

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestOutcome {
    /// It is in the store already, whole.
    Already,
    /// It was read and is booked, at the latest by [`Ingest::finish`].
    Booked {
        /// Packets of its usage rows.
        packets: u64,
        /// What was skipped, in words.
        skipped: Option<String>,
    },
}

/// A source that was read and waits for the end of its run.
#[derive(Debug)]
struct Waiting {
    source: NewSource,
    /// The segment of a capture, and the name that it gets when it is booked.
    kept: Option<(PathBuf, PathBuf)>,
}

/// Books sources into a store. Segments of one run of a recorder are attributed as one, and written when the run is
/// over: each in a transaction of its own.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a mut Store,
    /// Folder in which captures are kept as segments.
    captures: PathBuf,
    options: ReadOptions,
    attributor: Attributor<Rollups>,
    waiting: Vec<Waiting>,
    run: Option<[u8; 16]>,
    /// What went wrong while a source began.
    failed: Option<IngestError>,
}

impl<'a> Ingest<'a> {
    /// An ingest into `store` that keeps captures as segments in the folder `captures`.
    pub fn new(store: &'a mut Store, captures: PathBuf, options: ReadOptions) -> Self {
        let attributor = Attributor::new(AnswerBook::default(), Rollups::default());
        Self { store, captures, options, attributor, waiting: Vec::new(), run: None, failed: None }
    }

    /// Reads one source.
    ///
    /// # Errors
    /// [`IngestError`]; nothing of this source is booked then.
    pub fn source(&mut self, path: &Path) -> Result<IngestOutcome, IngestError> {
        let result = match input::classify(path)? {
            Kind::Segment => self.segment(path),
            Kind::Capture => self.capture(path),
            Kind::Other(found) => Err(IngestError::Neither { found }),
            Kind::Folder => Err(InputError::Folder { path: path.to_owned() }.into()),
        };
        let result = self.failed.take().map_or(result, Err);
        if !matches!(result, Ok(IngestOutcome::Booked { .. })) {
            self.forget_unbooked();
        }
        result
    }

    /// Writes what still waits.
    ///
    /// # Errors
    /// The store, or the folder of captures; sources that were not written are read again next time.
    pub fn finish(mut self) -> Result<(), IngestError> {
        self.write_waiting()
    }

    fn segment(&mut self, path: &Path) -> Result<IngestOutcome, IngestError> {
        let file = File::open(path).map_err(IngestError::Read)?;
        let len_bytes = file.metadata().map_err(IngestError::Read)?.len();
        let header = SegmentReader::open(file)?.header().clone();
        let waits = self.waiting.iter().any(|w| w.source.identity == header.segment);
        let known = self.store.source(&header.segment)?.is_some_and(|known| known.len_bytes >= len_bytes);
        if waits || known {
            return Ok(IngestOutcome::Already);
        }
        let result = read(path, &self.options.clone(), None, self)?;
        let Read::Segment(_, report) = &result else { return Ok(IngestOutcome::Already) };
        if let Some(rollup) = self.attributor.ledger.0.last_mut() {
            rollup.note_damage(report);
        }
        let source = NewSource {
            identity: header.segment.to_vec(),
            kind: "segment",
            path: path.to_string_lossy().into_owned(),
            kept: None,
            kept_segment: None,
            interface: header.interface.clone(),
            start: header.start,
            ended: ended(&report.end),
            len_bytes: report.len_bytes,
            records: report.records,
        };
        self.waiting.push(Waiting { source, kept: None });
        Ok(IngestOutcome::Booked { packets: report.packets, skipped: result.skipped() })
    }

    fn capture(&mut self, path: &Path) -> Result<IngestOutcome, IngestError> {
        std::fs::create_dir_all(&self.captures).map_err(|e| self.keep_error(e))?;
        remove_leftovers(&self.captures);
        let part = self.captures.join(format!("ingest-{}-{}{PART_SUFFIX}", std::process::id(), self.waiting.len()));
        let result = self.capture_by(path, &part);
        if !matches!(result, Ok(IngestOutcome::Booked { .. })) {
            // What will not be booked is not kept. If it cannot be removed, nothing is lost but room.
            _ = std::fs::remove_file(&part);
        }
        result
    }

    fn capture_by(&mut self, path: &Path, part: &Path) -> Result<IngestOutcome, IngestError> {
        let mut file = BufWriter::new(File::create(part).map_err(|e| self.keep_error(e))?);
        let result = match read(path, &self.options.clone(), Some(&mut file), self) {
            Err(IngestError::Keep { source, .. }) => return Err(self.keep_error(source)),
            other => other?,
        };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|e| self.keep_error(e))?;
        let Read::Capture(run, sha256) = &result else { return Ok(IngestOutcome::Already) };
        let identity = sha256.unwrap_or_default().to_vec();
        if self.store.source(&identity)?.is_some() || self.waiting.iter().any(|w| w.source.identity == identity) {
            return Ok(IngestOutcome::Already);
        }
        let kept = self.captures.join(format!("{}{SEALED_SUFFIX}", run.header.file_stem()));
        let source = NewSource {
            identity,
            kind: "capture",
            path: path.to_string_lossy().into_owned(),
            kept: Some(kept.to_string_lossy().into_owned()),
            kept_segment: Some(run.header.segment),
            interface: run.header.interface.clone(),
            start: run.header.start,
            ended: if run.stopped.is_some() { "cut" } else { "complete" },
            len_bytes: file.get_ref().metadata().map_err(IngestError::Read)?.len(),
            records: run.written.records,
        };
        self.waiting.push(Waiting { source, kept: Some((part.into(), kept)) });
        Ok(IngestOutcome::Booked { packets: run.totals.packets, skipped: result.skipped() })
    }

    fn keep_error(&self, source: io::Error) -> IngestError {
        IngestError::Keep { folder: self.captures.clone(), source }
    }

    /// Drops what was read of a source that is not booked. The next one begins with what the store knows.
    fn forget_unbooked(&mut self) {
        if self.attributor.ledger.0.len() > self.waiting.len() {
            self.attributor.settle_all();
            self.attributor.ledger.0.truncate(self.waiting.len());
            self.run = None;
        }
    }

    /// Settles all flows and writes every source that waits.
    fn write_waiting(&mut self) -> Result<(), IngestError> {
        self.attributor.settle_all();
        let rollups = std::mem::take(&mut self.attributor.ledger.0);
        let mut result = Ok(());
        for (Waiting { source, kept }, rollup) in std::mem::take(&mut self.waiting).into_iter().zip(rollups) {
            if result.is_ok() {
                result = self.store.replace_source(&source, &rollup).map_err(IngestError::from);
            }
            let Some((part, name)) = kept else { continue };
            // Only what is booked gets its final name, and what is not booked is not kept.
            if result.is_ok() {
                result = std::fs::rename(part, name).map_err(|e| self.keep_error(e));
            } else {
                _ = std::fs::remove_file(part);
            }
        }
        result
    }

    fn begin_run(&mut self, header: &SegmentHeader) -> Result<(), IngestError> {
        if self.run != Some(header.recorder) || self.waiting.len() >= MAX_WAITING {
            self.write_waiting()?;
            let answers = self.store.answers_before(header.start, &header.segment)?;
            self.attributor.set_answers(answers);
            self.attributor.follow_pages(self.store.habits_before(header.start, &header.segment)?);
            self.run = Some(header.recorder);
        }
        Ok(())
    }
}

impl Taker for Ingest<'_> {
    fn begin(&mut self, header: &SegmentHeader) {
        if let Err(error) = self.begin_run(header) {
            self.failed = Some(error);
        }
        self.attributor.ledger.0.push(Rollup { keep_learned: true, ..Rollup::default() });
        self.attributor.begin_run(header.recorder);
        self.attributor.set_source(self.waiting.len());
    }
}

impl Observer for Ingest<'_> {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.attributor.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.attributor.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.attributor.counts(ts, counts)
    }
}

/// Removes what an ingest that was killed left unfinished: its sources are not booked and will be read again. Files of a
/// process that lives are its own.
fn remove_leftovers(captures: &Path) {
    let entries = std::fs::read_dir(captures).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let process = name.to_str().and_then(|n| n.strip_prefix("ingest-")).and_then(|n| n.split('-').next());
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(process) = process.filter(is_number)
            && !Path::new("/proc").join(process).exists()
        {
            // If it cannot be removed, nothing is lost but room.
            _ = std::fs::remove_file(entry.path());
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
