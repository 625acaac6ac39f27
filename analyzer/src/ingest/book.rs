//! Sources into the store: what is new, and what the new changes about the old.

use super::beside::Beside;
use super::follow::Beyond;
use super::keep::{Keeper, Kept, remove_doomed, tidy};
use super::order::{Captures, Found, Glance, in_order};
use super::pass::{Pass, Passed, Ran};
use super::plan::{Changed, Entry, InsteadOf, OfCapture, Plan, REACH_NS, Span, locate, next_plan, span_of};
use super::run::{IngestError, ReadOptions};
use super::same::{Copied, begins_with, is_of_capture, leave_out_copies, tail_of};
use super::servers::PublicServer;
use crate::archive::Archive;
use crate::attribution::{KNOWN_NS, Role, Skew};
use crate::exported::{EXPORTED, Spotted};
use crate::files;
use crate::store::{KnownSource, Store};
use imon_common::capture_file::ContentId;
use imon_common::segment::{SegmentHeader, SegmentReader, SegmentTail};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IngestOutcome {
    /// It is in the store already, whole, or was pruned from it.
    Already,
    /// It holds the packets of another source, and they count there.
    Copy(Copied),
    /// It was read and is booked.
    Booked {
        /// Packets in it.
        packets: u64,
        /// What was skipped, in words.
        skipped: Option<String>,
        /// Messages of an exporter in it that were not asked for.
        spotted: Option<Spotted>,
        /// It is a capture, and a segment of it is kept.
        is_kept: bool,
    },
}

/// What became of each path.
pub type Outcomes = Vec<(PathBuf, Result<IngestOutcome, IngestError>)>;

/// Books sources into a store. Attribution is a pure function of the facts: the books are those of
/// all sources read at once, in whatever order they come.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a mut Store,
    /// Folder in which captures are kept as segments.
    captures: PathBuf,
    options: ReadOptions,
    /// Sources that were read side by side and whose clocks are apart.
    pub skews: Vec<Skew>,
    /// A server whose bytes stand as visits of others, of what was read last.
    pub server: Option<PublicServer>,
    /// Sources that what came could change, and whose facts are gone: they stay as they are booked.
    pub gone: Vec<KnownSource>,
    /// Sources that were read: to be booked, or for what they teach.
    pub read: u64,
}

/// A path that is the same whatever the current folder is.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// New sources.
#[derive(Debug, Default)]
struct News {
    /// Each with the time of which it has new facts.
    entries: Vec<(Entry, Span)>,
    /// Identities of the packets of new captures.
    contents: HashSet<ContentId>,
    /// Where in the outcomes, and the capture behind it, by identity.
    of: HashMap<Vec<u8>, (usize, Option<Kept>)>,
}

impl News {
    fn add(&mut self, entry: Entry, span: Span, outcome: usize, kept: Option<Kept>) {
        self.of.insert(entry.identity.clone(), (outcome, kept));
        self.entries.push((entry, span));
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
                spotted: kept.and_then(|kept| kept.spotted),
                is_kept: kept.is_some(),
            }),
        }
    }
}

/// How a capture stands to what is known.
#[derive(Debug)]
enum Standing<'k> {
    /// Nothing is known of it.
    New,
    /// It is known, or is the beginning of one that is: of this one, if that was read from another
    /// file.
    Known(Option<Copied>),
    /// It is kept anew, or goes on from this one.
    InsteadOf(&'k KnownSource),
}

impl Standing<'_> {
    /// What a capture is whose packets are those of a known one, or its first ones.
    fn known(found: &Found, known: &KnownSource, is_beginning: bool) -> Self {
        let (path, of) = (found.path.clone(), PathBuf::from(&known.read_from));
        // The file itself is none, nor is one that was moved.
        let is_copy = absolute(&path) != known.read_from && of.is_file();
        Self::Known(is_copy.then_some(Copied { path, of, is_beginning }))
    }
}

/// What became of the sources that were to be booked, by identity, and identities of others that
/// are to be booked again.
type Followed = (Vec<(Vec<u8>, Passed)>, Vec<Vec<u8>>);

/// What a rebuild did.
#[derive(Debug)]
pub struct Rebuilt {
    /// Sources that were booked again.
    pub booked: u64,
    /// Sources whose facts are gone, by the path that they were read from.
    pub gone: Vec<String>,
    /// How many of them have a segment at their place that may not be read, or is another one.
    pub out_of_reach: u64,
    /// Sources that could not be read.
    pub failed: Vec<(PathBuf, IngestError)>,
}

impl<'a> Ingest<'a> {
    /// An ingest into `store` that keeps captures as segments in the folder `captures`.
    pub fn new(store: &'a mut Store, captures: PathBuf, options: ReadOptions) -> Self {
        Self { store, captures, options, skews: Vec::new(), server: None, gone: Vec::new(), read: 0 }
    }

    /// How sources are read: captures are kept under the identity of this database.
    fn read_options(&self) -> Result<ReadOptions, IngestError> {
        Ok(ReadOptions { recorder: self.store.recorder()?, ..self.options.clone() })
    }

    /// Books what is new of these files, and books again what that changes. A source that cannot be
    /// read is an error in its own outcome.
    ///
    /// # Errors
    /// The store, or the folder of captures. What was not booked is booked by the next ingest.
    pub fn sources(&mut self, paths: Vec<PathBuf>) -> Result<Outcomes, IngestError> {
        let _lock = self.store.lock()?;
        tidy(&self.captures, self.store)?;
        let (captures, options) = (self.captures.clone(), self.read_options()?);
        let mut outcomes = Outcomes::new();
        let mut news = News::default();
        let (found, copies) = leave_out_copies(in_order(paths));
        outcomes.extend(copies.into_iter().map(|copy| (copy.path.clone(), Ok(IngestOutcome::Copy(copy)))));
        let Beside { read, unchanged, again } = Beside::of(self.store, found, &options.exports)?;
        outcomes.extend(unchanged.into_iter().map(|path| (path, Ok(IngestOutcome::Already))));
        // Who has no capture asks for nothing that takes longer with each year.
        let knows_files = read.iter().any(|found| found.header().is_none()) && self.store.knows_files()?;
        let mut keeper = Keeper::new(&captures, &options, knows_files);
        let mut waiting: Vec<Option<Found>> = read.into_iter().map(Some).collect();
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
            // What nobody named has no outcome.
            let outcome = if again.contains(&path) { usize::MAX } else { outcomes.len() };
            let result = match found.is_segment() {
                Ok(true) => self.segment(found, &mut news, outcome),
                Ok(false) => {
                    let result = self.capture(&found, (&mut keeper, goes_on), &mut news, outcome);
                    next = keeper.follower(&captures);
                    result
                }
                Err(error) => Err(error),
            };
            if outcome != usize::MAX {
                outcomes.push((path, result));
            }
        }
        if news.of.values().any(|(_, kept)| kept.is_some()) {
            // What the store will name is there, whatever happens: as long as it has no final name
            // the next ingest gives it that.
            files::sync_folder(&self.captures).map_err(|source| self.keep_error(source))?;
        }
        self.book(news, &mut outcomes)?;
        Ok(outcomes)
    }

    /// Books everything from `from` on (everything, if not given) again. Gives the paths of sources
    /// whose facts are gone: they stay as they were booked.
    ///
    /// # Errors
    /// The store.
    pub fn rebuild(&mut self, from: Option<UnixNanos>) -> Result<Rebuilt, IngestError> {
        let _lock = self.store.lock()?;
        // A row that an index does not lead to could not be taken away.
        self.store.index_recorded()?;
        tidy(&self.captures, self.store)?;
        let spans = vec![Span::since(from.unwrap_or(UnixNanos(i64::MIN)))];
        let mut rebuilt = Rebuilt { booked: 0, gone: Vec::new(), out_of_reach: 0, failed: Vec::new() };
        let Some(mut plan) = next_plan(self.store, &mut Changed { spans, ..Changed::default() })? else {
            return Ok(rebuilt);
        };
        self.open_months(&mut plan.entries)?;
        rebuilt.gone = plan.gone.iter().map(|source| source.read_from.clone()).collect();
        rebuilt.out_of_reach = plan.gone.iter().filter(|source| Path::new(&source.path).exists()).count() as u64;
        self.mark(&plan.entries)?;
        let paths: HashMap<Vec<u8>, String> =
            plan.entries.iter().map(|entry| (entry.identity.clone(), entry.path.clone())).collect();
        // Everything after it is booked again: there is nobody to follow.
        let (passed, _) = self.pass(plan)?;
        remove_doomed(self.store)?;
        for (identity, passed) in passed {
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
            let file = files::open(&found.path).map_err(IngestError::Read)?;
            return Err(SegmentReader::open(file)
                .err()
                .map_or_else(|| IngestError::Read(std::io::ErrorKind::InvalidData.into()), IngestError::from));
        };
        let (identity, tail) = (header.segment.to_vec(), OnceCell::new());
        let tail = || tail.get_or_init(|| tail_of(&found.path)).as_ref();
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
        } else if self.store.is_pruned(&identity)?
            || self.is_known_capture(tail().filter(|_| is_of_capture(&header)))?
        {
            return Ok(IngestOutcome::Already);
        }
        let allow_overlap = self.options.allow_overlap || known.as_ref().is_some_and(|known| known.allow_overlap);
        let row = known.map(|known| known.id);
        let span = span_of(tail(), from);
        let entry =
            Entry { found, role: Role::Book, identity, path, capture: None, row, allow_overlap, instead_of: None };
        news.add(entry, span, outcome, None);
        Ok(IngestOutcome::Already)
    }

    /// Whether the capture is known that a segment with this end was made of.
    fn is_known_capture(&self, tail: Option<&SegmentTail>) -> Result<bool, IngestError> {
        let close = tail.and_then(|tail| tail.close.as_ref());
        let Some((_, content)) = close.and_then(|close| close.identities.last()) else { return Ok(false) };
        Ok(self.store.source_like(content, Some(content))?.is_some() || self.store.is_pruned(content)?)
    }

    /// Turns a capture into a segment, unless it is known.
    fn capture(
        &self,
        found: &Found,
        (keeper, goes_on): (&mut Keeper<'_>, bool),
        news: &mut News,
        outcome: usize,
    ) -> Result<IngestOutcome, IngestError> {
        let alike = found.start().map(|start| self.store.captures_from(start)).transpose()?.unwrap_or_default();
        let ends = alike.iter().filter_map(|known| known.capture.map(|capture| capture.packets));
        let mut kept = keeper.keep(found, goes_on, ends)?;
        let known = match self.standing(&kept, (found, &alike), news)? {
            Standing::New => None,
            Standing::InsteadOf(known) => Some(known),
            Standing::Known(copied) => {
                // If it cannot be removed, nothing is lost but room.
                _ = std::fs::remove_file(&kept.part);
                return Ok(copied.map_or(IngestOutcome::Already, IngestOutcome::Copy));
            }
        };
        news.contents.extend(kept.identities.last().map(|(_, content)| *content));
        let ended = if kept.skipped.is_some() { "cut" } else { "complete" };
        let found_kept = Found { path: kept.part.clone(), glance: Glance::Segment(Box::new(kept.header.clone())) };
        let mut span = span_of(tail_of(&kept.part).as_ref(), kept.first);
        let mut identity = kept.identity.clone();
        let instead_of = known.map(|known| {
            span = Span { from: span.from.min(known.first), to: span.to.max(known.last) };
            kept.name = PathBuf::from(&known.path);
            if known.content.as_ref() == kept.identities.last().map(|(_, content)| content) {
                identity.clone_from(&known.identity);
            }
            let run = locate(known).and_then(|found| found.header().map(|header| header.run));
            (known.id, InsteadOf { identity: known.identity.clone(), run })
        });
        let entry = Entry {
            found: found_kept,
            role: Role::Book,
            identity,
            path: absolute(&found.path),
            capture: Some(OfCapture {
                kept: kept.name.to_string_lossy().into_owned(),
                ended: ended.into(),
                facts: Some(kept.capture),
            }),
            allow_overlap: self.options.allow_overlap || known.is_some_and(|known| known.allow_overlap),
            row: instead_of.as_ref().map(|(row, _)| *row),
            instead_of: instead_of.map(|(_, of)| of),
        };
        news.add(entry, span, outcome, Some(kept));
        Ok(IngestOutcome::Already)
    }

    /// How a capture stands to what is known. `alike` are captures that begin in the same second.
    fn standing<'k>(
        &self,
        kept: &Kept,
        (found, alike): (&Found, &'k [KnownSource]),
        news: &News,
    ) -> Result<Standing<'k>, IngestError> {
        let content = kept.identities.last().map(|(_, content)| content);
        for identity in [Some(kept.identity.as_slice()), kept.sha256.as_ref().map(|hash| &hash[..])] {
            if identity.is_some_and(|identity| news.of.contains_key(identity))
                || identity.map(|identity| self.store.is_pruned(identity)).transpose()? == Some(true)
            {
                return Ok(Standing::Known(None));
            }
        }
        if content.is_some_and(|content| news.contents.contains(content)) {
            return Ok(Standing::Known(None));
        }
        let identity = kept.sha256.as_ref().map_or(kept.identity.as_slice(), |hash| &hash[..]);
        if let Some(known) = self.store.source_like(identity, content)? {
            let Some(known) = alike.iter().find(|alike| alike.id == known.id) else {
                return Ok(Standing::known(found, &known, false));
            };
            // Its packets were booked, and now the flows that its datagrams report are asked for.
            let is_export = |header: &SegmentHeader| header.link_type == EXPORTED;
            if is_export(&kept.header) && locate(known).is_some_and(|at| at.header().is_some_and(|h| !is_export(h))) {
                return Ok(Standing::InsteadOf(known));
            }
            let chain = known.capture.map(|capture| capture.chain).unwrap_or_default();
            let (now, before) = (kept.capture.chain, chain);
            // Read behind other captures than then, as they are known now; or its facts are gone.
            let anew = now.captures >= before.captures && now != before || locate(known).is_none();
            return Ok(if anew { Standing::InsteadOf(known) } else { Standing::known(found, known, false) });
        }
        let length = |known: &KnownSource| known.capture.map(|capture| capture.packets);
        for known in alike.iter().rev() {
            let (Some(packets), Some(known_content)) = (length(known), &known.content) else { continue };
            if kept.identities.contains(&(packets, *known_content)) {
                return Ok(Standing::InsteadOf(known));
            }
            if let Some(content) = content
                && packets > kept.packets
                && begins_with(known, kept.packets, content)
            {
                return Ok(Standing::known(found, known, true));
            }
        }
        Ok(Standing::New)
    }

    /// Books new sources and those that they change.
    fn book(&mut self, mut news: News, outcomes: &mut Outcomes) -> Result<(), IngestError> {
        // What an ingest that was killed did not get to.
        let stale = self.store.stale_sources()?.into_iter().filter(|source| locate(source).is_some());
        let again = stale.map(|source| source.identity).collect();
        let mut changed = Changed { new: std::mem::take(&mut news.entries), spans: Vec::new(), again };
        let spans: HashMap<Vec<u8>, Span> =
            changed.new.iter().map(|(entry, span)| (entry.identity.clone(), *span)).collect();
        let mut followed = HashSet::new();
        while let Some(mut plan) = next_plan(self.store, &mut changed)? {
            self.gone.append(&mut plan.gone);
            self.open_months(&mut plan.entries)?;
            self.mark(&plan.entries)?;
            let (passed, follow) = self.pass(plan)?;
            let booked = passed.iter().filter(|(_, passed)| matches!(passed, Passed::Booked { .. }));
            let kept = booked.filter_map(|(identity, _)| news.of.get(identity)?.1.as_ref());
            self.name(&kept.collect::<Vec<_>>()).map_err(|source| self.keep_error(source))?;
            // By their names: not before they have them.
            remove_doomed(self.store)?;
            changed.again.extend(follow.into_iter().filter(|identity| followed.insert(identity.clone())));
            for (identity, passed) in passed {
                let Some((outcome, kept)) = news.of.remove(&identity) else { continue };
                // A clock that was stepped: facts of other times than beginning and end say.
                if let (Passed::Booked { span, .. }, Some(said)) = (&passed, spans.get(&identity))
                    && !said.holds(*span)
                {
                    changed.spans.push(*span);
                }
                if let Some((_, result)) = outcomes.get_mut(outcome) {
                    *result = passed.outcome(kept.as_ref());
                }
            }
        }
        Ok(())
    }

    /// Gives segments of captures that were booked their names. That they are booked is on the disk
    /// then: a power cut must not leave a name that nobody knows. Before that the next ingest finds
    /// them under the names that they have.
    fn name(&self, kept: &[&Kept]) -> std::io::Result<()> {
        if kept.is_empty() {
            return Ok(());
        }
        self.store.sync()?;
        kept.iter().try_for_each(|kept| std::fs::rename(&kept.part, &kept.name))?;
        files::sync_folder(&self.captures)
    }

    fn keep_error(&self, source: std::io::Error) -> IngestError {
        IngestError::Keep { folder: self.captures.clone(), source }
    }

    /// Takes back the months that are put away in which sources are booked again. Sources whose
    /// month cannot be taken back, because its file is damaged, stay as they are booked.
    fn open_months(&mut self, entries: &mut [Entry]) -> Result<(), IngestError> {
        let rows: Vec<i64> = entries.iter().filter(|e| e.role == Role::Book).filter_map(|e| e.row).collect();
        if self.store.path().is_none() || rows.is_empty() {
            return Ok(());
        }
        let kept = Archive::new(self.store)?.reopen_for(&rows)?;
        entries.iter_mut().filter(|entry| entry.row.is_some_and(|row| kept.contains(&row))).for_each(|entry| {
            entry.role = Role::Learn;
        });
        Ok(())
    }

    /// Marks sources that are booked again: if this is cut short, the next ingest goes on with
    /// them.
    fn mark(&mut self, entries: &[Entry]) -> Result<(), IngestError> {
        let rows: Vec<i64> = entries.iter().filter(|e| e.role == Role::Book).filter_map(|e| e.row).collect();
        if !rows.is_empty() {
            self.store.mark_stale(&rows)?;
        }
        Ok(())
    }

    /// Reads the sources of a plan and books them. Gives what became of them, and identities of
    /// others that are to be booked again.
    fn pass(&mut self, plan: Plan) -> Result<Followed, IngestError> {
        let Plan { entries, span, others, .. } = plan;
        self.read += entries.len() as u64;
        let books = || entries.iter().filter(|entry| entry.role == Role::Book);
        let booked: HashSet<i64> = books().filter_map(|entry| entry.row).collect();
        let beyond = Beyond::of(self.store, &others, span, &books().map(|entry| entry.identity.as_slice()).collect())?;
        let read: HashSet<i64> = entries.iter().filter_map(|entry| entry.row).collect();
        let first = entries.iter().filter_map(|entry| entry.found.start()).fold(span.from, UnixNanos::min);
        // What is older is forgotten, and what is later is not known yet.
        let since = UnixNanos(first.0.saturating_sub(KNOWN_NS));
        let habits = self.store.habits(&booked, since, span.to)?;
        let answers = self.store.knowledge(&read, since, UnixNanos(span.to.0.saturating_add(REACH_NS)))?;
        let removals = self.store.removals()?;
        let pass = Pass::new(self.store, (answers, habits, removals), entries);
        let ran = pass.watch(beyond.flows()).run(&self.options);
        let Ran { passed, skews, server, settled } = ran?;
        self.skews.extend(skews);
        self.server = server.or(self.server);
        let follow = beyond.changed(self.store, settled)?;
        Ok((passed, follow))
    }
}
