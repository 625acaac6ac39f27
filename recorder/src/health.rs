//! What was lost, for those who look after the recorder: totals of this run, and the events of the
//! last day.

use crate::json::Value;
use imon_common::observe::{Count, Counter, GapReason};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// How long an event is remembered.
const DAY_NS: i64 = 86_400 * NANOS_PER_SECOND;

/// Events of one reason within this time are one: a link that goes up and down all day fills no
/// list.
const MERGE_NS: i64 = 600 * NANOS_PER_SECOND;

/// Events remembered. A day has 144 times of [`MERGE_NS`]; beyond this the oldest go.
const MAX_EVENTS: usize = 256;

/// Longest word taken from an old status file.
const MAX_REASON_BYTES: usize = 32;

/// The kernel had no room for packets.
const KERNEL_DROPPED: &str = "kernel-dropped";
/// The card or its driver had no room for packets.
const INTERFACE_DROPPED: &str = "interface-dropped";
/// The recorder had been stopped, and was started again.
pub const STOPPED: &str = "stopped";
/// The recorder ended without being stopped (an error, a crash, a power cut), and was started
/// again.
pub const INTERRUPTED: &str = "interrupted";

/// Something that was lost, or losses of one reason shortly after each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Begin of the first.
    pub from: UnixNanos,
    /// End of the last.
    pub to: UnixNanos,
    /// One word.
    pub reason: Cow<'static, str>,
    /// Packets, where they could be counted; the sum of gaps otherwise is in `gap_ns`.
    pub packets: u64,
    /// Length of the gaps together, in nanoseconds.
    pub gap_ns: u64,
}

impl Event {
    /// Whether traffic may have passed that nobody counted, and nobody asked for that.
    pub fn is_trouble(&self) -> bool {
        let harmless = [GapReason::Suspend, GapReason::LinkDown, GapReason::InterfaceGone, GapReason::ClockStep];
        self.reason != STOPPED && harmless.iter().all(|reason| reason.word() != self.reason)
    }

    fn to_json(&self) -> Value {
        Value::object([
            ("from_unix_s", seconds(self.from)),
            ("to_unix_s", seconds(self.to)),
            ("reason", (&*self.reason).into()),
            ("packets", self.packets.into()),
            ("gap_s", (self.gap_ns as f64 / 1e9).into()),
        ])
    }

    /// An event of an older status file. `None`: it is none.
    pub fn from_json(value: &Value) -> Option<Self> {
        let time = |name| Some(UnixNanos((value.number(&[name])? * 1e9) as i64));
        let reason = value.text(&["reason"])?;
        if reason.len() > MAX_REASON_BYTES || !reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            return None;
        }
        Some(Self {
            from: time("from_unix_s")?,
            to: time("to_unix_s")?,
            reason: Cow::Owned(reason.to_owned()),
            packets: value.whole(&["packets"])?,
            gap_ns: (value.number(&["gap_s"])?.max(0.0) * 1e9) as u64,
        })
    }
}

/// An instant as the status file has it.
pub fn seconds(ts: UnixNanos) -> Value {
    Value::Number(ts.0 as f64 / 1e9)
}

/// Losses of one reason in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Gaps, or times that packets were found dropped.
    pub count: u64,
    /// Packets.
    pub packets: u64,
    /// Length of gaps in nanoseconds.
    pub gap_ns: u64,
}

/// The memory of what was lost.
#[derive(Debug, Clone, Default)]
pub struct Health {
    events: VecDeque<Event>,
    losses: BTreeMap<Cow<'static, str>, Loss>,
    news: VecDeque<Event>,
}

impl Health {
    /// Takes from counts of the interval around `ts` what was lost.
    pub fn note(&mut self, ts: UnixNanos, counts: &[Count]) {
        for count in counts {
            let (reason, packets, gap_ns) = match count.counter {
                // Capture files state that nothing was lost; that is no event.
                Counter::KernelDropped | Counter::InterfaceDropped if count.packets == 0 => continue,
                Counter::KernelDropped => (KERNEL_DROPPED, count.packets, 0),
                Counter::InterfaceDropped => (INTERFACE_DROPPED, count.packets, 0),
                Counter::Gap(reason) => (reason.word(), 0, count.bytes),
                _ => continue,
            };
            let to = UnixNanos(ts.0.saturating_add(i64::try_from(gap_ns).unwrap_or(i64::MAX)));
            self.add(Event { from: ts, to, reason: reason.into(), packets, gap_ns });
        }
    }

    /// Adds an event of this run.
    pub fn add(&mut self, event: Event) {
        let loss = self.losses.entry(event.reason.clone()).or_default();
        loss.count += 1;
        loss.packets = loss.packets.saturating_add(event.packets);
        loss.gap_ns = loss.gap_ns.saturating_add(event.gap_ns);
        merge(&mut self.news, event.clone());
        self.remember(event);
    }

    /// Adds an event that counts for the day, but not for the totals: it happened before this run.
    pub fn remember(&mut self, event: Event) {
        merge(&mut self.events, event);
        if self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    /// What happened since the last call.
    pub fn take_news(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.news)
    }

    /// Totals of this run by reason, of each that there can be.
    pub fn all_losses(&self) -> BTreeMap<&str, Loss> {
        let reasons = GapReason::ALL.into_iter().map(GapReason::word);
        let none = reasons.chain([KERNEL_DROPPED, INTERFACE_DROPPED]).map(|reason| (reason, Loss::default()));
        none.chain(self.losses()).collect()
    }

    /// Totals of this run by reason.
    pub fn losses(&self) -> impl Iterator<Item = (&str, Loss)> {
        self.losses.iter().map(|(reason, loss)| (&**reason, *loss))
    }

    /// The events of the day before `now`, for the status file.
    pub fn last_day(&mut self, now: UnixNanos) -> Value {
        // Events that a stepped clock left in the future stay until it gets there, or until there
        // are too many.
        self.events.retain(|event| now.since(event.to) <= DAY_NS);
        Value::List(self.events.iter().map(Event::to_json).collect())
    }
}

/// Adds to the last event of the same reason if that was not long ago, else at the end.
fn merge(events: &mut VecDeque<Event>, event: Event) {
    match events.iter_mut().rev().find(|e| e.reason == event.reason) {
        Some(last) if event.from.since(last.to).saturating_abs() <= MERGE_NS => {
            last.from = last.from.min(event.from);
            last.to = last.to.max(event.to);
            last.packets = last.packets.saturating_add(event.packets);
            last.gap_ns = last.gap_ns.saturating_add(event.gap_ns);
        }
        _ => events.push_back(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::gap;
    use crate::counters::count;

    const MINUTE: i64 = 60 * NANOS_PER_SECOND;

    fn at(minute: i64) -> UnixNanos {
        UnixNanos(minute * MINUTE)
    }

    fn day(health: &mut Health, minute: i64) -> Vec<Event> {
        health.last_day(at(minute)).items(&[]).iter().map(|e| Event::from_json(e).unwrap()).collect()
    }

    #[test]
    fn losses_are_summed_up_by_reason_and_by_day() {
        let mut health = Health::default();
        health.note(at(1), &[count(Counter::KernelDropped, 5, 0), count(Counter::KernelReceived, 9, 0)]);
        health.note(at(2), &[count(Counter::KernelDropped, 7, 0), gap(GapReason::Suspend, 3 * MINUTE)]);
        health.note(at(60), &[count(Counter::KernelDropped, 1, 0)]);
        let events = day(&mut health, 100);
        let short: Vec<_> = events.iter().map(|e| (&*e.reason, e.from, e.to, e.packets, e.is_trouble())).collect();
        assert_eq!(
            short,
            [
                ("kernel-dropped", at(1), at(2), 12, true),
                ("suspend", at(2), at(5), 0, false),
                ("kernel-dropped", at(60), at(60), 1, true),
            ]
        );
        let losses: Vec<_> = health.losses().collect();
        assert_eq!(losses[0], ("kernel-dropped", Loss { count: 3, packets: 13, gap_ns: 0 }));
        assert_eq!(losses[1].1.gap_ns, 3 * MINUTE as u64);
        assert_eq!(health.take_news().len(), 3);
        assert_eq!(health.take_news().len(), 0);
        assert_eq!(day(&mut health, 24 * 60 + 30).len(), 1, "the first two are older than a day");
    }

    #[test]
    fn what_happened_before_this_run_counts_for_the_day_only() {
        let mut health = Health::default();
        health.remember(Event { from: at(0), to: at(1), reason: INTERRUPTED.into(), packets: 0, gap_ns: 1 });
        assert_eq!(health.losses().count(), 0);
        assert!(health.take_news().is_empty());
        assert!(day(&mut health, 2)[0].is_trouble());
    }

    #[test]
    fn the_list_is_bounded() {
        let mut health = Health::default();
        for n in 0..2_000 {
            health.note(at(n * 12), &[gap(GapReason::LinkDown, MINUTE)]);
        }
        assert_eq!(health.events.len(), MAX_EVENTS);
        assert_eq!(health.losses().next().unwrap().1.count, 2_000);
    }

    #[test]
    fn an_event_of_a_hostile_status_file_is_no_event() {
        for text in [
            r#"{"from_unix_s":1,"to_unix_s":2,"reason":"A","packets":0,"gap_s":0}"#,
            r#"{"from_unix_s":1,"to_unix_s":2,"reason":"\u001b","packets":0,"gap_s":0}"#,
            r#"{"from_unix_s":1,"to_unix_s":2,"reason":"a","packets":-1,"gap_s":0}"#,
            r#"{"from_unix_s":"1","to_unix_s":2,"reason":"a","packets":1,"gap_s":0}"#,
            "7",
        ] {
            assert_eq!(Event::from_json(&Value::parse(text).unwrap()), None, "{text}");
        }
        let far = r#"{"from_unix_s":1e300,"to_unix_s":-1e300,"reason":"a","packets":1,"gap_s":1e300}"#;
        let mut health = Health::default();
        health.remember(Event::from_json(&Value::parse(far).unwrap()).unwrap());
        health.last_day(at(0));
    }
}
