//! What holds at a moment, by the rules.

use crate::alert::{Event, Kind, Per, Rate, Rules};
use crate::books::{BUCKET_S, Books, Row, Traffic};
use crate::commands::plan::{self, Meter, Used, Wanted};
use crate::config::Devices;
use crate::error::shown;
use crate::question::{DeviceName, Filters};
use crate::range::{Range, rfc3339, zoned};
use crate::site::{SiteKind, Sites};
use crate::table::units::{bytes, bytes_in, duration};
use crate::timeline::Span;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;
use jiff::{Unit, Zoned, ZonedRound};
use std::collections::BTreeMap;

const DAY_NS: i64 = 86_400 * NANOS_PER_SECOND;

/// What was not there for so long counts as new: a month, as some sites are visited once in one.
const FORGOTTEN_NS: i64 = 30 * DAY_NS;

/// The day that is just over, and this one: one of both may have 25 hours.
const TWO_DAYS_NS: i64 = 50 * 3_600 * NANOS_PER_SECOND;

/// For so long something new is new: longer than a machine sleeps over night.
const NEW_NS: i64 = DAY_NS;

/// Nothing is new where the books are younger: then everything would be.
const YOUNG_NS: i64 = 7 * DAY_NS;

/// A projection counts from this part of a period on: before, one evening decides it.
const EARLY_PART: u64 = 10;

/// What events follow from, beside the books.
pub(super) struct Judge<'a> {
    pub rules: &'a Rules,
    pub plans: &'a [Wanted<'a>],
    pub sites: &'a Sites,
    pub now: UnixNanos,
    pub zone: TimeZone,
}

impl Judge<'_> {
    /// The range of the books that is needed.
    pub fn range(&self) -> Range {
        let plans = (!self.plans.is_empty()).then(|| plan::range(self.plans, self.now));
        let is_new = self.rules.new_site.is_some() || self.rules.new_device;
        let new = is_new.then_some(FORGOTTEN_NS);
        let back = [new, self.silence_ns()].into_iter().flatten().fold(TWO_DAYS_NS, i64::max);
        let from = UnixNanos(self.now.0.saturating_sub(back)).floor_to(BUCKET_S * NANOS_PER_SECOND);
        let plans_from = plans.as_ref().and_then(|range| range.from);
        Range { from: Some(plans_from.map_or(from, |other| other.min(from))), to: None, zone: self.zone.clone() }
    }

    /// Everything that holds.
    pub fn events(&self, books: &Books, devices: &Devices) -> Vec<Event> {
        let mut events = Vec::new();
        let used = plan::standings(self.plans, &Meter { books, sites: self.sites, now: self.now });
        for used in &used {
            events.extend(self.percent(used));
            events.extend(self.projection(used));
        }
        for rate in &self.rules.rates {
            events.extend(self.rate(rate, books, devices));
        }
        events.extend(self.new_sites(books));
        events.extend(self.new_devices(books));
        events.extend(self.silent(books));
        events
    }

    fn percent(&self, Used { plan, standing }: &Used<'_>) -> Vec<Event> {
        let Some(allowance) = standing.allowance.filter(|allowance| *allowance > 0) else { return Vec::new() };
        let is_passed = |percent: &&u32| {
            u128::from(standing.used).saturating_mul(100) >= u128::from(allowance).saturating_mul((**percent).into())
        };
        let last = standing.period.after.yesterday().map(|day| day.to_string()).unwrap_or_default();
        let event = |percent: &u32| Event {
            kind: Kind::Percent,
            subject: shown(&plan.name),
            period: standing.period.first.to_string(),
            threshold: percent.to_string(),
            value: standing.used,
            limit: Some(allowance),
            line: format!(
                "{}: {percent} % are used, {} of {} until {last}",
                shown(&plan.name),
                bytes_in(standing.used, plan.units),
                bytes_in(allowance, plan.units)
            ),
        };
        self.rules.percent.iter().filter(is_passed).map(event).collect()
    }

    fn projection(&self, Used { plan, standing }: &Used<'_>) -> Option<Event> {
        let (allowance, projection) = (standing.allowance?, standing.projection.filter(|_| self.rules.projection)?);
        let is_early = standing.elapsed_s.saturating_mul(EARLY_PART) < standing.period.length_s();
        let last = standing.period.after.yesterday().map(|day| day.to_string()).unwrap_or_default();
        (projection.low > allowance && !is_early).then(|| Event {
            kind: Kind::Projection,
            subject: shown(&plan.name),
            period: standing.period.first.to_string(),
            threshold: String::new(),
            value: projection.low,
            limit: Some(allowance),
            line: format!(
                "{}: {} to {} on {last}, if it goes on so; the plan has {}",
                shown(&plan.name),
                bytes_in(projection.low, plan.units),
                bytes_in(projection.high, plan.units),
                bytes_in(allowance, plan.units)
            ),
        })
    }

    /// This hour or day, and the one before: its end comes between two runs.
    fn rate(&self, rate: &Rate, books: &Books, devices: &Devices) -> Vec<Event> {
        let sites = rate.site.iter().cloned().collect();
        let typed = rate.device.iter().map(|device| DeviceName::parse(device)).collect();
        let filters = Filters { sites, devices: devices.named(typed), ..Filters::default() };
        let (hosts, of_device) = (filters.hosts_of(books, self.sites), filters.devices_of(books));
        let is_asked = |asked: &Option<Vec<bool>>, index: u32| {
            asked.as_ref().is_none_or(|asked| asked.get(index as usize).copied().unwrap_or_default())
        };
        let is_row = |row: &&Row| {
            self.has_been(row)
                && row.traffic != Traffic::Local
                && is_asked(&hosts, row.host)
                && is_asked(&of_device, row.device)
        };
        let rows: Vec<&Row> = books.rows.iter().filter(is_row).collect();
        let Some(now) = zoned(self.now, &self.zone) else { return Vec::new() };
        let this = start(&now, rate.per);
        let before = this.as_ref().and_then(|this| {
            let before = this.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?;
            start(&before, rate.per)
        });
        let mut events = Vec::new();
        let mut end_s = i64::MAX;
        for begin in [this, before].into_iter().flatten() {
            let begin_s = begin.timestamp().as_second();
            let inside = rows.iter().filter(|row| (begin_s..end_s).contains(&row.bucket_s));
            let sum = inside.fold(0_u64, |sum, row| sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes));
            end_s = begin_s;
            if sum <= rate.above {
                continue;
            }
            let (word, period) = match rate.per {
                Per::Hour => ("the hour from", rfc3339(&begin)),
                Per::Day => ("on", begin.date().to_string()),
            };
            events.push(Event {
                kind: Kind::Rate,
                subject: shown(&rate.name),
                threshold: rate.above.to_string(),
                value: sum,
                limit: Some(rate.above),
                line: format!("{}: {} {word} {period}, more than {}", shown(&rate.name), bytes(sum), bytes(rate.above)),
                period,
            });
        }
        events
    }

    /// Whether the books are old enough for something to be new.
    fn knows_old(&self, books: &Books) -> bool {
        books.observed.is_some_and(|(first, _)| self.now.since(first) > YOUNG_NS)
    }

    /// Whether a row is none of a time to come: clocks are set back.
    fn has_been(&self, row: &Row) -> bool {
        row.bucket_s.saturating_mul(NANOS_PER_SECOND) <= self.now.0
    }

    /// How far back an interface is looked for that may be silent: one that recorded nothing for so
    /// long and a month is not used any more.
    fn silence_ns(&self) -> Option<i64> {
        let most_ns = i64::from(self.rules.silent_s?).saturating_mul(NANOS_PER_SECOND);
        Some(most_ns.saturating_add(FORGOTTEN_NS))
    }

    /// Whether a row counts where something may be new. Plans may need older ones.
    fn is_of_late(&self, row: &Row) -> bool {
        let at_ns = row.bucket_s.saturating_mul(NANOS_PER_SECOND);
        self.has_been(row) && at_ns > self.now.0.saturating_sub(FORGOTTEN_NS)
    }

    /// Whether something that was first seen in this quarter hour is new.
    fn is_new(&self, first_s: i64) -> bool {
        first_s.saturating_mul(NANOS_PER_SECOND) > self.now.0.saturating_sub(NEW_NS)
    }

    fn new_sites(&self, books: &Books) -> Vec<Event> {
        let Some(least) = self.rules.new_site.filter(|_| self.knows_old(books)) else { return Vec::new() };
        let of_host: Vec<Option<String>> = books
            .hosts
            .iter()
            .map(|host| {
                let crate::books::Host::Name(name) = host else { return None };
                let site = self.sites.of(name.as_str());
                (site.kind == SiteKind::Site).then(|| site.name.to_string())
            })
            .collect();
        let mut found: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
        for row in books.rows.iter().filter(|row| row.traffic.is_of_sites() && self.is_of_late(row)) {
            let Some(Some(site)) = of_host.get(row.host as usize) else { continue };
            let (first, sum) = found.entry(site.as_str()).or_insert((i64::MAX, 0));
            *first = row.bucket_s.min(*first);
            *sum = sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
        }
        let is_new = |(_, (first, sum)): &(&str, (i64, u64))| *sum >= least && self.is_new(*first);
        let event = |(site, (_, sum)): (&str, (i64, u64))| Event {
            kind: Kind::NewSite,
            subject: shown(site),
            period: String::new(),
            threshold: String::new(),
            value: sum,
            limit: Some(least),
            line: format!("new site {}: {}", shown(site), bytes(sum)),
        };
        found.into_iter().filter(is_new).map(event).collect()
    }

    fn new_devices(&self, books: &Books) -> Vec<Event> {
        if !self.rules.new_device || !self.knows_old(books) {
            return Vec::new();
        }
        let mut found: BTreeMap<u32, (i64, u64)> = BTreeMap::new();
        for row in books.rows.iter().filter(|row| self.is_of_late(row)) {
            let (first, sum) = found.entry(row.device).or_insert((i64::MAX, 0));
            *first = row.bucket_s.min(*first);
            *sum = sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
        }
        let event = |(device, (_, sum)): (u32, (i64, u64))| {
            let device = device as usize;
            let label = books.devices.get(device).cloned().unwrap_or_default();
            let given = books.given.get(device).cloned().flatten().map(|given| given.name);
            let own = books.device_names.get(device).cloned().flatten().map(|name| name.to_string());
            let subject = shown(&given.unwrap_or(label));
            let called = own.map(|name| format!(" ({})", shown(&name))).unwrap_or_default();
            Event {
                kind: Kind::NewDevice,
                line: format!("new device {subject}{called}: {}", bytes(sum)),
                subject,
                period: String::new(),
                threshold: String::new(),
                value: sum,
                limit: None,
            }
        };
        found.into_iter().filter(|(_, (first, _))| self.is_new(*first)).map(event).collect()
    }

    /// One for each interface, once for each silence.
    fn silent(&self, books: &Books) -> Vec<Event> {
        let Some((most_s, back_ns)) = self.rules.silent_s.zip(self.silence_ns()) else { return Vec::new() };
        let mut last: BTreeMap<&str, UnixNanos> = BTreeMap::new();
        let is_of_late = |span: &&Span| self.now.since(span.to) <= back_ns;
        for span in books.timeline.recorded.iter().filter(is_of_late) {
            let to = last.entry(span.interface.as_str()).or_insert(span.to);
            *to = span.to.max(*to);
        }
        let silence = |to: &UnixNanos| self.now.since(*to);
        let is_long = |(_, to): &(&str, UnixNanos)| silence(to) > i64::from(most_s).saturating_mul(NANOS_PER_SECOND);
        let event = |(interface, to): (&str, UnixNanos)| {
            let since = zoned(to, &self.zone).as_ref().map(rfc3339).unwrap_or_default();
            let minutes = silence(&to) / (60 * NANOS_PER_SECOND) * 60 * NANOS_PER_SECOND;
            Event {
                kind: Kind::Silent,
                subject: shown(interface),
                threshold: most_s.to_string(),
                value: u64::try_from(silence(&to) / NANOS_PER_SECOND).unwrap_or_default(),
                limit: Some(most_s.into()),
                line: format!("nothing was recorded on {} since {since} ({})", shown(interface), duration(minutes)),
                period: since,
            }
        };
        last.into_iter().filter(is_long).map(event).collect()
    }
}

/// When the hour or day of a time begins.
fn start(at: &Zoned, per: Per) -> Option<Zoned> {
    match per {
        Per::Day => at.start_of_day().ok(),
        Per::Hour => at.round(ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;
    use crate::plan::{Projection, Seen, Standing};
    use crate::timeline::Timeline;
    use jiff::civil::date;

    const NOW_S: i64 = 1_800_000_000;

    fn lines(rules: &Rules, books: &Books) -> Vec<String> {
        let sites = Sites::new();
        let now = UnixNanos(NOW_S * NANOS_PER_SECOND);
        let judge = Judge { rules, plans: &[], sites: &sites, now, zone: TimeZone::UTC };
        judge.events(books, &Devices::default()).into_iter().map(|event| event.line).collect()
    }

    fn span(interface: &str, from_s: i64, to_s: i64) -> Span {
        let at = |s: i64| UnixNanos((NOW_S + s) * NANOS_PER_SECOND);
        Span { interface: interface.into(), recorder: [1; 16], from: at(from_s), to: at(to_s) }
    }

    #[test]
    fn an_interface_that_is_silent_is_said_and_others_are_not() {
        let rules = Rules { silent_s: Some(1_800), ..Rules::default() };
        let recorded = vec![span("eth0", -9_000, -7_200), span("wlan0", -9_000, -3_600), span("wlan0", -3_000, -60)];
        let books = Books { timeline: Timeline { recorded, ..Timeline::default() }, ..Books::default() };
        let said = lines(&rules, &books);
        assert_eq!(said, ["nothing was recorded on eth0 since 2027-01-15T06:00:00+00:00 (2 h)"]);
        assert!(lines(&Rules { silent_s: Some(7_200), ..rules }, &books).is_empty());
    }

    /// Plans with rollover need rows of two years.
    #[test]
    fn rows_that_only_a_plan_needs_make_nothing_old() {
        let rules = Rules { new_site: Some(1), new_device: true, silent_s: Some(40 * 86_400), ..Rules::default() };
        let row = |days: i64, device| Row {
            bucket_s: (NOW_S - days * 86_400).div_euclid(BUCKET_S) * BUCKET_S,
            host: 0,
            device,
            evidence: crate::books::Evidence::Sni,
            traffic: Traffic::Visited,
            candidates: None,
            blind: None,
            interface: 0,
            source: 0,
            up_bytes: 5,
            down_bytes: 0,
            up_packets: 1,
            down_packets: 0,
        };
        let said = |rows: Vec<Row>, recorded: Vec<Span>| {
            let name = imon_common::names::Name::from_host(b"www.example.com").unwrap();
            let books = Books {
                rows,
                hosts: vec![crate::books::Host::Name(name)],
                devices: vec!["192.168.1.7".into(), "192.168.1.8".into()],
                observed: Some((
                    UnixNanos((NOW_S - 600 * 86_400) * NANOS_PER_SECOND),
                    UnixNanos(NOW_S * NANOS_PER_SECOND),
                )),
                timeline: Timeline { recorded, ..Timeline::default() },
                ..Books::default()
            };
            lines(&rules, &books)
        };
        let new = ["new site example.com: 5 B", "new device 192.168.1.7: 5 B"];
        assert_eq!(said(vec![row(0, 0)], Vec::new()), new);
        assert_eq!(said(vec![row(31, 0), row(0, 0)], Vec::new()), new, "forgotten after a month");
        assert!(said(vec![row(29, 0), row(0, 0)], Vec::new()).is_empty());
        // Silent for longer than new things are looked for, and not used any more.
        let silent = |days: i64| said(Vec::new(), vec![span("eth0", -days * 86_400 - 60, -days * 86_400)]).len();
        assert_eq!([39, 41, 69, 71, 500].map(silent), [0, 1, 1, 0, 0]);
        let sites = Sites::new();
        let now = UnixNanos(NOW_S * NANOS_PER_SECOND);
        let back = |rules: &Rules| {
            let range = Judge { rules, plans: &[], sites: &sites, now, zone: TimeZone::UTC }.range();
            now.since(range.from.unwrap()) / (3_600 * NANOS_PER_SECOND)
        };
        assert_eq!((back(&rules), back(&Rules::default())), (70 * 24, 50));
    }

    /// A program decides by the value: the least that the period comes to.
    #[test]
    fn a_projection_says_both_ends_and_its_value_is_the_lower() {
        let (plan, rules) = (plan(1, "UTC"), Rules { projection: true, ..Rules::default() });
        let period = plan.period_of(date(2026, 11, 1)).unwrap();
        let now = UnixNanos(period.from.0 + 10 * DAY_NS);
        let standing = plan.standing(period, now, &[], &Seen::default()).unwrap();
        let sites = Sites::new();
        let judge = Judge { rules: &rules, plans: &[], sites: &sites, now, zone: TimeZone::UTC };
        let event = |low, high| {
            let projection = Some(Projection { low, high, pace: high, recorded_pace: None, weekdays: Some(low) });
            judge.projection(&Used { plan: &plan, standing: Standing { projection, ..standing.clone() } })
        };
        let found = event(2_000, 3_000).unwrap();
        assert_eq!((found.value, found.limit), (2_000, Some(100)));
        assert_eq!(found.line, "home: 2.00 kB to 3.00 kB on 2026-11-30, if it goes on so; the plan has 100 B");
        // Even the least must be more than the plan has.
        assert_eq!((event(100, 3_000).is_none(), event(101, 3_000).is_some()), (true, true));
    }
}
