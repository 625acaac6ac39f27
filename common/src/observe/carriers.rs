//! Flows that carry the packets of a tunnel which is recorded as well.
//!
//! Where a tunnel's interface (tun, WireGuard, PPP) and the link below are in one capture, each
//! byte inside is seen twice: once in the flow that it belongs to, and once more, encrypted, in the
//! flow of the tunnel's own packets: the carrier. What is inside has the names; what the carrier
//! moves is what a provider bills. So both count, and nothing twice: the flows inside count whole,
//! and of the carrier's bytes only what the tunnel adds (headers, padding, and what it sends on its
//! own account). The sum is the carrier's, whose share under names is what was inside.
//!
//! No header says which flow is the carrier. It is known by this: most of its packets come within
//! milliseconds of one on the tunnel's interface that is a little shorter, and in each interval the
//! two move the same but for headers. Tunnels that are not encrypted need none of this: their inner
//! packets are copies (`copies`).

use super::copies::{Place, place_of};
use super::{Count, Counter, Usage};
use crate::cursor::Cursor;
use crate::flow::FlowTable;
use crate::packet::CapturedPacket;
use crate::time::UnixNanos;
use crate::wire::IpPacket;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::net::IpAddr;

/// Tunnels that are followed at a time. Machines have one or two; those beyond keep their carriers
/// whole.
const MAX_TUNNELS: usize = 8;

/// Packets in which the other half of one is looked for, for each tunnel and for all others: the
/// window of a connection that is let into a tunnel at once, before the program that serves it has
/// its turn.
const WAITING: usize = 128;

/// Longest time between the two. It is microseconds, some hundred where a program does the work,
/// and some thousand where the machine is busy.
const PAIR_NS: i64 = 10_000_000;

/// Flows of which one packet inside may be the other half: for each one of their packets.
const CLAIMS: usize = 4;

/// Bytes that a tunnel adds to a packet. Least: an IPv4 header. Most: IPv6, TCP or UDP with DTLS or
/// IPsec, padding to blocks of 16, and an Ethernet header inside (OpenVPN's tap); WireGuard adds 60
/// to 95.
const OVERHEAD: std::ops::RangeInclusive<u32> = 20..=160;

/// Packets of an interval that must have their other half before a flow is taken for a carrier:
/// fewer may come by chance.
const LEAST_PAIRS: u32 = 8;

/// Flows whose pairs are counted in an interval.
const MAX_TALLIES: usize = 4_096;

/// Carriers that are remembered; the oldest is forgotten.
const MAX_CARRIERS: usize = 64;

/// Intervals in a row in which a flow moves what the tunnel does, both ways, before it is taken for
/// the carrier though its packets have no other halves: with segmentation offload the tunnel shows
/// one packet where the link shows many. One such interval comes by chance in one case of ten,
/// three in one of a thousand.
const INTERVALS_ALIKE: u8 = 3;

/// Bytes that such an interval must have: a few packets resemble anything.
const LEAST_BYTES: u64 = 20_000;

/// Who sends and receives a tunnel's packets on our side: protocol, address, port. A server has
/// many flows there, one a peer.
type Endpoint = (u8, IpAddr, u16);

/// Knows carriers.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    tunnels: Vec<Tunnel>,
    /// Packets that may carry one which is not seen yet.
    outside: Waiting,
    tallies: HashMap<u32, Tally, RandomState>,
    known: Vec<(Endpoint, Place)>,
    /// Endpoints that moved what a tunnel did, for so many intervals.
    alike: Vec<((Endpoint, Place), u8)>,
}

/// One interface whose packets leave inside others.
#[derive(Debug)]
struct Tunnel {
    place: Place,
    waiting: Waiting,
    /// What passed in this interval, and what no carrier had room for in the one before: a packet
    /// may be seen in two.
    moved: Usage,
    left_over: (u64, u64),
}

/// The last packets that have no other half yet, in a ring.
#[derive(Debug, Default)]
struct Waiting {
    packets: Vec<Half>,
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Half {
    ts: UnixNanos,
    place: Place,
    bytes: u32,
    slot: u32,
    /// Of a packet inside: the flows of which it is the other half of one. Of another: its own,
    /// once it has one.
    claims: [Option<u32>; CLAIMS],
}

impl Half {
    /// Notes that it is the other half of a packet of the flow in `slot`. False if it is one of
    /// another of that flow, or of too many.
    fn claim(&mut self, slot: u32) -> bool {
        for claim in &mut self.claims {
            match claim {
                Some(other) if *other == slot => return false,
                Some(_) => {}
                None => {
                    *claim = Some(slot);
                    return true;
                }
            }
        }
        false
    }
}

/// What a flow did in this interval.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    packets: u32,
    pairs: u32,
    /// The tunnel of its last pair.
    tunnel: Option<Place>,
    /// It passes a tunnel itself.
    is_inside: bool,
}

impl Waiting {
    /// The packets, latest first.
    fn latest_first(&mut self) -> impl Iterator<Item = &mut Half> {
        let (newer, older) = self.packets.split_at_mut_checked(self.next).unwrap_or_default();
        newer.iter_mut().rev().chain(older.iter_mut().rev())
    }

    fn put(&mut self, half: Half) {
        match self.packets.get_mut(self.next) {
            Some(place) => *place = half,
            None => self.packets.push(half),
        }
        self.next = (self.next + 1) % WAITING;
    }
}

impl Carriers {
    /// Takes in a packet, of the flow in `slot`, whose client sent it (`up`) or not. `is_copy`: it
    /// was counted elsewhere.
    pub(super) fn packet(
        &mut self,
        packet: &CapturedPacket<'_>,
        ip: &IpPacket<'_>,
        (slot, up): (u32, bool),
        is_copy: bool,
    ) {
        let is_end = is_tunnel_end(packet);
        if !is_end && self.tunnels.is_empty() {
            return;
        }
        let (ts, place, bytes) = (packet.ts, place_of(packet), ip.ip_bytes);
        let half = Half { ts, place, bytes, slot, claims: [None; CLAIMS] };
        if is_end {
            self.inside(half, up);
            self.tally(slot, |tally| tally.is_inside = true);
        }
        if !is_copy && self.tunnels.iter().any(|tunnel| tunnel.place != place) {
            self.outside(half);
        }
    }

    fn inside(&mut self, half: Half, up: bool) {
        let at = self.tunnels.iter().position(|tunnel| tunnel.place == half.place);
        let at = at.unwrap_or_else(|| {
            if self.tunnels.len() < MAX_TUNNELS {
                let (place, waiting) = (half.place, Waiting::default());
                self.tunnels.push(Tunnel { place, waiting, moved: Usage::default(), left_over: (0, 0) });
            }
            self.tunnels.len() - 1
        });
        let Some(tunnel) = self.tunnels.get_mut(at).filter(|tunnel| tunnel.place == half.place) else {
            return;
        };
        tunnel.moved.add(match up {
            true => Usage { up_packets: 1, up_bytes: half.bytes.into(), ..Usage::default() },
            false => Usage { down_packets: 1, down_bytes: half.bytes.into(), ..Usage::default() },
        });
        let mut half = half;
        for outer in self.outside.latest_first() {
            if half.ts.since(outer.ts) > PAIR_NS {
                break;
            }
            if outer.claims == [None; CLAIMS] && carries(outer, &half) && half.claim(outer.slot) {
                outer.claim(outer.slot);
            }
        }
        tunnel.waiting.put(half);
        for slot in half.claims.into_iter().flatten() {
            self.tally(slot, |tally| (tally.pairs, tally.tunnel) = (tally.pairs + 1, Some(half.place)));
        }
    }

    fn outside(&mut self, mut half: Half) {
        let slot = half.slot;
        let mut inner = None;
        for tunnel in &mut self.tunnels {
            let mut fitting = tunnel.waiting.latest_first().take_while(|inner| half.ts.since(inner.ts) <= PAIR_NS);
            if fitting.any(|inner| carries(&half, inner) && inner.claim(slot)) {
                inner = Some(tunnel.place);
            }
        }
        self.tally(slot, |tally| {
            tally.packets += 1;
            if inner.is_some() {
                (tally.pairs, tally.tunnel) = (tally.pairs + 1, inner);
            }
        });
        if inner.is_some() {
            half.claim(slot);
        }
        self.outside.put(half);
    }

    fn tally(&mut self, slot: u32, note: impl FnOnce(&mut Tally)) {
        if self.tallies.len() < MAX_TALLIES || self.tallies.contains_key(&slot) {
            note(self.tallies.entry(slot).or_default());
        }
    }

    /// No tunnel is followed.
    pub(super) fn is_idle(&self) -> bool {
        self.tunnels.is_empty()
    }

    /// A flow ends, and its slot may be another's.
    pub(super) fn forget(&mut self, slot: u32) {
        self.tallies.remove(&slot);
    }

    /// At the end of an interval: takes out of the carriers' pending usage what was inside, and
    /// gives what was taken.
    pub(super) fn settle(&mut self, table: &mut FlowTable) -> Vec<Count> {
        if self.tunnels.is_empty() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        let tallies = std::mem::take(&mut self.tallies);
        let groups = groups(&tallies, table);
        let mut tunnels = std::mem::take(&mut self.tunnels);
        for tunnel in &mut tunnels {
            let moved = std::mem::take(&mut tunnel.moved);
            self.judge(&groups, tunnel.place, moved);
            let is_carrier = |group: &&Group| self.known.contains(&(group.endpoint, tunnel.place));
            let slots: Vec<u32> =
                groups.iter().filter(is_carrier).flat_map(|group| group.slots.iter().copied()).collect();
            let inside = (moved.up_bytes + tunnel.left_over.0, moved.down_bytes + tunnel.left_over.1);
            let left_over = take_out(inside, &slots, table, &mut taken);
            // What the carrier had no room for in this interval it may have in the next one; older
            // than that it is none of its.
            tunnel.left_over = (left_over.0.min(moved.up_bytes), left_over.1.min(moved.down_bytes));
            if slots.is_empty() {
                tunnel.left_over = (0, 0);
            }
        }
        self.tunnels = tunnels;
        // Slots are given to other flows: what waits for its other half is not kept over the
        // interval.
        self.outside = Waiting::default();
        taken
    }

    /// Decides which endpoint carries a tunnel's packets, by what all did in this interval.
    fn judge(&mut self, groups: &[Group], place: Place, moved: Usage) {
        let is_known = |group: &&Group| self.known.contains(&(group.endpoint, place));
        let mut by_known = Usage::default();
        groups.iter().filter(is_known).for_each(|group| by_known.add(group.usage));
        if moved.packets() == 0 || is_alike((by_known.bytes(), by_known.packets()), moved.bytes()) {
            return;
        }
        let strangers = || groups.iter().filter(|group| !is_known(group) && !group.is_inside);
        let by_pairs = strangers().filter(|group| group.has_pairs(place, moved)).max_by_key(|group| group.pairs);
        let found = by_pairs.map(|group| group.endpoint).or_else(|| {
            // Without pairs it takes several such intervals in a row.
            let before = std::mem::take(&mut self.alike);
            let times = |endpoint| before.iter().find(|(other, ..)| *other == (endpoint, place)).map_or(0, |(_, n)| *n);
            let again = strangers().filter(|group| group.moves_alike(moved));
            self.alike = again.map(|group| ((group.endpoint, place), times(group.endpoint) + 1)).collect();
            self.alike.extend(before.into_iter().filter(|((_, other), _)| *other != place));
            self.alike.truncate(MAX_CARRIERS);
            let old = |((_, tunnel), times): &&((Endpoint, Place), u8)| *tunnel == place && *times >= INTERVALS_ALIKE;
            self.alike.iter().find(old).map(|((endpoint, _), _)| *endpoint)
        });
        if let Some(endpoint) = found {
            if self.known.len() >= MAX_CARRIERS {
                self.known.remove(0);
            }
            self.known.push((endpoint, place));
        }
    }
}

/// Flows of one endpoint in an interval.
#[derive(Debug)]
struct Group {
    endpoint: Endpoint,
    slots: Vec<u32>,
    usage: Usage,
    packets: u32,
    pairs: u32,
    tunnel: Option<Place>,
    /// Flows of it pass a tunnel themselves. One tunnel in another is not told from that, and keeps
    /// its carrier whole.
    is_inside: bool,
}

impl Group {
    /// Most of its packets have their other half in the tunnel, and all together they move the
    /// same.
    fn has_pairs(&self, tunnel: Place, moved: Usage) -> bool {
        self.tunnel == Some(tunnel)
            && self.pairs >= LEAST_PAIRS
            && u64::from(self.pairs) * 3 >= u64::from(self.packets) * 2
            && is_alike((self.usage.bytes(), self.usage.packets()), moved.bytes())
    }

    /// Both ways it moves what the tunnel does, and more: what merely passes on to the tunnel moves
    /// as much.
    fn moves_alike(&self, moved: Usage) -> bool {
        let usage = self.usage;
        moved.bytes() >= LEAST_BYTES
            && usage.bytes() >= moved.bytes() + usage.packets() * u64::from(*OVERHEAD.start()) / 2
            && is_alike((usage.up_bytes, usage.up_packets), moved.up_bytes)
            && is_alike((usage.down_bytes, usage.down_packets), moved.down_bytes)
    }
}

fn groups(tallies: &HashMap<u32, Tally, RandomState>, table: &FlowTable) -> Vec<Group> {
    let mut groups: HashMap<Endpoint, Group, RandomState> = HashMap::default();
    for (slot, tally) in tallies {
        let Some(entry) = table.get(*slot).filter(|entry| entry.touched) else { continue };
        let flow = &entry.flow;
        let endpoint = (flow.proto, flow.client, flow.client_port);
        let group = groups.entry(endpoint).or_insert_with(|| Group {
            endpoint,
            slots: Vec::new(),
            usage: Usage::default(),
            packets: 0,
            pairs: 0,
            tunnel: None,
            is_inside: false,
        });
        group.slots.push(*slot);
        group.usage.add(entry.pending);
        (group.packets, group.pairs) = (group.packets + tally.packets, group.pairs + tally.pairs);
        group.tunnel = tally.tunnel.or(group.tunnel);
        group.is_inside |= tally.is_inside;
    }
    // In an order of their own, so that the same packets give the same books to the byte.
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.slots.sort_unstable());
    groups.sort_by_key(|group| group.endpoint);
    groups
}

/// Whether an outside (bytes, packets) is what carries so many bytes inside, at the rate of
/// [`OVERHEAD`]. A twentieth is left for packets on their way at the edges of the interval.
fn is_alike((bytes, packets): (u64, u64), inside: u64) -> bool {
    let slack = bytes / 20 + 200;
    let most = packets.saturating_mul((*OVERHEAD.end()).into()).saturating_add(slack);
    bytes + slack >= inside && bytes <= inside.saturating_add(most)
}

/// Whether `outer` may hold `inner`.
fn carries(outer: &Half, inner: &Half) -> bool {
    outer.place != inner.place
        && outer.bytes.checked_sub(inner.bytes).is_some_and(|more| OVERHEAD.contains(&more))
        && outer.ts.since(inner.ts).abs() <= PAIR_NS
}

/// Takes bytes up and down out of what is pending of flows, each by its share; gives what there was
/// no room for.
fn take_out(inside: (u64, u64), slots: &[u32], table: &mut FlowTable, taken: &mut Vec<Count>) -> (u64, u64) {
    let pending = |slot: &u32, table: &FlowTable| table.get(*slot).map(|entry| entry.pending).unwrap_or_default();
    let mut all = Usage::default();
    slots.iter().for_each(|slot| all.add(pending(slot, table)));
    // Flows between two local ends have no up and down of ours: what does not fit one way may fit
    // the other.
    let (up, down) = (inside.0.min(all.up_bytes), inside.1.min(all.down_bytes));
    let rest = inside.0 + inside.1 - up - down;
    let more_up = rest.min(all.up_bytes - up);
    let more_down = (rest - more_up).min(all.down_bytes - down);
    let (up, down) = (up + more_up, down + more_down);
    let (mut left_up, mut left_down) = (up, down);
    for (n, slot) in slots.iter().enumerate() {
        let is_last = n + 1 == slots.len();
        let Some(entry) = table.get_mut(*slot) else { continue };
        let share = |amount: u64, part: u64, whole: u64, left: u64| {
            let share = u128::from(amount) * u128::from(part) / u128::from(whole.max(1));
            if is_last { left.min(part) } else { u64::try_from(share).unwrap_or(u64::MAX).min(left).min(part) }
        };
        let from_up = share(up, entry.pending.up_bytes, all.up_bytes, left_up);
        let from_down = share(down, entry.pending.down_bytes, all.down_bytes, left_down);
        entry.pending.up_bytes -= from_up;
        entry.pending.down_bytes -= from_down;
        (left_up, left_down) = (left_up - from_up, left_down - from_down);
        if from_up + from_down > 0 {
            // The number as far as a counter's detail has room for it; flows of one day have few.
            let counter = Counter::Carried(entry.flow.number as u32);
            taken.push(Count { counter, packets: 0, bytes: from_up + from_down });
        }
    }
    (inside.0.saturating_sub(up - left_up), inside.1.saturating_sub(down - left_down))
}

/// Whether packets of this interface have no link header of their own (tun, WireGuard, IP in IP,
/// PPP): then they mostly leave the machine inside packets of another one.
fn is_tunnel_end(packet: &CapturedPacket<'_>) -> bool {
    let mut at = Cursor::new(packet.data);
    let hardware = match packet.link_type.0 {
        9 | 12 | 14 | 50 | 101 | 228 | 229 => return true, // PPP, IP without header
        113 => at.skip(2).and_then(|()| at.be_u16()),
        276 => at.skip(8).and_then(|()| at.be_u16()),
        _ => None,
    };
    // ARPHRD_PPP, _TUNNEL, _TUNNEL6, _SIT, _IPGRE, _IP6GRE, _NONE.
    matches!(hardware, Some(512 | 768 | 769 | 776 | 778 | 823 | 65_534))
}
