//! A question that asks for some hosts or recorders: of a dataset only the groups of rows are read
//! that may have them. What the ledger says of all bytes comes from the sums of days that ledgers
//! have.

use super::door::Gathering;
use super::read::{Broken, OTHER_NAMES, Pool, Table, dictionary};
use super::sheets::{DAY_S, class};
use super::text;
use super::write::DaySum;
use crate::books::month::Month;
use crate::books::{Blind, Evidence, Host, Row, Traffic};
use crate::recorders::RecorderName;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch, StringArray};
use imon_common::names::Name;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::basic::{Encoding, EncodingMask};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// The column of hosts that could own a row's bytes as well.
const CANDIDATES: &str = "candidates.list.element";

/// The column of who recorded.
const RECORDER: &str = "recorder";

/// Whether a host is asked for.
pub type Takes<'a> = Box<dyn Fn(&Host) -> bool + 'a>;

/// Which rows a question asks for.
pub struct Only<'a> {
    hosts: Option<Takes<'a>>,
    /// Sites that stand for the same hosts, and what a file has to say of the lists that made its
    /// column of sites for that to be so.
    sites: Option<(Vec<String>, BTreeMap<String, String>)>,
    recorders: &'a [RecorderName],
    /// What was found out of texts of hosts.
    known: RefCell<HashMap<String, bool>>,
}

impl std::fmt::Debug for Only<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Only").field("sites", &self.sites).finish_non_exhaustive()
    }
}

impl<'a> Only<'a> {
    /// Rows of hosts that `hosts` takes (`None`: of all), and of these recorders (empty: of all);
    /// `None` where every row is asked for.
    pub fn new(hosts: Option<Takes<'a>>, recorders: &'a [RecorderName]) -> Option<Self> {
        let asks = hosts.is_some() || !recorders.is_empty();
        asks.then(|| Self { hosts, sites: None, recorders, known: RefCell::default() })
    }

    /// The hosts are all those of these sites, as lists have them of which a file says `about`.
    #[must_use]
    pub fn of_sites(self, sites: Option<Vec<String>>, about: BTreeMap<String, String>) -> Self {
        Self { sites: sites.map(|sites| (sites, about)), ..self }
    }

    /// Whether what a file has may be asked for; see [`super::Dataset`] for who recorded it.
    pub(super) fn takes_recorder(&self, recorder: Option<Option<[u8; 16]>>) -> bool {
        let Some(recorder) = recorder.filter(|_| !self.recorders.is_empty()) else { return true };
        self.recorders.iter().any(|name| name.is(recorder))
    }

    /// Whether it asks for some recorders.
    pub(super) fn asks_for_recorders(&self) -> bool {
        !self.recorders.is_empty()
    }

    fn takes(&self, host: &Host) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts(host))
    }

    /// Whether a text may be a host that is asked for: as a name, or as an address.
    fn takes_text(&self, text: &str) -> bool {
        if let Some(known) = self.known.borrow().get(text) {
            return *known;
        }
        let hosts = [text::to_host(text, true), text::to_host(text, false)];
        let takes = hosts.iter().flatten().any(|host| self.takes(host));
        self.known.borrow_mut().insert(text.to_owned(), takes);
        takes
    }
}

/// Whether the recorder of a file's rows is asked for.
#[derive(Clone, Copy)]
pub(super) enum Recorded<'r> {
    /// All of it has one, which is asked for or not.
    All(bool),
    /// It has several: what their texts say.
    ByRow(&'r dyn Fn(&str) -> bool),
}

/// What was not read, summed up.
pub(super) struct Unread {
    /// The whole UTC days of the range: of those ledgers have sums.
    days: (i64, i64),
    /// Packets and bytes of classes of rows, and of hosts that carry tunnels.
    sums: BTreeMap<([u8; 4], String), [i128; 2]>,
}

impl Unread {
    pub(super) fn new((from_s, to_s): (i64, i64)) -> Self {
        let up = from_s.checked_add(DAY_S - 1).map_or(i64::MIN, |s| s.div_euclid(DAY_S) * DAY_S);
        let first = if from_s == i64::MIN { i64::MIN } else { up };
        let end = if to_s == i64::MAX { i64::MAX } else { to_s.div_euclid(DAY_S) * DAY_S };
        // A range within a day has no whole one.
        let days = if first < end { (first, end) } else { (from_s, from_s) };
        Self { days, sums: BTreeMap::new() }
    }

    /// Whether all of a month is of whole days.
    pub(super) fn has_whole(&self, month: Month) -> bool {
        let (first, end) = month.seconds();
        self.days.0 <= first && end <= self.days.1
    }

    /// Adds what a ledger has of whole days.
    pub(super) fn sums(&mut self, ledger: &Table) -> Result<(), Broken> {
        let days = self.days;
        ledger.day_sums(days, &mut |DaySum { class, carrier, packets, bytes, .. }| {
            self.add((class, carrier), [packets.into(), bytes.into()]);
        })
    }

    fn add(&mut self, key: ([u8; 4], String), amounts: [i128; 2]) {
        let sums = self.sums.entry(key).or_default();
        sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum = sum.saturating_add(amount));
    }

    /// A row of the range: `asked`: it is in the books by itself.
    fn row(&mut self, row: &Row, host: Option<&Host>, is_asked: bool) {
        let is_summed = row.bucket_s >= self.days.0 && row.bucket_s < self.days.1;
        if is_summed != is_asked {
            return;
        }
        let carrier = host.filter(|_| row.blind == Some(Blind::Tunnel)).map(text::of_host).unwrap_or_default();
        let [up_bytes, down_bytes, up_packets, down_packets] = row.amounts().map(i128::from);
        let sign = if is_asked { -1 } else { 1 };
        let amounts = [sign * (up_packets + down_packets), sign * (up_bytes + down_bytes)];
        self.add((class(row, host), carrier), amounts);
    }

    /// Rows of it, whose hosts follow `hosts` others, and these hosts.
    pub(super) fn rows(self, hosts: usize) -> (Vec<Row>, Vec<Host>) {
        let (mut rows, mut added) = (Vec::new(), Vec::new());
        for (([evidence, traffic, blind, named], carrier), [packets, bytes]) in self.sums {
            let amount = |of: i128| u64::try_from(of.max(0)).unwrap_or(u64::MAX);
            let (Some(evidence), Some(traffic)) = (Evidence::from_number(evidence), Traffic::from_number(traffic))
            else {
                continue;
            };
            if packets <= 0 && bytes <= 0 {
                continue;
            }
            let nobody = || match named {
                0 => Some(Host::Address(IpAddr::from([0, 0, 0, 0]))),
                _ => Name::from_presentation(OTHER_NAMES).map(Host::Name),
            };
            let Some(host) = text::to_host(&carrier, named != 0).or_else(nobody) else { continue };
            let place = u32::try_from(hosts.saturating_add(added.len())).unwrap_or(u32::MAX);
            added.push(host);
            rows.push(Row {
                bucket_s: 0,
                host: place,
                device: 0,
                evidence,
                traffic,
                candidates: None,
                blind: Blind::from_number(blind),
                interface: 0,
                source: 0,
                up_bytes: amount(bytes),
                down_bytes: 0,
                up_packets: amount(packets),
                down_packets: 0,
            });
        }
        (rows, added)
    }
}

/// What is to be read of a group.
enum Wish {
    Nothing,
    All,
    These(RowSelection),
}

impl Gathering<'_> {
    /// The rows of a file that are asked for.
    pub(super) fn only(
        &mut self,
        table: &Table,
        (only, recorded): (&Only<'_>, Recorded<'_>),
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let may_prune = Pruning::new(table, only, recorded);
        let seconds = self.seconds;
        for (number, group) in table.groups().iter().enumerate() {
            let is_whole = match span(group) {
                Some((first, end)) if end <= seconds.0 || first >= seconds.1 => continue,
                Some((first, end)) => first >= unread.days.0 && end <= unread.days.1,
                None => false,
            };
            let theirs = may_prune.recorded(number, group)?;
            if is_whole {
                let rows = match may_prune.wish(number, group)? {
                    Wish::Nothing => continue,
                    Wish::All => None,
                    Wish::These(rows) => Some(rows),
                };
                let rows = match (theirs, rows) {
                    (Recorders::None, _) => continue,
                    (Recorders::All, rows) => rows,
                    (Recorders::Some(theirs), None) => Some(theirs),
                    (Recorders::Some(theirs), Some(rows)) => Some(theirs.intersection(&rows)),
                };
                self.group((table, number, rows), (only, true), unread)?;
                continue;
            }
            // Of days that are not whole every row counts.
            match theirs {
                Recorders::All => self.group((table, number, None), (only, true), unread)?,
                Recorders::None => self.group((table, number, None), (only, false), unread)?,
                Recorders::Some(theirs) => {
                    let others = complement(&theirs);
                    self.group((table, number, Some(theirs)), (only, true), unread)?;
                    self.group((table, number, Some(others)), (only, false), unread)?;
                }
            }
        }
        Ok(())
    }

    /// Rows of a group, all of recorders that are asked for, or none.
    fn group(
        &mut self,
        (table, number, rows): (&Table, usize, Option<RowSelection>),
        (only, of_recorder): (&Only<'_>, bool),
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let Self { pool, fold, devices, has_begun, seconds, wanted, .. } = self;
        let mut is_host = Cached::default();
        table.group_rows((number, rows), (*seconds, *wanted), pool, |pool, mut row| {
            *has_begun = true;
            let is_asked = of_recorder && is_host.takes(&row, pool, only);
            unread.row(&row, pool.hosts.get(row.host), is_asked);
            if is_asked {
                row.device = if wanted.endpoints { devices.of(row.device, pool) } else { 0 };
                fold.add(row);
            }
        })
    }
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
struct Cached {
    hosts: HashMap<u32, bool>,
    sets: HashMap<u32, bool>,
}

impl Cached {
    fn takes(&mut self, row: &Row, pool: &Pool, only: &Only<'_>) -> bool {
        let Self { hosts, sets } = self;
        let mut host =
            |host: u32| *hosts.entry(host).or_insert_with(|| pool.hosts.get(host).is_some_and(|host| only.takes(host)));
        if host(row.host) {
            return true;
        }
        let Some(set) = row.candidates else { return false };
        *sets
            .entry(set)
            .or_insert_with(|| pool.candidate_sets.get(set).into_iter().flatten().any(|candidate| host(*candidate)))
    }
}

/// First second of a group, and the one after its last.
fn span(group: &RowGroupMetaData) -> Option<(i64, i64)> {
    match column(group, "start")?.1.statistics()? {
        Statistics::Int64(of) => {
            let second = |micros: &i64| micros.div_euclid(1_000_000);
            Some((second(of.min_opt()?), second(of.max_opt()?).saturating_add(1)))
        }
        _ => None,
    }
}

fn column<'g>(group: &'g RowGroupMetaData, path: &str) -> Option<(usize, &'g ColumnChunkMetaData)> {
    group.columns().iter().enumerate().find(|(_, column)| column.column_path().string() == path)
}

/// How groups of a file are left out.
struct Pruning<'p> {
    table: &'p Table,
    only: &'p Only<'p>,
    recorded: Recorded<'p>,
    /// Sites of the file's own column that are asked for, where it may be relied on.
    sites: Option<&'p [String]>,
}

impl<'p> Pruning<'p> {
    fn new(table: &'p Table, only: &'p Only<'p>, recorded: Recorded<'p>) -> Self {
        let about = table.about();
        let says = |(key, value): (&String, &String)| about.get(key) == Some(value);
        let sites = only.sites.as_ref().filter(|(_, lists)| lists.iter().all(says));
        Self { table, only, recorded, sites: sites.map(|(sites, _)| sites.as_slice()) }
    }

    /// What of a group may be asked for.
    fn wish(&self, number: usize, group: &RowGroupMetaData) -> Result<Wish, Broken> {
        if self.only.hosts.is_none() {
            return Ok(Wish::All);
        }
        // A rare site is in few groups.
        let booked = self.may_have_site(group)?
            && self.texts(group, "host", &|text| self.only.takes_text(text))?.unwrap_or(true);
        let possible = self.texts(group, CANDIDATES, &|text| self.only.takes_text(text))?.unwrap_or(true);
        match (booked, possible) {
            (false, false) => Ok(Wish::Nothing),
            (_, possible) => self.rows(number, possible),
        }
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
            add_taken(&mut ranges, at, &texts.rows(column));
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
        let (Some(sites), Some((_, column))) = (self.sites, column(group, "site")) else { return Ok(true) };
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
        let Some((_, column)) = column(group, path) else { return Ok(None) };
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

    /// The rows of a group that may be asked for, by its columns of hosts alone.
    fn rows(&self, number: usize, with_candidates: bool) -> Result<Wish, Broken> {
        let columns: &[&str] = if with_candidates { &["host", "candidates"] } else { &["host"] };
        let (mut ranges, mut at): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
        let mut texts = [Texts::default(), Texts::default()];
        for batch in self.table.group_reader(columns, (number, None))? {
            let batch = batch?;
            let taken = self.taken(&batch, with_candidates, &mut texts)?;
            add_taken(&mut ranges, at, &taken);
            at += batch.num_rows();
        }
        Ok(match ranges.is_empty() {
            true => Wish::Nothing,
            false => Wish::These(RowSelection::from_consecutive_ranges(ranges.into_iter(), at)),
        })
    }

    fn taken(
        &self,
        batch: &RecordBatch,
        with_candidates: bool,
        [of_hosts, of_candidates]: &mut [Texts; 2],
    ) -> Result<Vec<bool>, Broken> {
        let takes = |text: &str| self.only.takes_text(text);
        let hosts = dictionary(batch, "host")?;
        of_hosts.begin(hosts, &takes)?;
        let mut taken = of_hosts.rows(hosts);
        let Some(lists) = with_candidates.then(|| batch.column_by_name("candidates")).flatten() else {
            return Ok(taken);
        };
        let form = || Broken::Form("candidates".to_owned());
        let lists = lists.as_list_opt::<i32>().ok_or_else(form)?;
        let names = lists.values().as_dictionary_opt::<Int32Type>().ok_or_else(form)?;
        of_candidates.begin(names, &takes)?;
        if !of_candidates.has_any() {
            return Ok(taken);
        }
        let keys = names.keys().values();
        for (taken, pair) in taken.iter_mut().zip(lists.value_offsets().windows(2)) {
            let &[from, to] = pair else { continue };
            let place = |at: i32| usize::try_from(at).map_err(|_| form());
            let keys = keys.get(place(from)?..place(to)?).ok_or_else(form)?;
            *taken = *taken || keys.iter().any(|key| of_candidates.is_asked(*key));
        }
        Ok(taken)
    }
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
    fn is_asked(&self, key: i32) -> bool {
        usize::try_from(key).ok().and_then(|key| self.is_asked.get(key).copied()).unwrap_or(true)
    }

    /// Which rows of the column have a text that is asked for.
    fn rows(&self, column: &DictionaryArray<Int32Type>) -> Vec<bool> {
        column.keys().values().iter().map(|key| self.is_asked(*key)).collect()
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
