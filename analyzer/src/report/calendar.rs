//! Stretches of local time as keys of a report. The calendar is asked once for each bucket, not for
//! each row.

use crate::books::{BUCKET_S, Books};
use crate::plan::{self, Plan};
use crate::question::{Key, Question};
use crate::range::zoned;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::Zoned;
use jiff::tz::TimeZone;

/// Most stretches of time that are filled with rows of zeros: the hours of eleven years.
const MAX_FILLED: usize = 100_000;

/// Where it is none of the calendar's years.
const OUTSIDE: &str = "outside the calendar";

/// Where no version of the plan is in force.
const NO_PLAN: &str = "no plan";

/// Local times of buckets by some keys that are stretches of time.
#[derive(Debug)]
pub struct Calendar {
    keys: Vec<Key>,
    zone: TimeZone,
    /// Versions of the plan whose periods are billing months.
    billing: Vec<Plan>,
    of_bucket: HashMap<i64, u32, RandomState>,
    of_texts: HashMap<Vec<String>, u32, RandomState>,
    times: Vec<Time>,
    /// First bucket of each text, by key.
    firsts: Vec<HashMap<String, i64, RandomState>>,
    last: Option<(i64, u32)>,
}

/// One combination of stretches of time: its text by key.
#[derive(Debug)]
struct Time {
    texts: Vec<String>,
}

impl Calendar {
    /// The times of `keys`, all of which are stretches of time, as `question` has them.
    pub fn new(keys: Vec<Key>, question: &Question) -> Self {
        let (zone, billing) = (question.range.zone.clone(), question.billing.clone());
        let firsts = keys.iter().map(|_| HashMap::default()).collect();
        let (of_bucket, of_texts) = (HashMap::default(), HashMap::default());
        Self { keys, zone, billing, of_bucket, of_texts, times: Vec::new(), firsts, last: None }
    }

    /// Number of the time that a bucket lies in.
    pub fn id(&mut self, bucket_s: i64) -> u32 {
        if let Some((_, id)) = self.last.filter(|(bucket, _)| *bucket == bucket_s) {
            return id;
        }
        let id = self.of_bucket.get(&bucket_s).copied().unwrap_or_else(|| self.learn(bucket_s));
        self.last = Some((bucket_s, id));
        id
    }

    /// Text of a time by the `nth` of its keys.
    pub fn text(&self, id: u32, nth: usize) -> &str {
        let time = self.times.get(usize::try_from(id).unwrap_or(usize::MAX));
        time.and_then(|time| time.texts.get(nth)).map_or("", String::as_str)
    }

    /// Where a time stands among those of the `nth` key: rises with time; for hours of the day with
    /// the hour.
    pub fn place(&self, id: u32, nth: usize) -> i64 {
        let text = self.text(id, nth);
        match self.keys.get(nth) {
            Some(Key::HourOfDay) => text.parse().unwrap_or(i64::MAX),
            _ => self.firsts.get(nth).and_then(|firsts| firsts.get(text)).copied().unwrap_or(i64::MAX),
        }
    }

    /// All times of the question's range, learnt in order; those of what was observed where the
    /// range is open, none after now. None where neither is known, or where there are more than
    /// anybody reads.
    pub fn fill(&mut self, question: &Question, books: &Books) -> Vec<u32> {
        if self.keys.iter().all(|key| *key == Key::HourOfDay) {
            return self.hours_of_a_day(question, books);
        }
        let (observed, range) = (books.observed, &question.range);
        let start = range.from.or(observed.map(|(first, _)| first));
        let end = range.to.or(observed.map(|(_, last)| UnixNanos(last.0.saturating_add(1))));
        let now = question.now.map(|now| UnixNanos(now.0.saturating_add(1)));
        let end = [end, now].into_iter().flatten().min();
        let (Some(start), Some(end)) = (start, end) else { return Vec::new() };
        let mut ids = Vec::new();
        let mut at = start.0.div_euclid(NANOS_PER_SECOND * BUCKET_S) * BUCKET_S;
        let end_s = end.0.div_euclid(NANOS_PER_SECOND) + i64::from(end.0.rem_euclid(NANOS_PER_SECOND) > 0);
        while at < end_s {
            let id = self.id(at);
            if ids.last() != Some(&id) {
                ids.push(id);
            }
            if ids.len() > MAX_FILLED {
                return Vec::new();
            }
            at = self.next(at);
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// All 24, wherever there is anything.
    fn hours_of_a_day(&mut self, question: &Question, books: &Books) -> Vec<u32> {
        if question.range.from.is_none() && books.observed.is_none() {
            return Vec::new();
        }
        let texts: Vec<Vec<String>> = (0..24).map(|hour| vec![format!("{hour:02}"); self.keys.len()]).collect();
        texts.into_iter().map(|texts| self.known(texts)).collect()
    }

    /// The first bucket after `bucket_s` that may lie in another time: the next local day where no
    /// key is finer, else the next bucket.
    fn next(&self, bucket_s: i64) -> i64 {
        let next = bucket_s.saturating_add(BUCKET_S);
        // Days of a plan may begin at other times than those of the report.
        let is_other = |key: &Key| *key == Key::BillingMonth && self.billing.iter().any(|plan| plan.zone != self.zone);
        if self.keys.iter().any(|key| matches!(key, Key::Hour | Key::HourOfDay) || is_other(key)) {
            return next;
        }
        let tomorrow = |local: Zoned| local.tomorrow().and_then(|day| day.start_of_day()).ok();
        let day = self.local(bucket_s).and_then(tomorrow).map(|day| day.timestamp().as_second());
        day.map_or(next, |day| (day.div_euclid(BUCKET_S) * BUCKET_S).max(next))
    }

    fn local(&self, bucket_s: i64) -> Option<Zoned> {
        let start = UnixNanos(bucket_s.div_euclid(BUCKET_S).saturating_mul(BUCKET_S * NANOS_PER_SECOND));
        zoned(start, &self.zone)
    }

    fn learn(&mut self, bucket_s: i64) -> u32 {
        let local = self.local(bucket_s);
        let text = |key: &Key| match key {
            Key::BillingMonth => self.billing_month(bucket_s),
            key => text(*key, local.as_ref()),
        };
        let texts: Vec<String> = self.keys.iter().map(text).collect();
        for (firsts, text) in self.firsts.iter_mut().zip(&texts) {
            match firsts.get_mut(text) {
                Some(first) => *first = bucket_s.min(*first),
                None => _ = firsts.insert(text.clone(), bucket_s),
            }
        }
        let id = self.known(texts);
        self.of_bucket.insert(bucket_s, id);
        id
    }

    /// The first day of the plan's period.
    fn billing_month(&self, bucket_s: i64) -> String {
        let at = UnixNanos(bucket_s.saturating_mul(NANOS_PER_SECOND));
        let name = self.billing.first().map_or("", |plan| plan.name.as_str());
        plan::in_force(&self.billing, name, at)
            .map_or_else(|| NO_PLAN.to_owned(), |(_, period)| period.first.to_string())
    }

    fn known(&mut self, texts: Vec<String>) -> u32 {
        let next = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        *self.of_texts.entry(texts).or_insert_with_key(|texts| {
            self.times.push(Time { texts: texts.clone() });
            next
        })
    }
}

/// What a stretch of time is called.
fn text(key: Key, local: Option<&Zoned>) -> String {
    let Some(local) = local else { return OUTSIDE.to_owned() };
    let format = match key {
        // The two hours of a clock set back differ by their offset.
        Key::Hour => "%Y-%m-%dT%H:00%:z",
        Key::Week => "%G-W%V",
        Key::Month => "%Y-%m",
        Key::HourOfDay => "%H",
        _ => "%Y-%m-%d",
    };
    local.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;

    fn times(key: Key, zone: &str, first: &str, buckets: i64) -> Vec<String> {
        let range = Range::everything(TimeZone::get(zone).unwrap());
        let mut calendar = Calendar::new(vec![key], &Question::by(key, range));
        let first: jiff::Timestamp = first.parse().unwrap();
        (0..buckets).for_each(|i| _ = calendar.id(first.as_second() + i * BUCKET_S));
        (0..u32::try_from(calendar.times.len()).unwrap()).map(|id| calendar.text(id, 0).to_owned()).collect()
    }

    #[test]
    fn the_two_hours_of_a_clock_set_back_are_told_apart() {
        let hours = |first, buckets| times(Key::Hour, "Europe/Berlin", first, buckets);
        assert_eq!(hours("2026-10-25T00:00:00Z", 8), ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]);
        assert_eq!(hours("2026-03-29T00:45:00Z", 2), ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]);
    }

    #[test]
    fn hours_of_odd_offsets_begin_at_their_own_full_hour() {
        // 05:45 ahead: the hour turns at a quarter past.
        assert_eq!(
            times(Key::Hour, "Asia/Kathmandu", "2026-11-01T00:00:00Z", 2),
            ["2026-11-01T05:00+05:45", "2026-11-01T06:00+05:45"]
        );
        assert_eq!(times(Key::Hour, "America/St_Johns", "2026-12-01T12:30:00Z", 4), ["2026-12-01T09:00-03:30"]);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        assert_eq!(times(Key::Week, "UTC", "2026-12-31T23:00:00Z", 8), ["2026-W53"], "1 January 2027 is a Friday");
        assert_eq!(times(Key::Week, "UTC", "2026-11-01T23:45:00Z", 2), ["2026-W44", "2026-W45"]);
    }

    fn filled(keys: &[Key], zone: &str, from: &str, to: &str, now: Option<&str>) -> Vec<String> {
        let instant = |text: &str| UnixNanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64);
        let zone = TimeZone::get(zone).unwrap();
        let range = Range { from: Some(instant(from)), to: Some(instant(to)), zone: zone.clone() };
        let question = Question { now: now.map(instant), ..Question::by(Key::Day, range) };
        let mut calendar = Calendar::new(keys.to_vec(), &question);
        let ids = calendar.fill(&question, &Books::default());
        let text = |id: &u32| (0..keys.len()).map(|nth| calendar.text(*id, nth)).collect::<Vec<_>>().join(" ");
        ids.iter().map(text).collect()
    }

    #[test]
    fn every_day_and_hour_of_the_range_is_there_and_none_of_the_future() {
        let day = ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        assert_eq!(filled(&[Key::Day], "Europe/Berlin", day.0, day.1, None), ["2026-10-25"]);
        assert_eq!(filled(&[Key::Hour], "Europe/Berlin", day.0, day.1, None).len(), 25);
        let spring = filled(&[Key::Hour], "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", None);
        assert_eq!(spring.len(), 23);
        let now = Some("2026-10-25T09:30:00Z");
        assert_eq!(filled(&[Key::Hour], "Europe/Berlin", day.0, day.1, now).last().unwrap(), "2026-10-25T10:00+01:00");
        // Clocks jump at midnight: the day begins at 01:00.
        let cairo = filled(&[Key::Day], "Africa/Cairo", "2026-04-22T22:00:00Z", "2026-04-25T21:00:00Z", None);
        assert_eq!(cairo, ["2026-04-23", "2026-04-24", "2026-04-25"]);
        let months = filled(&[Key::Month, Key::Week], "UTC", "2026-10-26T00:00:00Z", "2026-11-03T00:00:00Z", None);
        assert_eq!(months, ["2026-10 2026-W44", "2026-11 2026-W44", "2026-11 2026-W45"]);
        assert_eq!(filled(&[Key::HourOfDay], "UTC", day.0, day.1, None).len(), 24);
        let hours = filled(&[Key::Day, Key::HourOfDay], "Europe/Berlin", day.0, day.1, None);
        assert_eq!((hours.len(), hours[2].as_str()), (24, "2026-10-25 02"), "the hour that comes twice is one");
        assert_eq!(filled(&[Key::Hour], "UTC", "1900-01-01T00:00:00Z", "2026-01-01T00:00:00Z", None).len(), 0);
    }
}
