//! Who was told which name for which address, and when: the memory of attribution. It keeps facts;
//! what they mean for a flow is decided by the rules.

mod kept;
mod learn;

pub(super) use kept::{Told, keep};

use super::aging::{Aging, BRIEF, Few, SHORT};
use super::heads::Heads;
use super::policy::{KNOWN_NS, Policy};
use super::push;
use super::translated::{Prefixes, is_probe};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::local::LocalNets;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use imon_common::work;
use kept::{keep_latest, note_card, note_start};
use std::net::IpAddr;

/// Names kept for one asker and address; the one that was told longest ago goes first.
const KEPT: usize = 16;

/// Names and askers kept for one address: a busy address of a content network, as a network of some
/// dozens of devices sees it.
const KEPT_OF_ADDRESS: usize = 64;

/// Queries are looked up by the tenth of a second in which they were made.
const TENTH_NS: i64 = 100_000_000;

/// A device that is told an address for a host connects to it within this time after it asked; then
/// the query is not another flow's. An answer takes some 10 ms, seldom a second.
pub(super) const USED_NS: i64 = 2_000_000_000;

/// Queries kept of a device and tenth of a second: a page's.
const KEPT_OF_MOMENT: usize = 64;

/// A reply to a query comes within this time after it: resolvers give up after 10 to 30 s. As long
/// as the recorder pairs queries and responses.
pub(super) const REPLY_NS: i64 = 60_000_000_000;

/// Who is led to another name asks for it within this time: at once, or once a server was found
/// that knows it.
const STEP_NS: i64 = 5_000_000_000;

/// A reply counts from this long before the query that it is held against: programs ask for the
/// addresses of both families one after the other, and the recorder keeps the later time.
const REPLY_BEFORE_NS: i64 = 1_000_000_000;

/// Hardware addresses kept in mind; further ones count as devices.
const MACS: usize = 131_072;

/// Most IPv4 addresses, or IPv6 networks of 64 bits, that one hardware address may stand for: one
/// that stands for more is a router. Hosts have one or two, with virtual machines a few.
pub const MAX_ADDRESSES_OF_A_DEVICE: usize = 4;

/// Who was told a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asker {
    /// The IP address that the answer went to.
    Address(IpAddr),
    /// The hardware address, so that a device that asks over IPv6 and connects over IPv4 is one.
    Mac(Mac),
    /// An IP address that was told without having been seen to ask: such an answer may be forged.
    Unasked(IpAddr),
    /// Nobody: a flow of an own-side client to this service of the address carried the name.
    Flow(ServicePort),
    /// Somebody of our own side, of a private address for a public name: it says which names our
    /// own services have, and nothing about traffic to others.
    Split,
}

/// What a name inside a flow speaks for, beside the address: the same machine may serve others on
/// other ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServicePort {
    /// IANA protocol number.
    pub proto: u8,
    /// Server's port.
    pub port: u16,
}

impl ServicePort {
    /// The web: HTTPS over TCP and QUIC, and HTTP, which browsers change between by themselves (RFC
    /// 9110 section 4.2, RFC 9114 section 3.1).
    pub const WEB: Self = Self { proto: 6, port: 443 };

    /// The service that a flow goes to.
    pub fn of(flow: &Flow) -> Self {
        Self::new(flow.proto, flow.server_port)
    }

    /// The service that the name inside a flow is one of.
    pub(super) fn named(flow: &Flow) -> Self {
        let is_turned = flow.name.as_ref().is_some_and(|name| name.from_server);
        Self::new(flow.proto, if is_turned { flow.client_port } else { flow.server_port })
    }

    fn new(proto: u8, port: u16) -> Self {
        match (proto, port) {
            (6, 80 | 443) | (17, 443) => Self::WEB,
            (proto, port) => Self { proto, port },
        }
    }
}

/// A name that an observation taught for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Who asked.
    pub asker: Asker,
    /// The server's address.
    pub address: IpAddr,
    /// Its name.
    pub host: Name,
    /// When.
    pub ts: UnixNanos,
}

/// A name that was told to lead to the name of a content network's infrastructure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Who asked.
    pub asker: Asker,
    /// The infrastructure name.
    pub target: Name,
    /// The name that was asked for.
    pub head: Name,
    /// When.
    pub ts: UnixNanos,
}

/// Something that an observation taught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lesson {
    /// A name of an address.
    Address(Learned),
    /// A name that leads to an infrastructure name.
    Head(Led),
}

/// What a device was answered to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    ts: UnixNanos,
    /// It tells which addresses of this family the name has, if any.
    v4: bool,
    /// Likewise.
    v6: bool,
}

/// A flow that what the device asked for at the moment of its beginning stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guess {
    /// The flow's beginning.
    pub(super) start: UnixNanos,
    pub(super) host: Name,
}

/// Everything attribution remembers between flows.
#[derive(Debug, Default)]
pub struct AnswerBook {
    policy: Policy,
    by_asker: Aging<(Asker, IpAddr), Box<[Told<()>]>>,
    by_address: Aging<IpAddr, Box<[Told]>>,
    /// When a device, by address and by card, began flows that carried a name, last.
    opened: Aging<(Asker, Name), Few<UnixNanos>>,
    /// When it began flows to an address that it had been told for this name, last.
    led: Aging<(Asker, Name), Few<UnixNanos>>,
    /// What a device asked for beside the beginning of a flow, by moments.
    asked: Aging<(Asker, i64), Few<(UnixNanos, Name)>, BRIEF>,
    /// What it was answered to its queries for a name.
    replies: Aging<(Asker, Name), Few<Reply>, SHORT>,
    /// Names that a device was led to without an address, from which other name, and when last.
    steps: Aging<(Asker, Name), Few<(UnixNanos, Name)>, BRIEF>,
    /// Flows of a device to a service that its queries stand for.
    guessed: Aging<(Asker, IpAddr, ServicePort), Box<[Guess]>>,
    /// Which names lead to infrastructure.
    pub(super) heads: Heads,
    /// Where IPv4 addresses stand in IPv6 ones.
    prefixes: Prefixes,
    /// Networks that a card stood for, and when each began a flow last.
    macs: HashMap<Mac, Vec<(IpAddr, UnixNanos)>, RandomState>,
    /// Cards that had an IPv4 address, and when each began a flow with it last.
    cards: Aging<IpAddr, Few<(Mac, UnixNanos)>, SHORT>,
    /// Public names that our own side's DNS gave private addresses for.
    split: Aging<IpAddr, Box<[Told]>>,
}

impl AnswerBook {
    /// An empty memory for other rules than the usual ones.
    pub fn with_policy(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The rules in force.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes back what an earlier source taught.
    pub fn insert(&mut self, learned: Learned) {
        let Learned { asker, address, host, ts } = learned;
        if asker == Asker::Split {
            self.split.change(address, |told| keep(told, KEPT_OF_ADDRESS, (asker, host), ts));
            return;
        }
        if matches!(asker, Asker::Address(_)) && is_probe(&host) {
            self.prefixes.learn(address, ts);
        }
        // Once per answer, not once per asker of it.
        if !matches!(asker, Asker::Mac(_)) {
            let host = host.clone();
            self.by_address.change(address, |told| keep(told, KEPT_OF_ADDRESS, (asker, host), ts));
        }
        if !matches!(asker, Asker::Flow(_)) {
            self.by_asker.change((asker, address), |told| keep(told, KEPT, ((), host), ts));
        }
    }

    /// Takes back what an earlier source taught about names that lead to infrastructure.
    pub fn insert_head(&mut self, led: Led) {
        self.heads.insert(led);
    }

    /// Whether our own side's DNS gave the client's address, which is ours, for this name, not
    /// longer before the flow than names are known.
    pub(super) fn is_own_name(&self, flow: &Flow, name: &Name) -> bool {
        let (address, since) = (flow.client, UnixNanos(flow.start.0.saturating_sub(KNOWN_NS)));
        let by_dns = |told: &Told| {
            let is_answer = !matches!(told.asker, Asker::Flow(_) | Asker::Unasked(_));
            is_answer && told.host == *name && told.times.latest() >= since
        };
        self.split.get(&address).iter().chain(self.by_address.get(&address)).any(by_dns)
    }

    /// Notes that the device began this flow, which does not name itself, after it had been told
    /// the address for `host`.
    pub(super) fn begin(&mut self, flow: &Flow, host: &Name) {
        for asker in askers(flow) {
            self.led.change((asker, host.clone()), |starts| note_start(starts, flow.start));
        }
    }

    /// Notes that a hardware address stands for the client's address.
    pub fn meet(&mut self, flow: &Flow) {
        if let Some(mac) = flow.client_mac {
            self.meet_network(mac, network_of(flow.client), flow.start);
        }
    }

    /// Notes that a hardware address stood for an address of this network at this time. The latest
    /// networks of each family are kept, one more than a device has.
    pub fn meet_network(&mut self, mac: Mac, network: IpAddr, ts: UnixNanos) {
        if network.is_ipv4() {
            self.cards.change(network, |cards| note_card(cards, mac, ts));
        }
        if self.macs.len() >= MACS && !self.macs.contains_key(&mac) {
            return;
        }
        let met = self.macs.entry(mac).or_default();
        if let Some((_, last)) = met.iter_mut().find(|(known, _)| *known == network) {
            *last = ts.max(*last);
            return;
        }
        met.push((network, ts));
        let of_family = || met.iter().enumerate().filter(|(_, (known, _))| known.is_ipv4() == network.is_ipv4());
        if of_family().count() > MAX_ADDRESSES_OF_A_DEVICE + 1
            && let Some((oldest, _)) = of_family().min_by_key(|(_, (known, last))| (*last, *known))
        {
            met.swap_remove(oldest);
        }
    }

    /// Networks that a hardware address stood for not longer before `at` than names are known.
    fn networks(&self, mac: Mac, at: UnixNanos) -> impl Iterator<Item = IpAddr> {
        let met = self.macs.get(&mac).into_iter().flatten();
        met.filter(move |(_, last)| at.since(*last) <= KNOWN_NS).map(|(network, _)| *network)
    }

    /// Whose visits a flow's client follows: its IPv4 address's, which IPv6 flows join by the
    /// hardware address where that stands for one IPv4 address. Two clients behind one router have
    /// one hardware address, and each its own visits. `at` is when the flow moves something.
    pub(super) fn browser_of(&self, flow: &Flow, at: UnixNanos) -> Asker {
        let address = Asker::Address(flow.client);
        let Some(mac) = flow.client_mac.filter(|_| flow.client.is_ipv6()) else { return address };
        let mut v4 = self.networks(mac, at).filter(IpAddr::is_ipv4);
        match (v4.next(), v4.next()) {
            (Some(only), None) => Asker::Address(only),
            (None, _) if self.is_device(mac, at) => Asker::Mac(mac),
            _ => address,
        }
    }

    /// Whether a hardware address stands for one device at this time.
    fn is_device(&self, mac: Mac, at: UnixNanos) -> bool {
        let of = |v4: bool| self.networks(mac, at).filter(|network| network.is_ipv4() == v4).count();
        of(true) <= MAX_ADDRESSES_OF_A_DEVICE && of(false) <= MAX_ADDRESSES_OF_A_DEVICE
    }

    /// The names by which the flow's device is known.
    pub(super) fn device(&self, flow: &Flow) -> impl Iterator<Item = Asker> {
        let mac = flow.client_mac.filter(|mac| self.is_device(*mac, flow.start)).map(Asker::Mac);
        [Some(Asker::Address(flow.client)), mac].into_iter().flatten()
    }

    /// Until when answers went to another device that had the address of the flow's client before
    /// this one: addresses are given on. What this one is told it is told by its card as well. Of
    /// IPv6 only networks are noted, and routers have no address of the hosts behind them.
    pub(super) fn given_on(&self, flow: &Flow) -> Option<UnixNanos> {
        let mac = flow.client_mac.filter(|mac| !self.policy.baseline && self.is_device(*mac, flow.start))?;
        let cards = self.cards.get(&flow.client).iter().filter(|(card, last)| {
            work::step();
            let is_before = *last < flow.start && flow.start.since(*last) <= KNOWN_NS;
            *card != mac && is_before && self.is_device(*card, flow.start)
        });
        cards.map(|(_, last)| UnixNanos(last.0.saturating_add(REPLY_NS))).max()
    }

    /// The addresses that the flow's server is looked up by: its own first, then those inside it,
    /// which the simplest rules know nothing of.
    pub(super) fn addresses_of(&self, flow: &Flow) -> Vec<IpAddr> {
        let since = UnixNanos(flow.start.0.saturating_sub(KNOWN_NS));
        let mut addresses = if self.policy.baseline { Vec::new() } else { self.prefixes.embedded(flow.server, since) };
        addresses.insert(0, flow.server);
        addresses
    }

    /// What this flow's device asked for and was told about an address. Where its card has several
    /// addresses of a family (a repeater, a machine with guests), what the flow's own one was told
    /// lately counts alone.
    pub(super) fn own(&self, flow: &Flow, address: IpAddr) -> impl Iterator<Item = &Told<()>> {
        let oldest = UnixNanos(flow.start.0.saturating_sub(self.policy.fresh_ns));
        let given_on = self.given_on(flow);
        let is_its_own = move |(asker, told): &(Asker, &Told<()>)| {
            !matches!(asker, Asker::Address(_)) || given_on.is_none_or(|at| told.times.latest() > at)
        };
        let told_to = move |asker| self.by_asker.get(&(asker, address)).iter().map(move |told| (asker, told));
        let is_fresh = |(_, told): (_, &Told<()>)| told.times.latest() >= oldest;
        let has_own = || told_to(Asker::Address(flow.client)).filter(is_its_own).any(is_fresh);
        let alone = flow.client_mac.is_some_and(|mac| self.has_several(mac, flow)) && has_own();
        let asked = self.device(flow).filter(move |asker| !alone || matches!(asker, Asker::Address(_)));
        let told = asked.flat_map(told_to).inspect(|_| work::step());
        told.filter(is_its_own).map(|(_, told)| told)
    }

    /// Whether a hardware address stands for several networks of the family of the flow's client.
    fn has_several(&self, mac: Mac, flow: &Flow) -> bool {
        let is_v4 = flow.client.is_ipv4();
        self.networks(mac, flow.start).filter(|network| network.is_ipv4() == is_v4).nth(1).is_some()
    }

    /// What this flow's device was told about an address without having been seen to ask.
    pub(super) fn unasked(&self, flow: &Flow, address: IpAddr) -> &[Told<()>] {
        self.by_asker.get(&(Asker::Unasked(flow.client), address))
    }

    /// What anyone was told about an address, and names of flows to it.
    pub(super) fn of_address(&self, address: IpAddr) -> &[Told] {
        let told = self.by_address.get(&address);
        work::steps(told.len());
        told
    }

    /// What the flow's device asked for in `from..=to`, which is no longer than a moment, and began
    /// no flow of its own for.
    pub(super) fn asked(
        &self,
        flow: &Flow,
        from: UnixNanos,
        to: UnixNanos,
    ) -> impl Iterator<Item = (UnixNanos, &Name)> {
        let [first, last] = [from, to].map(|ts| ts.0.div_euclid(TENTH_NS));
        let moments = move |asker| (first..=last).map(move |moment| (asker, moment));
        let asked = self.device(flow).flat_map(moments).flat_map(|key| self.asked.get(&key));
        let left_over = |ts: UnixNanos, host: &Name| {
            work::step();
            let used = UnixNanos(ts.0.saturating_sub(TENTH_NS))..=UnixNanos(ts.0.saturating_add(USED_NS));
            let own = |asker| {
                let key = (asker, host.clone());
                self.opened.get(&key).iter().chain(self.led.get(&key)).any(|start| used.contains(start))
            };
            !self.device(flow).any(own)
        };
        let asked = asked.filter(move |(ts, host)| (from..=to).contains(ts) && left_over(*ts, host));
        asked.map(|(ts, host)| (*ts, host))
    }

    /// Whether a reply to this query of the flow's device says that the name has other addresses
    /// than the flow's server, or none.
    pub(super) fn denies(&self, flow: &Flow, host: &Name, asked: UnixNanos) -> bool {
        let (from, to) = (asked.0.saturating_sub(REPLY_BEFORE_NS), asked.0.saturating_add(REPLY_NS));
        let near = |ts: UnixNanos| (from..=to).contains(&ts.0);
        let tells = |reply: &Reply| near(reply.ts) && if flow.server.is_ipv4() { reply.v4 } else { reply.v6 };
        let denied = self.device(flow).any(|asker| self.replies.get(&(asker, host.clone())).iter().any(tells));
        denied && !self.own(flow, flow.server).any(|told| told.host == *host && told.times.iter().any(near))
    }

    /// Notes that what the device asked for at the beginning of this flow stands for it.
    pub(super) fn guess(&mut self, flow: &Flow, host: &Name) {
        let guess = Guess { start: flow.start, host: host.clone() };
        for asker in askers(flow) {
            self.guessed.change((asker, flow.server, ServicePort::of(flow)), |guesses| {
                keep_latest(guesses, guess.clone(), |guess| (guess.start, guess.host.clone()));
            });
        }
    }

    /// Flows of the device to the flow's service that its queries stand for.
    pub(super) fn guesses(&self, flow: &Flow) -> impl Iterator<Item = &Guess> {
        let service = ServicePort::of(flow);
        self.device(flow).flat_map(move |asker| self.guessed.get(&(asker, flow.server, service)))
    }

    /// Whether the flow's device began a flow that carried this name in `from..=to`, as far as the
    /// starts are kept.
    pub(super) fn opened(&self, flow: &Flow, host: &Name, from: UnixNanos, to: UnixNanos) -> bool {
        let mut starts = self.device(flow).flat_map(|asker| self.opened.get(&(asker, host.clone())));
        starts.any(|start| (from..=to).contains(start))
    }
}

/// The names by which a flow's client is remembered, whether or not its card is that of a router.
fn askers(flow: &Flow) -> impl Iterator<Item = Asker> {
    [Some(Asker::Address(flow.client)), flow.client_mac.map(Asker::Mac)].into_iter().flatten()
}

fn is_public_address(address: IpAddr) -> bool {
    !LocalNets::default().contains(address)
}

/// An IPv4 address itself; of an IPv6 address the network of 64 bits, as hosts change the rest
/// often (RFC 8981).
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(a) => IpAddr::V6((u128::from(a) >> 64 << 64).into()),
    }
}
