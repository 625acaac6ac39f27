//! First party: which page pulled the bytes of other sites in, beside the strict view.
//!
//! No packet says which page a request to a third party belongs to. Three signs do: time (what a
//! document needs is asked for within a second or two of the document), habit (which pages pull
//! which sites in, and which sites begin on their own) and names (`www.` is visited, `cdn.` is
//! pulled in), in rising order of how little they need to be learned.
//!
//! Each second of a flow is judged by itself, because connections are kept open over many pages. It
//! is judged [`LOOKAHEAD_NS`] after it was, with everything learned until then. Memory is bounded;
//! the same observations in the same order always give the same pages.

mod device;
mod explained;
mod habits;
mod judged;
mod owners;
mod runs;
mod shape;
mod so_far;
mod visits;

pub use habits::{Habit, Habits, HabitsOfSite, What};
pub use so_far::Pulled;

use super::PAST_NS;
use super::answers::Asker;
use super::pending::{At, FlowId, Share};
use crate::books::Sureness;
use crate::site::{SiteKind, Sites};
use device::{Device, Move, Question};
use explained::Candidate;
use foldhash::fast::RandomState;
use habits::{Named, day_of};
use hashbrown::{HashMap, HashSet};
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::observe::Usage;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::work;
use judged::{Judged, judge};
use owners::Before;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A flow's second is judged this long after it was: visits of the next minutes teach what this one
/// pulled in.
pub const LOOKAHEAD_NS: i64 = 600 * NANOS_PER_SECOND;

/// Seconds of flows that wait at a time, at about 80 bytes each. A busy home has some thousands in
/// ten minutes. Beyond it the oldest are judged early.
const MAX_WAITING: usize = 131_072;

/// Devices whose visits are followed at a time; bytes of further ones stay on their own sites. A
/// capture of spoofed addresses costs no more than this.
const MAX_DEVICES: usize = 2_048;

/// Parts of one flow that are told apart; what comes later stays on its own site.
const MAX_PARTS: usize = 64;

/// A flow that moves bytes again after this time is judged by its host's other flows, not by
/// itself.
const GOES_ON_NS: i64 = 30 * NANOS_PER_SECOND;

/// How often, in time of the facts, is looked for what can be learned.
const LEARN_EVERY_NS: i64 = NANOS_PER_SECOND;

/// Bytes in a second that are more than keeping a connection alive, or closing it: a request that
/// is answered with "not modified" has some 400.
const COUNTS_BYTES: u64 = 320;

/// Ports of web servers. Flows to others count where a name inside shows that they speak TLS, QUIC
/// or HTTP.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Bytes of a flow that a page pulled in. Shares of one source and bucket sum up to no more than
/// the flow's own share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePart {
    /// Source, bucket and amount.
    pub share: Share,
    /// Host of the page's document; `None` where nothing was visited.
    pub page: Option<Arc<str>>,
    /// How sure.
    pub sureness: Sureness,
    /// Host of the document of the page that could have been it as well.
    pub rival: Option<Arc<str>>,
}

/// One second of a flow that waits to be judged.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    flow: FlowId,
    device: u32,
    place: At,
    interval: UnixNanos,
    /// Earliest time of its bytes.
    at: i64,
    usage: Usage,
}

#[derive(Debug, Clone)]
struct Noted {
    host: Arc<str>,
    site: Named,
    parts: Vec<PagePart>,
    /// What was made of the latest second that counts.
    before: Option<(Judged, Before)>,
}

/// Follows the visits of all devices.
#[derive(Debug, Default, Clone)]
pub struct Pages {
    sites: Sites,
    habits: Habits,
    flows: HashMap<FlowId, Noted, RandomState>,
    devices: Vec<Device>,
    /// Devices with something to learn from.
    open: BTreeSet<u32>,
    device_of: HashMap<Asker, u32, RandomState>,
    /// Flows of which pages pulled bytes in, by source, until that is booked.
    of_source: HashMap<usize, HashSet<FlowId, RandomState>, RandomState>,
    waiting: VecDeque<Waiting>,
    /// Seconds of the current interval: first one in `waiting`, and the latest beginning of a flow
    /// among them.
    interval: Option<UnixNanos>,
    latest: i64,
    learned_at: i64,
}

/// One second of a flow, and what is known of the flow.
#[derive(Debug, Clone, Copy)]
pub struct Second<'a> {
    /// The flow's id.
    pub id: FlowId,
    /// Who the client is.
    pub device: Asker,
    /// The flow.
    pub flow: &'a Flow,
    /// The name that it has by now.
    pub host: Option<&'a Name>,
    /// In which source, and on which interface of it.
    pub place: At,
    /// Start of the interval.
    pub interval: UnixNanos,
    /// What it moved.
    pub usage: Usage,
}

impl Pages {
    /// Begins with what was learned before.
    pub fn new(habits: Habits) -> Self {
        Self { habits, ..Self::default() }
    }

    /// Takes one second of a flow; `note` hears what is learned, and in which source, and says
    /// whether it is news.
    pub fn second(&mut self, second: &Second<'_>, mut note: impl FnMut(usize, &Habit) -> bool) {
        let Second { id, flow, interval, .. } = *second;
        if self.interval != Some(interval) {
            if self.is_over(interval) {
                self.end(&mut note);
            }
            self.habits.turn_to(day_of(interval.0));
            self.interval = Some(interval);
            self.latest = interval.0;
            self.advance(interval.0, note);
        }
        if !self.meet(second) {
            return;
        }
        let Some(device) = self.device(second.device) else { return };
        // Within an interval flows come in the order of their first packets: one that goes on moved
        // its first after the beginning of the last new one before it.
        let begins = (interval.0..interval.0.saturating_add(NANOS_PER_SECOND)).contains(&flow.start.0);
        if begins {
            self.latest = self.latest.max(flow.start.0);
        }
        let at = self.latest;
        if let (Some(noted), Some(of)) = (self.flows.get(&id), self.devices.get_mut(device as usize)) {
            let bytes = second.usage.bytes();
            let counts = bytes >= COUNTS_BYTES;
            let Noted { host, site, .. } = noted;
            of.moves(&Move { at, site, host, source: second.place.source, begins, bytes, counts });
            if of.has_open() {
                self.open.insert(device);
            }
        }
        let (place, usage) = (second.place, second.usage);
        self.waiting.push_back(Waiting { flow: id, device, place, interval, at, usage });
        if self.waiting.len() > MAX_WAITING {
            self.judge_first();
        }
    }

    /// Whether everything was so long ago that a booking which begins `now` would not read it: what
    /// was shown then is forgotten, as it is there.
    pub fn is_over(&self, now: UnixNanos) -> bool {
        self.interval.is_some_and(|before| now.since(before) > PAST_NS)
    }

    /// Whether a name of the flow was noted.
    pub fn knows(&self, flow: FlowId) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Whether the flow is one that a page can pull in; notes its name.
    fn meet(&mut self, second: &Second<'_>) -> bool {
        let Second { id, flow, host, .. } = *second;
        let Some(host) = host else { return false };
        if self.flows.get(&id).is_some_and(|noted| *noted.host == *host.as_str()) {
            return true;
        }
        if !WEB_PORTS.contains(&flow.server_port) && flow.asked_name().is_none() {
            return false;
        }
        let site = self.sites.of(host.as_str());
        if site.kind != SiteKind::Site {
            return false;
        }
        let (host, site) = (Arc::from(host.as_str()), self.habits.named(&site.name.into()));
        match self.flows.get_mut(&id) {
            Some(noted) => (noted.host, noted.site) = (host, site),
            None => _ = self.flows.insert(id, Noted { host, site, parts: Vec::new(), before: None }),
        }
        true
    }

    fn device(&mut self, asker: Asker) -> Option<u32> {
        if let Some(device) = self.device_of.get(&asker) {
            return Some(*device);
        }
        if self.devices.len() >= MAX_DEVICES {
            return None;
        }
        let device = u32::try_from(self.devices.len()).ok()?;
        self.devices.push(Device::default());
        self.device_of.insert(asker, device);
        Some(device)
    }

    /// It is `now`: learns what can be learned, and judges what has waited long enough.
    fn advance(&mut self, now: i64, mut note: impl FnMut(usize, &Habit) -> bool) {
        if now.saturating_sub(self.learned_at) >= LEARN_EVERY_NS {
            self.learned_at = now;
            // Not those that are silent: there may be thousands, and this is every second.
            let Self { open, devices, habits, .. } = self;
            open.retain(|number| {
                work::step();
                let Some(device) = devices.get_mut(*number as usize) else { return false };
                device.learn(now, habits, &mut note);
                device.has_open()
            });
        }
        self.judge_before(UnixNanos(now.saturating_sub(LOOKAHEAD_NS)));
    }

    /// Judges every second before `end`.
    pub fn judge_before(&mut self, end: UnixNanos) {
        while self.waiting.front().is_some_and(|w| w.interval < end) {
            self.judge_first();
        }
    }

    /// Learns from everything and judges everything: nothing comes any more.
    pub fn end(&mut self, mut note: impl FnMut(usize, &Habit) -> bool) {
        for device in &mut self.devices {
            device.learn(i64::MAX, &mut self.habits, &mut note);
        }
        while !self.waiting.is_empty() {
            self.judge_first();
        }
        self.devices.clear();
        self.open.clear();
        self.device_of.clear();
        self.interval = None;
        self.learned_at = 0;
    }

    /// What pages pulled in of a flow that is over. Every second of it must have been judged.
    pub fn take(&mut self, flow: FlowId) -> Vec<PagePart> {
        let parts = self.flows.remove(&flow).map(|noted| noted.parts).unwrap_or_default();
        for part in &parts {
            if let Some(flows) = self.of_source.get_mut(&part.share.source()) {
                flows.remove(&flow);
            }
        }
        parts
    }

    /// Flows of which pages pulled bytes in, in `source`, in the order of their beginnings. All of
    /// it must have been judged.
    pub fn with_parts_of(&mut self, source: usize) -> Vec<FlowId> {
        let mut ids: Vec<_> = self.of_source.remove(&source).into_iter().flatten().collect();
        work::steps(ids.len());
        ids.sort_unstable();
        ids
    }

    /// What pages pulled in of a flow in `source`, all of which must have been judged.
    pub fn take_parts_of(&mut self, flow: FlowId, source: usize) -> Vec<PagePart> {
        let Some(noted) = self.flows.get_mut(&flow) else { return Vec::new() };
        noted.parts.extract_if(.., |part| part.share.source() == source).collect()
    }

    /// Judges the second that has waited longest. Gives where among the parts of its flow it is
    /// now; `None` of what belongs to a visit of its own site.
    fn judge_first(&mut self) -> Option<usize> {
        let waiting = self.waiting.pop_front()?;
        let (noted, device) = (self.flows.get_mut(&waiting.flow)?, self.devices.get_mut(waiting.device as usize)?);
        let share = Share::new(waiting.place, waiting.interval, waiting.usage);
        // Keeping a connection alive, and closing it, belong to what it was used for.
        if let Some((judged, _)) = noted.before.as_ref().filter(|_| waiting.usage.bytes() < COUNTS_BYTES) {
            let before = noted.parts.len();
            let place = add(&mut noted.parts, share, judged);
            if noted.parts.len() > before {
                self.of_source.entry(share.source()).or_default().insert(waiting.flow);
            }
            return place;
        }
        let before = noted.before.as_ref().map(|(_, before)| before);
        let before = before.filter(|before| waiting.interval.0.saturating_sub(before.at) <= GOES_ON_NS);
        let to = waiting.interval.0.saturating_add(NANOS_PER_SECOND - 1);
        let bytes = waiting.usage.bytes();
        let question = Question { site: &noted.site, host: &noted.host, from: waiting.at, to, bytes, before };
        let explained = device.explain(&question, &self.habits);
        let before = Before::new(waiting.interval.0, 0.0, &explained, before);
        let judged = judge(explained, &self.habits.rates(&noted.site), &self.habits);
        let known = noted.parts.len();
        let place = add(&mut noted.parts, share, &judged);
        if noted.parts.len() > known {
            self.of_source.entry(share.source()).or_default().insert(waiting.flow);
        }
        noted.before = Some((judged, before));
        place
    }
}

/// Adds a share to the part of its kind, and gives the place of that. There is none of a visit of
/// the own site, and none where there is no room.
fn add(parts: &mut Vec<PagePart>, share: Share, judged: &Judged) -> Option<usize> {
    let sureness = judged.sureness?;
    let host = |page: &Option<Candidate>| page.as_ref().map(|page| Arc::clone(&page.page.host));
    let part = PagePart { share, page: host(&judged.page), sureness, rival: host(&judged.rival) };
    let key = |p: &PagePart| (p.share.source(), p.share.bucket_s(), p.sureness);
    let same = |p: &PagePart| key(p) == key(&part) && p.page == part.page && p.rival == part.rival;
    let place = parts.len();
    if let Some((place, known)) = parts.iter_mut().enumerate().rev().find(|(_, part)| same(part)) {
        known.share.usage.add(share.usage);
        return Some(place);
    }
    let has_room = place < MAX_PARTS;
    has_room.then(|| {
        parts.push(part);
        place
    })
}

#[cfg(test)]
mod tests;
