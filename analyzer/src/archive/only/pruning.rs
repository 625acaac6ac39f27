//! Which rows of a file are read: those that may be asked for, and those of days that are not whole
//! ones, of which no ledger has the sums.

use super::{Only, Recorded, Unread};
use crate::archive::fold::Fold;
use crate::archive::gathering::Gathering;
use crate::archive::read::{Broken, Pool, Table, column, dictionary, primitive, span};
use crate::archive::write::PAGE_ROWS;
use crate::books::Row;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::basic::{Encoding, EncodingMask};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use std::ops::Range;
use std::sync::Arc;

/// The column of hosts that could own a row's bytes as well.
const CANDIDATES: &str = "candidates.list.element";

/// The column of who recorded.
const RECORDER: &str = "recorder";

/// Rows of a group: those of hosts that are asked for, and those of days that are not whole.
#[derive(Default)]
struct Picked {
    asked: Vec<Range<usize>>,
    edges: Vec<Range<usize>>,
    total: usize,
}

/// What of a group has to be looked at.
#[derive(Clone, Copy)]
struct Look {
    /// Its hosts, as some are asked for.
    hosts: bool,
    /// Its candidates, likewise.
    candidates: bool,
    /// Its times, as there are days that are not whole.
    edges: bool,
}

impl Gathering<'_> {
    /// The rows of a file that are asked for.
    pub(in crate::archive) fn only(
        &mut self,
        table: &Table,
        (only, recorded): (&Only<'_>, Recorded<'_>),
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let pruning = Pruning::new(table, only, recorded, self.seconds);
        for (number, group) in table.groups().iter().enumerate() {
            let (first, end) = span(group).unwrap_or((i64::MIN, i64::MAX));
            let (first, end) = (first.max(self.seconds.0), end.min(self.seconds.1));
            if first >= end {
                continue;
            }
            let edges = first < unread.days.0 || end > unread.days.1;
            let theirs = pruning.recorded(number, group)?;
            let look = match theirs {
                Recorders::None => Look { hosts: false, candidates: false, edges },
                // As the group before most likely: its dictionaries come with its columns.
                Recorders::All if self.is_dense => Look { hosts: true, candidates: true, edges },
                _ => pruning.look(group, edges)?,
            };
            if !look.hosts && !look.edges {
                continue;
            }
            self.pruned((&pruning, number), (look, theirs), unread)?;
        }
        Ok(())
    }

    /// The rows of a group that have to be read.
    fn pruned(
        &mut self,
        (pruning, number): (&Pruning<'_>, usize),
        (look, theirs): (Look, Recorders),
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let all_hosts = look.hosts && pruning.only.hosts.is_none();
        if all_hosts && matches!(theirs, Recorders::All) {
            return self.group((pruning, number, None), true, unread);
        }
        if self.is_dense && look.hosts && matches!(theirs, Recorders::All) && self.wanted.hosts {
            return self.at_once((pruning, number), look, unread);
        }
        let Picked { asked, edges, total } = match all_hosts && !look.edges {
            true => Picked { asked: Vec::new(), edges: Vec::new(), total: pruning.row_count(number) },
            false => pruning.picked(number, look, unread.days)?,
        };
        if look.hosts && !all_hosts {
            self.is_dense = is_dense(&asked, total);
        }
        let of = |ranges: Vec<Range<usize>>| RowSelection::from_consecutive_ranges(ranges.into_iter(), total);
        let edges = of(edges);
        let asked = if all_hosts { complement(&edges) } else { of(asked) };
        let (read, others) = match theirs {
            Recorders::All => (asked.union(&edges), None),
            Recorders::None => return self.selected((pruning, number, edges), false, unread),
            Recorders::Some(theirs) => {
                let others = edges.intersection(&complement(&theirs));
                (asked.union(&edges).intersection(&theirs), Some(others))
            }
        };
        self.selected((pruning, number, read), true, unread)?;
        others.map_or(Ok(()), |others| self.selected((pruning, number, others), false, unread))
    }

    fn selected(
        &mut self,
        (pruning, number, rows): (&Pruning<'_>, usize, RowSelection),
        of_recorder: bool,
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        if rows.row_count() == 0 {
            return Ok(());
        }
        self.group((pruning, number, Some(rows)), of_recorder, unread)
    }

    /// Rows of a group, all of recorders that are asked for, or none.
    fn group(
        &mut self,
        (pruning, number, rows): (&Pruning<'_>, usize, Option<RowSelection>),
        of_recorder: bool,
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let mut columns = pruning.table.columns((number, rows), (self.seconds, self.wanted))?;
        while let Some(batch) = columns.next_batch()? {
            let mut take = self.taking(pruning.only, of_recorder, unread);
            columns.usage(&batch, None, take.0, |pool, _, row| (take.1)(pool, row))?;
        }
        Ok(())
    }

    /// The same of a group of which most pages have something that is asked for: its columns are
    /// read once, and hosts are looked at beside the others.
    fn at_once(
        &mut self,
        (pruning, number): (&Pruning<'_>, usize),
        look: Look,
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let (mut texts, mut asked, mut total) = (Looked::default(), Vec::new(), 0);
        let mut columns = pruning.table.columns((number, None), (self.seconds, self.wanted))?;
        while let Some(batch) = columns.next_batch()? {
            let mut taken = vec![false; batch.num_rows()];
            pruning.mark_hosts(&batch, look, (&mut texts, &mut taken))?;
            add_taken(&mut asked, total, &taken);
            if look.edges {
                pruning.mark_edges(&batch, unread.days, &mut taken)?;
            }
            let mut rows = Vec::new();
            add_taken(&mut rows, 0, &taken);
            let mut take = self.taking(pruning.only, true, unread);
            columns.usage(&batch, Some(&rows), take.0, |pool, _, row| (take.1)(pool, row))?;
            total += batch.num_rows();
        }
        self.is_dense = is_dense(&asked, total);
        Ok(())
    }

    /// The pool, and what is done with a row.
    fn taking<'g>(
        &'g mut self,
        only: &'g Only<'_>,
        of_recorder: bool,
        unread: &'g mut Unread,
    ) -> (&'g mut Pool, impl FnMut(&Pool, Row) + 'g) {
        let Self { pool, fold, devices, has_begun, wanted, asked, apart, observed, .. } = self;
        let fold = fold.get_or_insert_with(|| Fold::new(apart, *observed));
        let take = move |pool: &Pool, mut row: Row| {
            *has_begun = true;
            let is_asked = of_recorder && asked.takes(&row, pool, only);
            unread.row(&row, pool.hosts.get(row.host), is_asked);
            if is_asked {
                row.device = if wanted.endpoints { devices.of(row.device, pool) } else { 0 };
                fold.add(row, &pool.hosts);
            }
        };
        (pool, take)
    }
}

/// Whether most pages of a group have one of these rows.
fn is_dense(rows: &[Range<usize>], total: usize) -> bool {
    let (mut hit, mut next) = (0, 0);
    for range in rows {
        let (first, end) = ((range.start / PAGE_ROWS).max(next), range.end.div_ceil(PAGE_ROWS));
        hit += end.saturating_sub(first);
        next = next.max(end);
    }
    2 * hit > total.div_ceil(PAGE_ROWS)
}

/// The rows that a selection leaves out.
fn complement(rows: &RowSelection) -> RowSelection {
    let turned = |of: &RowSelector| RowSelector { skip: !of.skip, ..*of };
    rows.iter().map(turned).collect::<Vec<_>>().into()
}

/// Of which rows the recorders are asked for.
enum Recorders {
    None,
    All,
    Some(RowSelection),
}

/// Which hosts and sets of a pool are asked for, as far as it is known.
#[derive(Default)]
pub(in crate::archive) struct Asked {
    hosts: Vec<Option<bool>>,
    sets: Vec<Option<bool>>,
}

/// What is known of a place, or found now.
fn known(of: &mut Vec<Option<bool>>, place: u32, find: impl FnOnce() -> bool) -> bool {
    let place = place as usize;
    if of.len() <= place {
        of.resize(place + 1, None);
    }
    of.get_mut(place).is_some_and(|known| *known.get_or_insert_with(find))
}

impl Asked {
    #[inline]
    pub(in crate::archive) fn takes(&mut self, row: &Row, pool: &Pool, only: &Only<'_>) -> bool {
        let Self { hosts, sets } = self;
        let mut host = |host: u32| known(hosts, host, || pool.hosts.get(host).is_some_and(|host| only.takes(host)));
        if host(row.host) {
            return true;
        }
        let Some(set) = row.candidates else { return false };
        known(sets, set, || pool.candidate_sets.get(set).into_iter().flatten().any(|candidate| host(*candidate)))
    }
}

fn chunk<'g>(group: &'g RowGroupMetaData, path: &str) -> Option<&'g ColumnChunkMetaData> {
    group.columns().iter().find(|column| column.column_path().string() == path)
}

/// How groups of a file are left out.
struct Pruning<'p> {
    table: &'p Table,
    only: &'p Only<'p>,
    recorded: Recorded<'p>,
    /// The range.
    seconds: (i64, i64),
    /// Sites of the file's own column that are asked for, where it may be relied on.
    sites: Option<&'p [String]>,
}

impl<'p> Pruning<'p> {
    fn new(table: &'p Table, only: &'p Only<'p>, recorded: Recorded<'p>, seconds: (i64, i64)) -> Self {
        let about = table.about();
        let says = |(key, value): (&String, &String)| about.get(key) == Some(value);
        let sites = only.sites.as_ref().filter(|(_, lists)| lists.iter().all(says));
        Self { table, only, recorded, seconds, sites: sites.map(|(sites, _)| sites.as_slice()) }
    }

    fn row_count(&self, number: usize) -> usize {
        let rows = self.table.groups().get(number).map_or(0, RowGroupMetaData::num_rows);
        usize::try_from(rows).unwrap_or_default()
    }

    /// Whether hosts of a group may be asked for, and where they may stand.
    fn look(&self, group: &RowGroupMetaData, edges: bool) -> Result<Look, Broken> {
        if self.only.hosts.is_none() {
            return Ok(Look { hosts: true, candidates: false, edges });
        }
        let takes = |text: &str| self.only.takes_text(text);
        // A rare site is in few groups.
        let booked = self.may_have_site(group)? && self.texts(group, "host", &takes)?.unwrap_or(true);
        let candidates = self.texts(group, CANDIDATES, &takes)?.unwrap_or(true);
        Ok(Look { hosts: booked || candidates, candidates, edges })
    }

    /// The rows of a group whose recorders are asked for, by that column alone.
    fn recorded(&self, number: usize, group: &RowGroupMetaData) -> Result<Recorders, Broken> {
        let takes = match self.recorded {
            Recorded::All(true) => return Ok(Recorders::All),
            Recorded::All(false) => return Ok(Recorders::None),
            Recorded::ByRow(takes) => takes,
        };
        if self.texts(group, RECORDER, takes)? == Some(false) {
            return Ok(Recorders::None);
        }
        let (mut ranges, mut at): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
        let mut texts = Texts::default();
        for batch in self.table.group_reader(&[RECORDER], (number, None))? {
            let batch = batch?;
            let column = dictionary(&batch, RECORDER)?;
            texts.begin(column, takes)?;
            let taken: Vec<bool> = column.keys().values().iter().map(|key| texts.is_asked(*key)).collect();
            add_taken(&mut ranges, at, &taken);
            at += batch.num_rows();
        }
        Ok(match &ranges[..] {
            [] => Recorders::None,
            [all] if *all == (0..at) => Recorders::All,
            _ => Recorders::Some(RowSelection::from_consecutive_ranges(ranges.into_iter(), at)),
        })
    }

    /// Whether the Bloom filter of sites leaves it open.
    fn may_have_site(&self, group: &RowGroupMetaData) -> Result<bool, Broken> {
        let (Some(sites), Some(column)) = (self.sites, chunk(group, "site")) else { return Ok(true) };
        let filter = Sbbf::read_from_column_chunk(column, self.table.input())?;
        Ok(filter.is_none_or(|filter| sites.iter().any(|site| filter.check(site.as_str()))))
    }

    /// Whether a column's dictionary has a text that is asked for; `None`: it does not hold all.
    fn texts(
        &self,
        group: &RowGroupMetaData,
        path: &str,
        takes: &dyn Fn(&str) -> bool,
    ) -> Result<Option<bool>, Broken> {
        let Some(column) = chunk(group, path) else { return Ok(None) };
        let only_dictionary = |mask: &EncodingMask| !mask.is_set(Encoding::PLAIN);
        if !column.page_encoding_stats_mask().is_some_and(only_dictionary) {
            return Ok(None);
        }
        let rows = usize::try_from(group.num_rows()).unwrap_or_default();
        let input = Arc::new(self.table.input().clone());
        let mut pages = SerializedPageReader::new(input, column, rows, None)?;
        let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else { return Ok(None) };
        // Of each value its length, in four bytes, and the value (PLAIN of the Parquet format).
        let mut rest: &[u8] = &buf;
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
            let Some((text, after)) = after.split_at_checked(len) else { return Ok(None) };
            if std::str::from_utf8(text).is_ok_and(takes) {
                return Ok(Some(true));
            }
            rest = after;
        }
        Ok(Some(false))
    }

    /// The rows of a group that may be asked for, by its columns of hosts and times alone.
    fn picked(&self, number: usize, look: Look, days: (i64, i64)) -> Result<Picked, Broken> {
        let by_hosts = look.hosts && self.only.hosts.is_some();
        let columns = [(look.edges, "start"), (by_hosts, "host"), (by_hosts && look.candidates, "candidates")];
        let columns: Vec<&str> = columns.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        let (mut picked, mut texts) = (Picked::default(), Looked::default());
        for batch in self.table.group_reader(&columns, (number, None))? {
            let batch = batch?;
            let (mut taken, mut is_edge) = (vec![false; batch.num_rows()], vec![false; batch.num_rows()]);
            if by_hosts {
                self.mark_hosts(&batch, look, (&mut texts, &mut taken))?;
            }
            if look.edges {
                self.mark_edges(&batch, days, &mut is_edge)?;
            }
            add_taken(&mut picked.asked, picked.total, &taken);
            add_taken(&mut picked.edges, picked.total, &is_edge);
            picked.total += batch.num_rows();
        }
        Ok(picked)
    }

    /// Marks rows of the range that are of days that are not whole.
    fn mark_edges(&self, batch: &RecordBatch, days: (i64, i64), marks: &mut [bool]) -> Result<(), Broken> {
        let starts = primitive::<TimestampMicrosecondType>(batch, "start")?;
        for (mark, micros) in marks.iter_mut().zip(starts) {
            let second = micros.div_euclid(1_000_000);
            let is_inside = second >= self.seconds.0 && second < self.seconds.1;
            *mark |= is_inside && (second < days.0 || second >= days.1);
        }
        Ok(())
    }

    /// Marks rows of hosts that are asked for.
    fn mark_hosts(
        &self,
        batch: &RecordBatch,
        look: Look,
        (texts, marks): (&mut Looked, &mut [bool]),
    ) -> Result<(), Broken> {
        let takes = |text: &str| self.only.takes_text(text);
        let hosts = dictionary(batch, "host")?;
        texts.hosts.begin(hosts, &takes)?;
        for (mark, key) in marks.iter_mut().zip(hosts.keys().values()) {
            *mark |= texts.hosts.is_asked(*key);
        }
        if !look.candidates {
            return Ok(());
        }
        let form = || Broken::Form("candidates".to_owned());
        let lists = column(batch, "candidates")?.as_list_opt::<i32>().ok_or_else(form)?;
        let names = lists.values().as_dictionary_opt::<Int32Type>().ok_or_else(form)?;
        texts.candidates.begin(names, &takes)?;
        if !texts.candidates.has_any() {
            return Ok(());
        }
        // Few rows have candidates: those of the ones that are asked for are looked up.
        let offsets = lists.value_offsets();
        for (place, _) in names.keys().values().iter().enumerate().filter(|(_, key)| texts.candidates.is_asked(**key)) {
            let row = offsets.partition_point(|from| usize::try_from(*from).is_ok_and(|from| from <= place));
            if let Some(mark) = row.checked_sub(1).and_then(|row| marks.get_mut(row)) {
                *mark = true;
            }
        }
        Ok(())
    }
}

/// What was found out of the dictionaries of a group.
#[derive(Default)]
struct Looked {
    hosts: Texts,
    candidates: Texts,
}

/// Which texts of a dictionary are asked for: it is that of the batch before, mostly.
#[derive(Default)]
struct Texts {
    values: Option<ArrayRef>,
    is_asked: Vec<bool>,
}

impl Texts {
    /// The next rows are of this column.
    fn begin(&mut self, column: &DictionaryArray<Int32Type>, takes: &dyn Fn(&str) -> bool) -> Result<(), Broken> {
        if self.values.as_ref().is_none_or(|values| !Arc::ptr_eq(values, column.values())) {
            let values: &StringArray =
                column.values().as_string_opt().ok_or_else(|| Broken::Form("texts".to_owned()))?;
            self.is_asked = values.iter().map(|text| text.is_some_and(takes)).collect();
            self.values = Some(Arc::clone(column.values()));
        }
        Ok(())
    }

    fn has_any(&self) -> bool {
        self.is_asked.contains(&true)
    }

    /// A key that no dictionary has is that of a file that is broken: reading it says so.
    #[inline]
    fn is_asked(&self, key: i32) -> bool {
        usize::try_from(key).ok().and_then(|key| self.is_asked.get(key).copied()).unwrap_or(true)
    }
}

/// Adds the rows of a batch, whose first one is row `at`, that are taken.
fn add_taken(ranges: &mut Vec<Range<usize>>, at: usize, taken: &[bool]) {
    for (i, _) in taken.iter().enumerate().filter(|(_, taken)| **taken) {
        match ranges.last_mut() {
            Some(last) if last.end == at + i => last.end += 1,
            _ => ranges.push(at + i..at + i + 1),
        }
    }
}
