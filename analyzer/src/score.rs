//! Attribution by DNS only, scored against the names inside flows.
//!
//! A flow counts if it carries a host name. What it carries is hidden from the rules, and compared
//! with what they say. Flows without such a name cannot tell right from wrong and are left out, by
//! reason.
//!
//! A [`Trial`] judges what belongs together: one capture, or the segments of one recorder. What one
//! capture teaches must not name the flows of another: on a user's machine the other capture is not
//! there.

use crate::attribution::{
    AnswerBook, Asker, Attributor, Learned, Ledger, Over, Policy, Rule, Share, Verdict, names_itself,
};
use crate::books::{Evidence, Host};
use crate::ingest::Taker;
use crate::site::{SiteKind, Sites};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::{Flow, FlowName, Scope};
use imon_common::names::{Name, NameKind, NameSeen};
use imon_common::observe::{Count, Observer, Usage};
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::net::IpAddr;

/// Flows and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Flows.
    pub flows: u64,
    /// IP bytes, both ways.
    pub bytes: u64,
}

impl Tally {
    /// Adds other flows.
    pub fn add(&mut self, other: Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What became of flows whose name is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// All of them.
    pub all: Tally,
    /// Those that got a name.
    pub named: Tally,
    /// Those that got the name that they carry.
    pub host: Tally,
    /// Those that got a name of the site that they carry a name of.
    pub site: Tally,
}

impl Marks {
    /// Those that got a name of another site.
    pub fn wrong(&self) -> Tally {
        let Tally { flows, bytes } = self.named;
        Tally { flows: flows.saturating_sub(self.site.flows), bytes: bytes.saturating_sub(self.site.bytes) }
    }

    /// Adds other flows.
    pub fn add(&mut self, other: &Self) {
        self.all.add(other.all);
        self.named.add(other.named);
        self.host.add(other.host);
        self.site.add(other.site);
    }
}

/// Why a flow was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Both ends are local, and it names no public site.
    Local,
    /// It carries no name.
    NoName,
    /// It came in: it is no visit of ours.
    Inbound,
    /// The name in it stood behind a relay's: DNS tells the relay's address only.
    Relayed,
    /// It carries the public name of an ECH provider, which is not where it goes.
    OuterName,
    /// What it carries is an address, or no name of the Internet.
    OddName,
}

impl LeftOut {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::NoName, Self::Local, Self::Inbound, Self::Relayed, Self::OuterName, Self::OddName];

    /// The word for it in JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::NoName => "no-name",
            Self::Inbound => "inbound",
            Self::Relayed => "relayed",
            Self::OuterName => "outer-name",
            Self::OddName => "odd-name",
        }
    }
}

/// Marks by evidence, and what was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Score {
    by_evidence: [Marks; Evidence::ALL.len()],
    left_out: [Tally; LeftOut::ALL.len()],
    /// Addresses in answers of DNS. A source without any says nothing about how far DNS can be
    /// trusted.
    pub answers: u64,
}

impl Score {
    /// Flows that were booked by this evidence; [`Evidence::None`] are those without a name.
    pub fn of(&self, evidence: Evidence) -> Marks {
        self.by_evidence.get(evidence.index()).copied().unwrap_or_default()
    }

    /// All flows.
    pub fn total(&self) -> Marks {
        let mut total = Marks::default();
        self.by_evidence.iter().for_each(|marks| total.add(marks));
        total
    }

    /// What was left out, and why.
    pub fn left_out(&self) -> impl Iterator<Item = (LeftOut, Tally)> {
        LeftOut::ALL.into_iter().zip(self.left_out)
    }

    /// Adds other flows.
    pub fn add(&mut self, other: &Self) {
        self.by_evidence.iter_mut().zip(&other.by_evidence).for_each(|(sum, marks)| sum.add(marks));
        self.left_out.iter_mut().zip(&other.left_out).for_each(|(sum, tally)| sum.add(*tally));
        self.answers = self.answers.saturating_add(other.answers);
    }

    fn leave_out(&mut self, reason: LeftOut, tally: Tally) {
        let places = self.left_out.iter_mut().zip(LeftOut::ALL);
        places.filter(|(_, place)| *place == reason).for_each(|(sum, _)| sum.add(tally));
    }
}

/// Flows kept for a list, at most: some 300 bytes each. What is beyond it counts in the sums.
const MOST_JUDGED: usize = 1_000_000;

/// What became of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It got a name of the site that it carries a name of.
    Right,
    /// It got a name of another site.
    Wrong,
    /// It got no name.
    Unnamed,
}

impl Mark {
    /// The word for it in JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unnamed => "unnamed",
        }
    }
}

/// A flow that was judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The source in which it began, by its place among those of the trial.
    pub source: usize,
    /// The flow; its name is the one inside.
    pub flow: Flow,
    /// IP bytes, both ways.
    pub bytes: u64,
    /// What the rules said.
    pub host: Host,
    /// By which evidence.
    pub evidence: Evidence,
    /// By which rule.
    pub rule: Rule,
    /// Hosts that the rules named beside it.
    pub candidates: Vec<Name>,
    /// Whether that was right.
    pub mark: Mark,
}

impl Judged {
    /// What tells this flow from all others of the trial.
    pub fn key(&self) -> FlowKey {
        key(&self.flow)
    }
}

/// What the rules of one policy made of a trial.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The score of each source that had flows or answers, by its place.
    pub scores: Vec<Score>,
    /// Every flow that was judged, if the trial keeps them; in no order.
    pub flows: Vec<Judged>,
}

/// Scores flows, each source apart.
#[derive(Debug)]
pub struct Scorer<'a> {
    sites: &'a Sites,
    result: Judgement,
    /// Keep the flows.
    list: bool,
    /// The source in which each flow that is not over began.
    origins: HashMap<FlowKey, usize, RandomState>,
}

/// What tells flows of several runs apart: start, number, client and server.
pub type FlowKey = (UnixNanos, u64, (IpAddr, u16), (IpAddr, u16));

impl Scorer<'_> {
    fn score(&mut self, source: usize) -> Option<&mut Score> {
        let scores = &mut self.result.scores;
        if scores.len() <= source {
            scores.resize(source + 1, Score::default());
        }
        scores.get_mut(source)
    }

    fn mark(&self, flow: &Flow, tally: Tally, verdict: &Verdict) -> Result<Marks, LeftOut> {
        let named = match flow.asked_name() {
            _ if flow.is_inbound() => return Err(LeftOut::Inbound),
            // What DNS knows is the relay's name, which is right.
            Some(FlowName { relayed: true, .. }) => return Err(LeftOut::Relayed),
            None => return Err(if flow.scope == Scope::Local { LeftOut::Local } else { LeftOut::NoName }),
            Some(FlowName { kind: NameKind::EchOuter, .. }) => return Err(LeftOut::OuterName),
            Some(FlowName { name, .. }) => name,
        };
        let truth = self.sites.of(named.as_str());
        if !names_itself(flow) || truth.kind != SiteKind::Site {
            return Err(if flow.scope == Scope::Local { LeftOut::Local } else { LeftOut::OddName });
        }
        let mut marks = Marks { all: tally, ..Marks::default() };
        if let Host::Name(found) = &verdict.host {
            marks.named = tally;
            if found == named {
                marks.host = tally;
            }
            if self.sites.of(found.as_str()).name == truth.name {
                marks.site = tally;
            }
        }
        Ok(marks)
    }
}

impl Ledger for Scorer<'_> {
    fn book(&mut self, flow: &Flow, shares: &[Share], _: &Verdict) {
        if let Some(share) = shares.first() {
            self.origins.entry(key(flow)).or_insert(share.source());
        }
    }

    fn over(&mut self, over: &Over<'_>) {
        let Over { flow, total, verdict, .. } = *over;
        let tally = Tally { flows: 1, bytes: total.up_bytes.saturating_add(total.down_bytes) };
        let marks = self.mark(flow, tally, verdict);
        let source = self.origins.remove(&key(flow)).unwrap_or_default();
        if self.list
            && self.result.flows.len() < MOST_JUDGED
            && let Ok(marks) = &marks
        {
            self.result.flows.push(judged(source, flow, verdict, marks));
        }
        let Some(score) = self.score(source) else { return };
        match marks {
            Ok(marks) => {
                if let Some(sum) = score.by_evidence.get_mut(verdict.evidence.index()) {
                    sum.add(&marks);
                }
            }
            Err(reason) => score.leave_out(reason, tally),
        }
    }

    fn learned(&mut self, source: usize, learned: &Learned) {
        if matches!(learned.asker, Asker::Address(_) | Asker::Unasked(_))
            && let Some(score) = self.score(source)
        {
            score.answers = score.answers.saturating_add(1);
        }
    }
}

fn judged(source: usize, flow: &Flow, verdict: &Verdict, marks: &Marks) -> Judged {
    let mark = match (marks.named.flows, marks.site.flows) {
        (0, _) => Mark::Unnamed,
        (_, 0) => Mark::Wrong,
        _ => Mark::Right,
    };
    let Verdict { host, evidence, rule, candidates, .. } = verdict.clone();
    Judged { source, flow: flow.clone(), bytes: marks.all.bytes, host, evidence, rule, candidates, mark }
}

fn key(flow: &Flow) -> FlowKey {
    (flow.start, flow.number, (flow.client, flow.client_port), (flow.server, flow.server_port))
}

/// What a trial gives beside sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Every flow.
    Flows,
}

/// The same observations under several policies: those of one capture, or of the segments of one
/// recorder.
#[derive(Debug)]
pub struct Trial<'a>(Vec<Attributor<Scorer<'a>>>);

impl<'a> Trial<'a> {
    /// A trial of these policies, each of which hides the names inside flows.
    pub fn new(policies: &[Policy], sites: &'a Sites, kept: Kept) -> Self {
        let list = kept == Kept::Flows;
        let attributor = |policy: &Policy| {
            let hidden = Policy { in_flow: false, ..*policy };
            Attributor::new(
                AnswerBook::with_policy(hidden),
                Scorer { sites, result: Judgement::default(), list, origins: HashMap::default() },
            )
        };
        Self(policies.iter().map(attributor).collect())
    }

    /// What the rules of each policy made of it, in the order of the policies.
    pub fn finish(self) -> Vec<Judgement> {
        self.0.into_iter().map(|attributor| attributor.finish().result).collect()
    }
}

impl Taker for Trial<'_> {
    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        self.0.iter_mut().for_each(|attributor| attributor.begin(source, header));
    }

    fn turn(&mut self, source: usize, ts: UnixNanos) {
        self.0.iter_mut().for_each(|attributor| attributor.turn(source, ts));
    }

    fn end_run(&mut self, run: &[u8; 16]) {
        self.0.iter_mut().for_each(|attributor| attributor.end_run(run));
    }
}

impl Observer for Trial<'_> {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.0.iter_mut().try_for_each(|attributor| attributor.name(flow, seen))
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.0.iter_mut().try_for_each(|attributor| attributor.usage(flow, interval, usage))
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.0.iter_mut().try_for_each(|attributor| attributor.counts(ts, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::names::{AnswerAddress, Name, RecordKind};
    use imon_common::time::NANOS_PER_SECOND;

    fn name(text: &str) -> Name {
        Name::from_host(text.as_bytes()).unwrap()
    }

    fn flow(number: u64, server: &str, inside: Option<(NameKind, &str)>) -> Flow {
        Flow {
            number,
            client: "192.168.1.5".parse().unwrap(),
            server: server.parse().unwrap(),
            client_port: 50_000,
            server_port: 443,
            proto: 6,
            scope: Scope::Remote,
            begin_seen: true,
            opened: imon_common::flow::Opener::Client,
            interface: 0,
            vlan: None,
            client_mac: None,
            start: UnixNanos(100 * NANOS_PER_SECOND),
            name: inside.map(|(kind, text)| FlowName::new(kind, name(text))),
        }
    }

    #[test]
    fn names_inside_flows_judge_and_do_not_help() {
        let sites = Sites::new();
        let mut trial = Trial::new(&[Policy::default(), Policy::BASELINE], &sites, Kept::Flows);
        let told = |ts_s: i64, host: &str, server: &str| NameSeen {
            ts: UnixNanos(ts_s * NANOS_PER_SECOND),
            kind: NameKind::Dns,
            name: name(host),
            chain: Vec::new(),
            addresses: vec![AnswerAddress { address: server.parse().unwrap(), ttl_s: 60, record: RecordKind::A }],
            asker_is_server: false,
            relayed: false,
        };
        let lookup = flow(0, "192.168.1.1", None);
        let Ok(()) = trial.name(&lookup, &told(90, "www.example.org", "203.0.113.1"));
        let Ok(()) = trial.name(&lookup, &told(90, "cdn.example.org", "203.0.113.2"));
        let Ok(()) = trial.name(&lookup, &told(90, "www.example.net", "203.0.113.3"));
        let usage = Usage { down_packets: 1, down_bytes: 1_000, ..Usage::default() };
        let flows = [
            flow(1, "203.0.113.1", Some((NameKind::Sni, "www.example.org"))),
            flow(2, "203.0.113.2", Some((NameKind::Quic, "www.example.org"))),
            flow(3, "203.0.113.3", Some((NameKind::Http, "www.example.org"))),
            flow(4, "203.0.113.4", Some((NameKind::Sni, "www.example.org"))),
            flow(5, "203.0.113.1", None),
            flow(6, "203.0.113.1", Some((NameKind::EchOuter, "outer.example"))),
            flow(7, "203.0.113.1", Some((NameKind::Sni, "localhost"))),
            // Only after the flow: for our rules late is better than never.
            flow(8, "203.0.113.5", Some((NameKind::Sni, "late.example.org"))),
        ];
        // What came in, and what went through a relay, DNS cannot know.
        let scanned = Flow {
            opened: imon_common::flow::Opener::Server,
            ..flow(9, "203.0.113.1", Some((NameKind::Http, "www.example.org")))
        };
        let mut tunnelled = flow(10, "203.0.113.1", Some((NameKind::Sni, "www.example.net")));
        if let Some(name) = &mut tunnelled.name {
            name.relayed = true;
        }
        for flow in flows.iter().chain([&scanned, &tunnelled]) {
            let Ok(()) = trial.usage(flow, flow.start, usage);
        }
        let late = NameSeen { ts: UnixNanos(100_100_000_000), ..told(100, "late.example.org", "203.0.113.5") };
        let Ok(()) = trial.name(&lookup, &late);
        let scores = trial.finish();
        let tally = |flows| Tally { flows, bytes: flows * 1_000 };
        let total = |i: usize| scores[i].scores[0].total();
        assert_eq!(total(0), Marks { all: tally(5), named: tally(4), host: tally(2), site: tally(3) });
        assert_eq!(total(1), Marks { all: tally(5), named: tally(3), host: tally(1), site: tally(2) });
        assert_eq!(total(0).wrong(), tally(1));
        assert_eq!(scores[0].scores[0].answers, 4);
        assert_eq!(scores[0].scores[0].of(Evidence::DnsLate).site, tally(1));
        let left_out: Vec<_> = scores[0].scores[0].left_out().filter(|(_, t)| t.flows > 0).collect();
        let one = |reason| (reason, tally(1));
        let reasons = [LeftOut::NoName, LeftOut::Inbound, LeftOut::Relayed, LeftOut::OuterName, LeftOut::OddName];
        assert_eq!(left_out, reasons.map(one));
        let mut listed: Vec<_> = scores[0].flows.iter().map(|j| (j.flow.number, j.mark, j.evidence)).collect();
        listed.sort_by_key(|(number, ..)| *number);
        let dns = Evidence::Dns;
        let expected = [(1, Mark::Right, dns), (2, Mark::Right, dns), (3, Mark::Wrong, dns)];
        assert_eq!(listed[..3], expected);
        let rest = [(4, Mark::Unnamed, Evidence::None), (8, Mark::Right, Evidence::DnsLate)];
        assert_eq!(listed[3..], rest);
    }
}
