//! Totals that another program counted before imon did: vnStat's, as `vnstat --json` prints them.
//!
//! ```text
//! read: text ─► lists of days, months and years ─► (store) ─► pieces: every byte once
//! ```
//! They are no usage: nobody knows of which sites they were. They stand in the ledger beside the
//! sum, so that a person who begins with imon does not lose the years before.

mod taking;

pub use taking::Taking;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Most bytes of a document: `vnstat --json` of a machine with years behind it has some 100 kB.
pub const MAX_BYTES: u64 = 16 << 20;

/// Most interfaces of one document.
const MAX_INTERFACES: usize = 1000;

/// Most days, months and years of an interface: more than a century.
const MOST: [usize; 3] = [40_000, 2_400, 200];

/// Longest name of an interface; Linux has 15 bytes, other systems some more.
const MAX_NAME: usize = 64;

/// How far the stated second of a period may be from its date: another time zone, and months that
/// begin on another day than the first (`MonthRotate`).
const MAX_SHIFT_S: i64 = 32 * 86_400;

/// How far clocks are turned at most.
const MAX_CHANGE_S: u64 = 2 * 3600;

/// A length of time that has a total of its own, finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A day.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
    /// All that was ever counted.
    All,
}

impl Unit {
    /// All of them, finest first.
    pub const EACH: [Self; 4] = [Self::Day, Self::Month, Self::Year, Self::All];

    /// Its number in the store.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The unit of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::EACH.into_iter().find(|unit| unit.number() == number)
    }
}

/// A total as the other program keeps it: it contains those of finer units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How long its time is, before it is cut to when the program counted.
    pub unit: Unit,
    /// First second, in Unix seconds.
    pub from_s: i64,
    /// The first one after it.
    pub to_s: i64,
    /// Bytes received.
    pub down_bytes: u64,
    /// Bytes sent.
    pub up_bytes: u64,
}

impl Entry {
    /// Both directions.
    fn bytes(&self) -> u64 {
        self.down_bytes.saturating_add(self.up_bytes)
    }

    /// Whether another one is of the same day, month or year: they have most of their time in
    /// common. Dates without a second are read in one time zone now, and in another one later.
    fn is_of_time_of(&self, other: &Self) -> bool {
        let length = |from_s: i64, to_s: i64| to_s.saturating_sub(from_s);
        let common = length(self.from_s.max(other.from_s), self.to_s.min(other.to_s));
        let shorter = length(self.from_s, self.to_s).min(length(other.from_s, other.to_s));
        self.unit == other.unit && common.saturating_mul(2) > shorter
    }
}

/// What was counted on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The interface.
    pub interface: String,
    /// Its totals.
    pub entries: Vec<Entry>,
}

/// Bytes of a length of time that are in no other piece of the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The interface.
    pub interface: String,
    /// First second, in Unix seconds. Pieces may overlap in time, and never in bytes.
    pub from_s: i64,
    /// The first one after it.
    pub to_s: i64,
    /// Bytes received.
    pub down_bytes: u64,
    /// Bytes sent.
    pub up_bytes: u64,
}

impl Piece {
    /// Both directions.
    pub fn bytes(&self) -> u64 {
        self.down_bytes.saturating_add(self.up_bytes)
    }
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is something else.
    #[error("it is no output of `vnstat --json`: {0}")]
    NotIt(#[from] serde_json::Error),
    /// A version of the format that is not known.
    #[error("its format has version {0}, and this imon-analyze knows 1 and 2")]
    Version(String),
    /// A list has more than anybody counts.
    #[error("{what} of {interface} has {found} entries, and more than {most} are not taken")]
    TooMany {
        /// Which interface.
        interface: String,
        /// Which list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// Too many interfaces, or one without a usable name.
    #[error("{0}")]
    Interfaces(String),
    /// A date that is none, or a second that is far from its date.
    #[error("entry {nth} of {what} of {interface} has an impossible time or amount")]
    Impossible {
        /// Which interface.
        interface: String,
        /// Which list.
        what: &'static str,
        /// Which entry, from 1.
        nth: usize,
    },
}

#[derive(Deserialize)]
struct Document {
    jsonversion: Version,
    interfaces: Vec<Interface>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Interface {
    /// vnStat 1 calls it `id`.
    #[serde(alias = "id")]
    name: String,
    created: Moment,
    updated: Moment,
    traffic: Traffic,
}

#[derive(Deserialize)]
struct Traffic {
    total: Amount,
    #[serde(default, alias = "days")]
    day: Vec<Item>,
    #[serde(default, alias = "months")]
    month: Vec<Item>,
    #[serde(default, alias = "years")]
    year: Vec<Item>,
}

#[derive(Deserialize)]
struct Amount {
    rx: u64,
    tx: u64,
}

#[derive(Deserialize)]
struct Item {
    date: Civil,
    /// Since vnStat 2.7.
    timestamp: Option<i64>,
    rx: u64,
    tx: u64,
}

#[derive(Deserialize)]
struct Civil {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
}

#[derive(Deserialize)]
struct Moment {
    date: Civil,
    time: Option<Clock>,
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct Clock {
    hour: i8,
    #[serde(alias = "minutes")]
    minute: i8,
}

impl Civil {
    fn date(&self) -> Option<Date> {
        Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()
    }
}

impl Moment {
    /// In Unix seconds.
    fn second(&self, zone: &TimeZone) -> Option<i64> {
        let date = self.date.date()?;
        let clock = self.time.as_ref();
        let at = date.at(clock.map_or(0, |c| c.hour.clamp(0, 23)), clock.map_or(0, |c| c.minute.clamp(0, 59)), 0, 0);
        let by_date = at.to_zoned(zone.clone()).ok()?.timestamp().as_second();
        agreeing(self.timestamp, by_date)
    }
}

/// The stated second, where it can be that of the date; the date's where none is stated.
fn agreeing(stated: Option<i64>, by_date: i64) -> Option<i64> {
    let Some(stated) = stated else { return Some(by_date) };
    Timestamp::from_second(stated).ok()?;
    (stated.abs_diff(by_date) <= MAX_SHIFT_S.unsigned_abs()).then_some(stated)
}

/// What `vnstat --json` says: days, months and years of each interface. Hours and five minutes are
/// not taken: vnStat keeps them for days only. Dates without a second are those of `zone`.
///
/// # Errors
/// [`ImportError`]: then nothing of it is taken.
pub fn read(text: &[u8], zone: &TimeZone) -> Result<Vec<Counted>, ImportError> {
    let document: Document = serde_json::from_slice(text)?;
    let version = match document.jsonversion {
        Version::Text(text) => text,
        Version::Number(number) => number.to_string(),
    };
    let unit_bytes = match version.as_str() {
        "1" => 1024,
        "2" => 1,
        _ => return Err(ImportError::Version(version.chars().take(MAX_NAME).collect())),
    };
    let names: BTreeSet<&str> = document.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    let fault = match document.interfaces.len() {
        0 => Some("it has no interface: vnStat has counted nothing yet".to_owned()),
        n if n > MAX_INTERFACES => Some(format!("it has more than {MAX_INTERFACES} interfaces")),
        n if n > names.len() => Some("it has an interface twice".to_owned()),
        _ => None,
    };
    if let Some(fault) = fault {
        return Err(ImportError::Interfaces(fault));
    }
    document.interfaces.iter().map(|interface| counted(interface, unit_bytes, zone)).collect()
}

fn counted(interface: &Interface, unit_bytes: u64, zone: &TimeZone) -> Result<Counted, ImportError> {
    let name = &interface.name;
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ImportError::Interfaces(format!("an interface has a name of {} bytes", name.len())));
    }
    let impossible = |what, nth| ImportError::Impossible { interface: name.clone(), what, nth };
    let counting = interface.created.second(zone).zip(interface.updated.second(zone));
    let (created, updated) = counting.filter(|(from, to)| from <= to).ok_or_else(|| impossible("the times", 1))?;
    let amount = |amount: u64| amount.checked_mul(unit_bytes).filter(|bytes| i64::try_from(*bytes).is_ok());
    let Traffic { total, day, month, year } = &interface.traffic;
    let mut entries = Vec::with_capacity(day.len() + month.len() + year.len() + 1);
    let lists = [(Unit::Day, "the days", day), (Unit::Month, "the months", month), (Unit::Year, "the years", year)];
    for ((unit, what, list), most) in lists.into_iter().zip(MOST) {
        if list.len() > most {
            return Err(ImportError::TooMany { interface: name.clone(), what, found: list.len(), most });
        }
        let mut of_unit = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            let made = || {
                let (from_s, to_s) = ends(unit, item, zone)?;
                Some(Entry { unit, from_s, to_s, down_bytes: amount(item.rx)?, up_bytes: amount(item.tx)? })
            };
            of_unit.push(made().ok_or_else(|| impossible(what, i + 1))?);
        }
        end_at_the_next(&mut of_unit);
        entries.extend(of_unit.into_iter().map(|entry| cut(entry, created, updated)));
    }
    let all = || Some((amount(total.rx)?, amount(total.tx)?));
    let (down_bytes, up_bytes) = all().ok_or_else(|| impossible("the total", 1))?;
    entries.push(Entry { unit: Unit::All, from_s: created, to_s: updated.max(created + 1), down_bytes, up_bytes });
    Ok(Counted { interface: name.clone(), entries })
}

/// Ends entries where the next one begins: in another zone than `--zone` clocks are changed on
/// other days.
fn end_at_the_next(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| entry.from_s);
    let next: Vec<i64> = entries.iter().skip(1).map(|entry| entry.from_s).collect();
    for (entry, next) in entries.iter_mut().zip(next) {
        if entry.to_s.abs_diff(next) <= MAX_CHANGE_S && next > entry.from_s {
            entry.to_s = next;
        }
    }
}

/// The part in which the program counted: it did not before, and has not since.
fn cut(entry: Entry, created: i64, updated: i64) -> Entry {
    let (from_s, to_s) = (entry.from_s.max(created), entry.to_s.min(updated));
    if from_s < to_s { Entry { from_s, to_s, ..entry } } else { entry }
}

/// First second of an entry, and the first one after it.
fn ends(unit: Unit, item: &Item, zone: &TimeZone) -> Option<(i64, i64)> {
    let date = item.date.date()?;
    let length = match unit {
        Unit::Day => Span::new().days(1),
        Unit::Month => Span::new().months(1),
        Unit::Year | Unit::All => Span::new().years(1),
    };
    let start = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_second());
    let (from_s, to_s) = (start(date)?, start(date.checked_add(length).ok()?)?);
    let shift = agreeing(item.timestamp, from_s)? - from_s;
    Some((from_s + shift, to_s + shift))
}

/// The totals of one interface with every byte once: of a month what is in none of its days, of a
/// year what is in none of its months. Where days are known the rest of a month is of the time
/// before and after them.
pub fn pieces(interface: &str, entries: &[Entry]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for unit in Unit::EACH {
        // Finer ones only: two of one unit never contain each other.
        let finer = pieces.len();
        for entry in entries.iter().filter(|entry| entry.unit == unit) {
            let is_in = |piece: &&Piece| (entry.from_s..entry.to_s).contains(&piece.from_s);
            let mut within: Vec<&Piece> = pieces.iter().take(finer).filter(is_in).collect();
            within.sort_by_key(|piece| (piece.from_s, piece.to_s));
            let sum = |of: fn(&Piece) -> u64| within.iter().fold(0_u64, |sum, piece| sum.saturating_add(of(piece)));
            let down_bytes = entry.down_bytes.saturating_sub(sum(|piece| piece.down_bytes));
            let up_bytes = entry.up_bytes.saturating_sub(sum(|piece| piece.up_bytes));
            if down_bytes == 0 && up_bytes == 0 {
                continue;
            }
            let (from_s, to_s) = left(entry, &within).unwrap_or((entry.from_s, entry.to_s));
            pieces.push(Piece { interface: interface.to_owned(), from_s, to_s, down_bytes, up_bytes });
        }
    }
    pieces.sort_by_key(|piece| (piece.from_s, piece.to_s));
    pieces
}

/// The time of an entry from the first second that no piece covers to the last one; `None` where
/// they cover all of it.
fn left(entry: &Entry, within: &[&Piece]) -> Option<(i64, i64)> {
    let mut covered = entry.from_s;
    let mut left: Option<(i64, i64)> = None;
    for piece in within {
        if piece.from_s > covered {
            left = Some((left.map_or(covered, |(from, _)| from), piece.from_s));
        }
        covered = covered.max(piece.to_s);
    }
    if covered < entry.to_s {
        left = Some((left.map_or(covered, |(from, _)| from), entry.to_s));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn entry(unit: Unit, from_s: i64, to_s: i64, bytes: u64) -> Entry {
        Entry { unit, from_s, to_s, down_bytes: bytes, up_bytes: 0 }
    }

    fn of(entries: &[Entry]) -> Vec<(i64, i64, u64)> {
        pieces("eth0", entries).iter().map(|p| (p.from_s, p.to_s, p.bytes())).collect()
    }

    #[test]
    fn a_month_has_what_its_days_do_not_have() {
        use Unit::{All, Day, Month, Year};
        let days = [entry(Day, 60, 70, 5), entry(Day, 70, 80, 7)];
        let month = entry(Month, 50, 80, 100);
        assert_eq!(of(&[days[0], days[1], month]), [(50, 60, 88), (60, 70, 5), (70, 80, 7)]);
        // All of its time is in days: the rest stays of the month.
        assert_eq!(of(&[entry(Day, 50, 80, 40), month]), [(50, 80, 40), (50, 80, 60)]);
        // Days that say more than their month are believed.
        assert_eq!(of(&[entry(Day, 50, 80, 400), month]), [(50, 80, 400)]);
        let year = entry(Year, 0, 100, 1000);
        let all = entry(All, -500, 80, 5000);
        let pieces = of(&[days[0], days[1], month, year, all]);
        assert_eq!(pieces, [(-500, 0, 4000), (0, 100, 900), (50, 60, 88), (60, 70, 5), (70, 80, 7)]);
        assert_eq!(pieces.iter().map(|(_, _, bytes)| bytes).sum::<u64>(), 5000);
    }

    #[test]
    fn every_byte_of_a_real_document_is_in_one_piece() {
        let counted = read(include_bytes!("../../testdata/vnstat/home.json"), &TimeZone::UTC).unwrap();
        let names: Vec<_> = counted.iter().map(|counted| counted.interface.as_str()).collect();
        assert_eq!(names, ["eth0", "wlan0"]);
        let totals = [5_763_003_459_032 + 577_795_149_069, 17_322_924_437 + 1_744_858_283];
        for (Counted { interface, entries }, total) in counted.iter().zip(totals) {
            let pieces = pieces(interface, entries);
            assert_eq!(pieces.iter().map(Piece::bytes).sum::<u64>(), total, "{interface}");
            assert!(pieces.windows(2).all(|two| two[0].to_s <= two[1].from_s), "{interface}: {pieces:?}");
        }
        // It began on 2 May 2023 at 18:20:05 in Berlin, and was read on 20 November 2026 at 9:40.
        let pieces = pieces("eth0", &counted[0].entries);
        assert_eq!((pieces[0].from_s, pieces.last().unwrap().to_s), (1_683_044_405, 1_795_164_000));
        // Years, then months, then days: 2023, ten months of 2024 in one, 24 months, a part of one,
        // 62 days.
        assert_eq!(pieces.len(), 1 + 1 + 22 + 1 + 62);
    }

    #[test]
    fn vnstat_1_counts_in_kib_and_has_no_seconds() {
        let text = r#"{"vnstatversion":"1.18","jsonversion":"1","interfaces":[{"id":"ppp0","nick":"ppp0",
            "created":{"date":{"year":2016,"month":10,"day":29}},
            "updated":{"date":{"year":2016,"month":10,"day":31},"time":{"hour":6,"minutes":30}},
            "traffic":{"total":{"rx":300,"tx":30},
              "days":[{"id":0,"date":{"year":2016,"month":10,"day":31},"rx":50,"tx":5},
                      {"id":1,"date":{"year":2016,"month":10,"day":30},"rx":250,"tx":25}],
              "months":[{"id":0,"date":{"year":2016,"month":10},"rx":300,"tx":30}],"tops":[],
              "hours":[{"id":0,"date":{"year":2016,"month":10,"day":31},"rx":1,"tx":1}]}}]}"#;
        let [counted] = &read(text.as_bytes(), &berlin()).unwrap()[..] else { panic!("one interface") };
        let pieces = pieces(&counted.interface, &counted.entries);
        let [first, second] = &pieces[..] else { panic!("{pieces:?}") };
        // The clocks were turned back on the 30th: it has 25 hours.
        assert_eq!((first.to_s - first.from_s, first.down_bytes, first.up_bytes), (25 * 3600, 250 << 10, 25 << 10));
        assert_eq!((second.to_s - second.from_s, second.bytes()), (6 * 3600 + 1800, 55 << 10));
    }

    #[test]
    fn what_is_something_else_or_impossible_is_refused_as_a_whole() {
        let good = include_str!("../../testdata/vnstat/home.json");
        let says = |text: &str| read(text.as_bytes(), &TimeZone::UTC).unwrap_err().to_string();
        assert!(says("").contains("it is no output of `vnstat --json`"));
        assert!(says("[1]").contains("it is no output"));
        assert!(says(&good[..good.len() / 2]).contains("it is no output"));
        assert!(says(&good.replacen(r#""jsonversion":"2""#, r#""jsonversion":"3""#, 1)).contains("version 3"));
        assert!(
            says(&good.replacen(r#""month":9,"day":20"#, r#""month":13,"day":20"#, 1)).contains("entry 1 of the days")
        );
        assert!(says(&good.replacen(r#""rx":4480763937"#, r#""rx":9223372036854775808"#, 1)).contains("of eth0"));
        assert!(says(&good.replacen(r#""timestamp":1789855200"#, r#""timestamp":9"#, 1)).contains("impossible time"));
        assert!(says(&good.replacen("1795164000", "1", 1)).contains("the times of eth0"));
        assert!(says(&good.replacen("\"eth0\"", &format!("\"{}\"", "e".repeat(65)), 1)).contains("65 bytes"));
        let day = r#"{"date":{"year":2026,"month":9,"day":20},"rx":1,"tx":1},"#;
        let long = good.replacen(r#""day":["#, &format!(r#""day":[{}"#, day.repeat(MOST[0])), 1);
        assert!(says(&long).contains("40062 entries"), "{}", says(&long));
    }

    #[test]
    fn months_may_begin_on_another_day() {
        // MonthRotate 15: the second says so, and the date does not.
        let item = Item {
            date: Civil { year: 2026, month: Some(10), day: None },
            timestamp: Some(1_792_015_200),
            rx: 1,
            tx: 1,
        };
        let (from_s, to_s) = ends(Unit::Month, &item, &TimeZone::UTC).unwrap();
        assert_eq!((from_s, to_s - from_s), (1_792_015_200, 31 * 86_400));
    }
}
