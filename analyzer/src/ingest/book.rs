//! Sources into the store: what is new, and what the new changes about the old.

use super::keep::{Keeper, Kept, tidy};
use super::order::{Captures, Found, Glance, in_order};
use super::pass::{Pass, Passed};
use super::plan::{Entry, locate, plan};
use super::run::{IngestError, ReadOptions};
use crate::attribution::{KNOWN_NS, Role};
use crate::store::Store;
use imon_common::capture_file::ContentId;
use imon_common::segment::SegmentReader;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestOutcome {
    /// It is in the store already, whole, or was pruned from it.
    Already,
    /// It was read and is booked.
    Booked {
        /// Packets in it.
        packets: u64,
        /// What was skipped, in words.
        skipped: Option<String>,
    },
}

/// What became of each path.
pub type Outcomes = Vec<(PathBuf, Result<IngestOutcome, IngestError>)>;

/// Books sources into a store. Attribution is a pure function of the facts: the books are those of all sources read at
/// once, in whatever order they come.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a mut Store,
    /// Folder in which captures are kept as segments.
    captures: PathBuf,
    options: ReadOptions,
}

/// A path that is the same whatever the current folder is.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// New sources, and the earliest time that they change.
#[derive(Debug, Default)]
struct News {
    entries: Vec<Entry>,
    from: Option<UnixNanos>,
    /// Identities of the packets of new captures.
    contents: HashSet<ContentId>,
    /// Where in the outcomes, and the capture behind it, by identity.
    of: HashMap<Vec<u8>, (usize, Option<Kept>)>,
}

impl News {
    fn add(&mut self, entry: Entry, from: UnixNanos, outcome: usize, kept: Option<Kept>) {
        self.from = Some(self.from.map_or(from, |earlier| earlier.min(from)));
        self.of.insert(entry.identity.clone(), (outcome, kept));
        self.entries.push(entry);
    }
}

impl Drop for News {
    /// What was not booked is not kept. If a file cannot be removed, nothing is lost but room.
    fn drop(&mut self) {
        for (_, kept) in self.of.values() {
            _ = kept.as_ref().map(|kept| std::fs::remove_file(&kept.part));
        }
    }
}

impl Passed {
    /// What became of the source, with the capture behind it.
    fn outcome(self, kept: Option<&Kept>) -> Result<IngestOutcome, IngestError> {
        match self {
            Self::Failed(error) => Err(error),
            Self::Booked { packets, skipped, .. } => Ok(IngestOutcome::Booked {
                packets: kept.map_or(packets, |kept| kept.packets),
                skipped: kept.map_or(skipped, |kept| kept.skipped.clone()),
            }),
        }
    }
}

/// What a rebuild did.
#[derive(Debug)]
pub struct Rebuilt {
    /// Sources that were booked again.
    pub booked: u64,
    /// Sources whose facts are gone, by the path that they were read from.
    pub gone: Vec<String>,
    /// Sources that could not be read.
    pub failed: Vec<(PathBuf, IngestError)>,
}

impl<'a> Ingest<'a> {
    /// An ingest into `store` that keeps captures as segments in the folder `captures`.
    pub fn new(store: &'a mut Store, captures: PathBuf, options: ReadOptions) -> Self {
        Self { store, captures, options }
    }

    /// How sources are read: captures are kept under the identity of this database.
    fn read_options(&self) -> Result<ReadOptions, IngestError> {
        Ok(ReadOptions { recorder: self.store.recorder()?, ..self.options.clone() })
    }

    /// Books what is new of these files, and books again what that changes. A source that cannot be read is an error in
    /// its own outcome.
    ///
    /// # Errors
    /// The store, or the folder of captures. What was not booked is booked by the next ingest.
    pub fn sources(&mut self, paths: Vec<PathBuf>) -> Result<Outcomes, IngestError> {
        let _lock = self.store.lock()?;
        tidy(&self.captures, self.store)?;
        let (captures, options) = (self.captures.clone(), self.read_options()?);
        let mut outcomes = Outcomes::new();
        let mut news = News::default();
        let mut keeper = Keeper::new(&captures, &options);
        let mut waiting: Vec<Option<Found>> = in_order(paths).into_iter().map(Some).collect();
        let mut captures = Captures::default();
        for (place, found) in waiting.iter().flatten().enumerate().filter(|(_, found)| found.header().is_none()) {
            captures.add(place, found);
        }
        let mut places = 0..waiting.len();
        let mut next = None;
        while let Some((place, goes_on)) = next.take().map(|n| (n, true)).or_else(|| Some((places.next()?, false))) {
            // One that went on with another has had its turn.
            let Some(found) = waiting.get_mut(place).and_then(Option::take) else { continue };
            captures.take(place, &found);
            let path = found.path.clone();
            let result = match found.is_segment() {
                Ok(true) => self.segment(found, &mut news, outcomes.len()),
                Ok(false) => {
                    let result = self.capture(&found, &mut keeper, goes_on, &mut news, outcomes.len());
                    next = keeper.follower(&captures);
                    result
                }
                Err(error) => Err(error),
            };
            outcomes.push((path, result));
        }
        self.book(news, &mut outcomes)?;
        Ok(outcomes)
    }

    /// Books everything from `from` on (everything, if not given) again. Gives the paths of sources whose facts are gone:
    /// they stay as they were booked.
    ///
    /// # Errors
    /// The store.
    pub fn rebuild(&mut self, from: Option<UnixNanos>) -> Result<Rebuilt, IngestError> {
        let _lock = self.store.lock()?;
        tidy(&self.captures, self.store)?;
        let plan = plan(self.store, Vec::new(), from.unwrap_or(UnixNanos(i64::MIN)))?;
        let gone = plan.gone.iter().map(|source| source.read_from.clone()).collect();
        self.mark(&plan.entries)?;
        let paths: HashMap<Vec<u8>, String> =
            plan.entries.iter().map(|entry| (entry.identity.clone(), entry.path.clone())).collect();
        let mut rebuilt = Rebuilt { booked: 0, gone, failed: Vec::new() };
        for (identity, passed) in self.pass(plan.entries, |_| Ok(()))? {
            match passed {
                Passed::Failed(error) => {
                    rebuilt.failed.push((paths.get(&identity).cloned().unwrap_or_default().into(), error));
                }
                Passed::Booked { .. } => rebuilt.booked += 1,
            }
        }
        Ok(rebuilt)
    }

    /// Looks at a segment: is there anything new in it?
    fn segment(&mut self, found: Found, news: &mut News, outcome: usize) -> Result<IngestOutcome, IngestError> {
        let Some(header) = found.header().cloned() else {
            // Its header is damaged: the reader says how.
            let file = std::fs::File::open(&found.path).map_err(IngestError::Read)?;
            return Err(SegmentReader::open(file)
                .err()
                .map_or_else(|| IngestError::Read(std::io::ErrorKind::InvalidData.into()), IngestError::from));
        };
        let identity = header.segment.to_vec();
        let len_bytes = std::fs::metadata(&found.path).map_err(IngestError::Read)?.len();
        let path = absolute(&found.path);
        // The interval in which it begins.
        let mut from = UnixNanos(header.start.0.saturating_sub(NANOS_PER_SECOND));
        let known = self.store.source(&identity)?;
        if let Some(known) = &known {
            if known.kept.is_some() {
                return Ok(IngestOutcome::Already); // as the capture that it was
            }
            if known.path != path {
                self.store.moved(known.id, &path)?;
            }
            if known.len_bytes >= len_bytes {
                return Ok(IngestOutcome::Already);
            }
            from = known.last;
        } else if self.store.is_pruned(&identity)? {
            return Ok(IngestOutcome::Already);
        }
        let row = known.map(|known| known.id);
        let entry = Entry { found, role: Role::Book, identity, path, capture: None, row };
        news.add(entry, from, outcome, None);
        Ok(IngestOutcome::Already)
    }

    /// Turns a capture into a segment, unless it is known.
    fn capture(
        &self,
        found: &Found,
        keeper: &mut Keeper<'_>,
        goes_on: bool,
        news: &mut News,
        outcome: usize,
    ) -> Result<IngestOutcome, IngestError> {
        let kept = keeper.keep(found, goes_on)?;
        let identity = kept.sha256.to_vec();
        let mut known = self.store.source(&identity)?.is_some() || self.store.is_pruned(&identity)?;
        known |= news.of.contains_key(&identity);
        // The same packets in another file: compressed, or in the other format.
        if let Some(content) = kept.content {
            known = known || self.store.has_content(&content)? || self.store.is_pruned(&content)?;
            known |= !known && !news.contents.insert(content);
        }
        if known {
            // If it cannot be removed, nothing is lost but room.
            _ = std::fs::remove_file(&kept.part);
            return Ok(IngestOutcome::Already);
        }
        let ended = if kept.skipped.is_some() { "cut" } else { "complete" };
        let entry = Entry {
            found: Found { path: kept.part.clone(), glance: Glance::Segment(Box::new(kept.header.clone())) },
            role: Role::Book,
            identity,
            path: absolute(&found.path),
            capture: Some((kept.name.to_string_lossy().into_owned(), ended.into())),
            row: None,
        };
        news.add(entry, kept.first, outcome, Some(kept));
        Ok(IngestOutcome::Already)
    }

    /// Books new sources and those that they change.
    fn book(&mut self, mut news: News, outcomes: &mut Outcomes) -> Result<(), IngestError> {
        // What an ingest that was killed did not get to.
        let stale = self.store.known_sources()?.into_iter().filter(|source| source.stale && locate(source).is_some());
        let mut from = stale.map(|source| source.first).chain(news.from).min();
        let mut new = std::mem::take(&mut news.entries);
        while let Some(since) = from {
            let plan = plan(self.store, std::mem::take(&mut new), since)?;
            self.mark(&plan.entries)?;
            let of = &mut news.of;
            let passed = self.pass(plan.entries, |identity| {
                // Only what is booked gets its final name.
                match of.get(identity).and_then(|(_, kept)| kept.as_ref()) {
                    Some(kept) => std::fs::rename(&kept.part, &kept.name),
                    None => Ok(()),
                }
            });
            from = None;
            for (identity, passed) in passed? {
                let Some((outcome, kept)) = news.of.remove(&identity) else { continue };
                // A clock that was stepped back: facts that are older than the header says.
                if let Passed::Booked { first, .. } = &passed
                    && *first < since
                {
                    from = from.min(Some(*first)).or(Some(*first));
                }
                if let Some((_, result)) = outcomes.get_mut(outcome) {
                    *result = passed.outcome(kept.as_ref());
                }
            }
        }
        Ok(())
    }

    /// Marks sources that are booked again: if this is cut short, the next ingest goes on with them.
    fn mark(&mut self, entries: &[Entry]) -> Result<(), IngestError> {
        let rows: Vec<i64> = entries.iter().filter(|e| e.role == Role::Book).filter_map(|e| e.row).collect();
        if !rows.is_empty() {
            self.store.mark_stale(&rows)?;
        }
        Ok(())
    }

    /// Reads the sources of a plan and books them; `named` is called when one is booked.
    fn pass(
        &mut self,
        entries: Vec<Entry>,
        named: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Vec<(Vec<u8>, Passed)>, IngestError> {
        let booked: HashSet<i64> = entries.iter().filter(|e| e.role == Role::Book).filter_map(|e| e.row).collect();
        let habits = self.store.habits(&booked)?;
        let read: HashSet<i64> = entries.iter().filter_map(|entry| entry.row).collect();
        let first = entries.iter().filter_map(|entry| entry.found.start()).min().unwrap_or_default();
        // What is older is forgotten.
        let answers = self.store.knowledge(&read, UnixNanos(first.0.saturating_sub(KNOWN_NS)))?;
        Pass::new(self.store, (answers, habits), entries, &self.captures, named).run(&self.options)
    }
}
