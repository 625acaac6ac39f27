//! The books of one time range: what the store (or a capture in memory) hands to a report. Plain
//! values; no SQL, no frame, no text for people.
//!
//! Whoever makes a [`Books`] leaves out what lies outside the range that was asked for. Ranges
//! begin and end at local midnights, which are multiples of 15 minutes in every zone offset in use,
//! so no bucket is ever cut in two.

pub mod carriers;
pub mod month;
mod pages;

pub use pages::{PageRow, Sureness};

use crate::imported::Piece;
use crate::range::Range;
use crate::recorders::Recorders;
use crate::table::units::hex;
use crate::timeline::Timeline;
use carriers::Carrier;
use imon_common::names::{Name, NameKind};
use imon_common::observe::ExportFault;
use imon_common::segment::SegmentHeader;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// Length of a bucket: every time-zone offset in use is a multiple of it.
pub const BUCKET_S: i64 = 900;

/// The bucket that holds `ts`, by its start in Unix seconds.
pub fn bucket_of(ts: UnixNanos) -> i64 {
    ts.0.div_euclid(NANOS_PER_SECOND * BUCKET_S) * BUCKET_S
}

/// How bytes came by their name, strongest first as in docs/ARCHITECTURE.md. The numbers are stored
/// in SQLite and in scripts' JSON by [`Evidence::word`]: neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Evidence {
    /// TLS server name inside the flow.
    Sni = 1,
    /// Server name in the QUIC Initial of the flow.
    Quic = 2,
    /// Host of an HTTP request inside the flow.
    Http = 3,
    /// This device's latest DNS answer that held the address, before the flow began.
    Dns = 4,
    /// As [`Evidence::Dns`], but answers for two or more different sites were fresh: booked to the
    /// latest.
    DnsShared = 5,
    /// This device's answer came after the flow began.
    DnsLate = 6,
    /// Another device's answer for that address.
    DnsOther = 7,
    /// An older answer, or a name that an own-side client showed inside another flow to the same
    /// service of that address.
    Known = 8,
    /// Reverse lookup, only when the user asked for it.
    Ptr = 9,
    /// Only the public name of an ECH provider is visible.
    EchOuter = 10,
    /// This device asked for the name at the moment at which the flow began, and no answer
    /// contradicts it.
    DnsAsked = 11,
    /// Only an infrastructure name of a content network was asked for (data/infrastructure.txt),
    /// and the name that led to it is not known: whose bytes these are nobody can tell.
    Infra = 12,
    /// The address itself.
    None = 0,
}

impl Evidence {
    /// Every kind, strongest first; [`Evidence::None`] is the last.
    pub const ALL: [Self; 13] = [
        Self::Sni,
        Self::Quic,
        Self::Http,
        Self::Dns,
        Self::DnsShared,
        Self::DnsLate,
        Self::DnsOther,
        Self::Known,
        Self::DnsAsked,
        Self::Ptr,
        Self::EchOuter,
        Self::Infra,
        Self::None,
    ];

    /// The word for it in reports, JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::DnsShared => "dns-shared",
            Self::DnsLate => "dns-late",
            Self::DnsOther => "dns-other",
            Self::Known => "known",
            Self::DnsAsked => "dns-asked",
            Self::Infra => "infra",
            Self::Ptr => "ptr",
            Self::EchOuter => "ech-outer",
            Self::None => "none",
        }
    }

    /// What a name of this kind is as evidence.
    pub const fn of_name(kind: NameKind) -> Self {
        match kind {
            NameKind::Sni => Self::Sni,
            NameKind::Quic => Self::Quic,
            NameKind::Http => Self::Http,
            NameKind::EchOuter => Self::EchOuter,
            NameKind::Dns | NameKind::DnsUnpaired | NameKind::Mdns | NameKind::Llmnr => Self::Dns,
            NameKind::Dhcp | NameKind::DnsQuery | NameKind::DnsEmpty => Self::None,
        }
    }

    /// The number that SQLite stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.number() == number)
    }

    /// Place in [`Evidence::ALL`], for arrays of one value per kind.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(Self::ALL.len() - 1)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why bytes have no name of their own, or where names of other bytes may be hidden (the rule:
/// `attribution::blind`). The numbers are stored in SQLite and the words are in scripts' JSON:
/// neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Blind {
    /// Traffic of an encrypted resolver: it may be named, but the names that it told cannot be
    /// read.
    EncryptedDns = 1,
    /// Only the public name of an ECH provider is visible.
    Ech = 2,
    /// QUIC without a hello that could be read.
    QuicUnreadable = 3,
    /// TCP that had begun before its first packet was seen: a name would have been before it.
    BeginNotSeen = 4,
    /// Nothing was said that names it.
    NoName = 5,
    /// It carries a tunnel whose inside was recorded, too, and is counted there: these bytes are
    /// what the tunnel adds.
    Tunnel = 6,
}

impl Blind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::EncryptedDns, Self::Ech, Self::QuicUnreadable, Self::BeginNotSeen, Self::NoName, Self::Tunnel];

    /// The word for it in reports, JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EncryptedDns => "encrypted-dns",
            Self::Ech => "ech",
            Self::QuicUnreadable => "quic-unreadable",
            Self::BeginNotSeen => "begin-not-seen",
            Self::NoName => "no-name",
            Self::Tunnel => "tunnel",
        }
    }

    /// The number it is stored by; 0 is kept for "no blind spot".
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for 0 and for numbers of a newer version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|blind| blind.number() == number)
    }
}

/// Bytes of each blind spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlindBytes([u64; Blind::ALL.len()]);

impl BlindBytes {
    /// Adds bytes to a blind spot.
    pub fn add(&mut self, blind: Blind, bytes: u64) {
        for (sum, _) in self.0.iter_mut().zip(Blind::ALL).filter(|(_, kind)| *kind == blind) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The bytes of a blind spot.
    pub fn of(&self, blind: Blind) -> u64 {
        self.iter().find(|(kind, _)| *kind == blind).map_or(0, |(_, bytes)| bytes)
    }

    /// All of them, in the order of [`Blind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Blind, u64)> {
        Blind::ALL.into_iter().zip(self.0)
    }
}

/// Which kind of traffic bytes are of. The numbers are stored in SQLite and the words are in
/// scripts' JSON: neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Traffic {
    /// Between our side, which opened the flow (as far as that can be told), and somebody outside.
    Visited = 0,
    /// Both ends are local, and the flow names no public site.
    Local = 1,
    /// Somebody outside opened the flow to our side.
    Served = 2,
    /// Neither end is local.
    Transit = 3,
}

impl Traffic {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Visited, Self::Local, Self::Served, Self::Transit];

    /// The word for it in JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Visited => "visited",
            Self::Local => "local",
            Self::Served => "served",
            Self::Transit => "transit",
        }
    }

    /// The number that SQLite stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|traffic| traffic.number() == number)
    }

    /// Whether its bytes belong to a site outside, which is what reports are about.
    pub const fn is_of_sites(self) -> bool {
        matches!(self, Self::Visited | Self::Transit)
    }
}

/// What bytes are booked on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A host name.
    Name(Name),
    /// Only the address is known.
    Address(IpAddr),
    /// What our own side offers to others, where no name shows whose it is.
    Service(Service),
}

/// A service of our own side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Our address.
    pub address: IpAddr,
    /// Our port; 0 where the protocol has none.
    pub port: u16,
    /// IANA protocol number.
    pub proto: u8,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (std::net::SocketAddr::new(self.address, self.port), self.port);
        match (self.proto, port) {
            (proto, 0) => write!(f, "{}/{}", self.address, protocol(proto)),
            (proto, _) => write!(f, "{address}/{}", protocol(proto)),
        }
    }
}

/// The protocol's name: `tcp`, `udp`, `icmp`, `icmpv6`, else `ip` and its number.
pub fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        n => format!("ip{n}"),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            // What many addresses were folded into; nothing is ever sent there.
            Self::Address(address) if address.is_unspecified() => f.pad("(other addresses)"),
            Self::Address(address) => address.fmt(f),
            Self::Service(service) => f.pad(&service.to_string()),
        }
    }
}

/// A client as it was seen: which of them are one device is decided when a report is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, where the link shows one.
    pub mac: Option<Mac>,
}

/// Where bytes were seen. What passes several interfaces of one capture counts on the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Interface {
    /// Its name, as the recorder or the capture has it; `#` and its number where there are several
    /// and they have no names; empty where a capture says nothing.
    pub name: String,
    /// The VLAN on it, by the outermost tag; `None` for frames without one.
    pub vlan: Option<u16>,
}

/// What bytes were read from. In the order of what people call them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Source {
    /// What people call it: the name of a capture's file, the name of a segment without its suffix.
    pub label: String,
    /// Segment UUID, or what identifies a capture; of captures that no store keeps it is made up.
    pub identity: Vec<u8>,
    /// Its file, from the root on.
    pub path: String,
    /// UUID of the recorder that recorded it live; `None` of captures, and of formats that do not
    /// say it.
    pub recorder: Option<[u8; 16]>,
}

/// What stands for an interface that has no name.
const UNNAMED: &str = "(unnamed)";

/// What stands for the VLAN of frames without a tag.
const NO_VLAN: &str = "none";

impl Interface {
    /// What people call it.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { UNNAMED } else { &self.name }
    }

    /// What people call its VLAN.
    pub fn vlan_label(&self) -> String {
        self.vlan.map_or_else(|| NO_VLAN.to_owned(), |id| id.to_string())
    }
}

impl Source {
    /// Whether `text` is a name of it: of its file, with or without the folder, or a segment's with
    /// or without its suffix; or its identity in hexadecimal digits.
    pub fn is_called(&self, text: &str) -> bool {
        let path = Path::new(text);
        let is_same = |name: Option<&std::ffi::OsStr>| name.is_some_and(|name| name == self.label.as_str());
        let has_folder = text.contains('/');
        let is_segment = path.extension().is_some_and(|suffix| suffix == "seg" || suffix == "part");
        let in_folder = || Path::new(&self.path).ends_with(path);
        let by_name = || is_same(path.file_name()) || (is_segment && is_same(path.file_stem()));
        if has_folder { in_folder() } else { by_name() || hex(&self.identity) == text }
    }
}

/// The VLAN that a word stands for: an id, or none.
pub fn vlan_called(text: &str) -> Option<Option<u16>> {
    if text == NO_VLAN {
        return Some(None);
    }
    text.parse().ok().filter(|id| (1..=4095).contains(id)).map(Some)
}

/// What people call a source: the file of a capture, also where a segment was made of it, else the
/// segment's own name.
pub fn label(header: &SegmentHeader) -> String {
    let of_capture = header.format >= 3 && header.boot == [0; 16];
    if of_capture { header.interface.clone() } else { header.file_stem() }
}

/// Usage of one bucket, host, device, evidence, scope, candidate set, blind spot, interface and
/// source. Up is from the device to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Start of the 15-minute bucket: Unix seconds UTC, a multiple of [`BUCKET_S`].
    pub bucket_s: i64,
    /// Index into [`Books::hosts`].
    pub host: u32,
    /// Index into [`Books::devices`].
    pub device: u32,
    /// How the bytes came by their name.
    pub evidence: Evidence,
    /// Which kind of traffic: what is local or served has lines of its own in the ledger.
    pub traffic: Traffic,
    /// Index into [`Books::candidate_sets`], where shared DNS answers could explain the bytes by
    /// other hosts too.
    pub candidates: Option<u32>,
    /// The blind spot that the bytes are in.
    pub blind: Option<Blind>,
    /// Index into [`Books::interfaces`].
    pub interface: u32,
    /// Index into [`Books::sources`].
    pub source: u32,
    /// IP bytes from the device.
    pub up_bytes: u64,
    /// IP bytes to the device.
    pub down_bytes: u64,
    /// Packets from the device.
    pub up_packets: u64,
    /// Packets to the device.
    pub down_packets: u64,
}

impl Row {
    /// A row of no byte.
    pub const NOTHING: Self = Self {
        bucket_s: 0,
        host: 0,
        device: 0,
        evidence: Evidence::None,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: 0,
        down_bytes: 0,
        up_packets: 0,
        down_packets: 0,
    };
}

/// A time in which nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gap {
    /// First instant that is missing.
    pub from: UnixNanos,
    /// First instant that is there again.
    pub to: UnixNanos,
    /// Why, in the words of `GapReason::word` and `Pause::word`.
    pub reason: String,
    /// What was not recorded, where that is known: of a gap between segments.
    pub interface: Option<String>,
}

/// Where every packet and byte of the range went. Amounts are of the same range as the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Frames that were read, of every kind.
    pub packets: u64,
    /// Of these, IP packets that were counted in flows.
    pub ip_packets: u64,
    /// Bytes of IP by the outermost header, undecodable ones included: the sum of the parts below.
    pub ip_bytes: u64,
    /// IP bytes booked on a name, local ones left out.
    pub named_bytes: u64,
    /// IP bytes of which only the name of a content network's infrastructure is known
    /// ([`Evidence::Infra`]).
    pub infrastructure_bytes: u64,
    /// IP bytes booked on an address, local ones left out.
    pub address_only_bytes: u64,
    /// Why: the parts of `address_only_bytes`, which they sum up to.
    pub address_only_by: BlindBytes,
    /// Bytes of each blind spot, named ones included. `encrypted-dns` and `ech` are mostly of the
    /// named bytes.
    pub blind_spots: BlindBytes,
    /// IP bytes of flows that others opened to our side ([`Traffic::Served`]), named or not.
    pub served_bytes: u64,
    /// IP bytes of local traffic ([`Traffic::Local`]), named or not.
    pub local_bytes: u64,
    /// Bytes of packets whose outermost IP header could not be read.
    pub undecodable_bytes: u64,
    /// Frames without IP (ARP and the like).
    pub non_ip_packets: u64,
    /// What they held, most frames first: the parts of `non_ip_packets`.
    pub carriers: Vec<Carrier>,
    /// IP packets whose header states no length, or one for which their frame has no room: counted
    /// by the frame's.
    pub length_from_frame_packets: u64,
    /// Their bytes, which are part of `ip_bytes`.
    pub length_from_frame_bytes: u64,
    /// Flows in which a field that should hold a host (Host, CONNECT, SNI) held what no host is
    /// called.
    pub not_hosts: u64,
    /// Frames whose outermost IP header could not be read.
    pub undecodable_packets: u64,
    /// IP packets that were seen on another interface before, which is where they count.
    pub copies_packets: u64,
    /// Bytes that were seen more than once and count elsewhere: of those packets, and of the
    /// carriers of tunnels. In no sum above.
    pub copies_bytes: u64,
    /// Of these, what carriers of tunnels moved and what is counted inside.
    pub carried_bytes: u64,
    /// IP packets of sources that other sources hold as well, which is where they count.
    pub suspected_double_packets: u64,
    /// Their bytes. In no sum above.
    pub suspected_double_bytes: u64,
    /// Which sources they are of.
    pub overlaps: Vec<Overlap>,
    /// Packets that the user has removed from the books (`prune --device`).
    pub removed_packets: u64,
    /// Their bytes. In no sum above.
    pub removed_bytes: u64,
    /// Hosts that carry tunnels whose inside was recorded, in order.
    pub tunnels: Vec<String>,
    /// Packets that the kernel dropped; `None` where the source does not say.
    pub capture_dropped_packets: Option<u64>,
    /// Bytes by the interface's own counters, link headers included; `None` where the source does
    /// not say.
    pub interface_bytes: Option<u64>,
    /// Packets that waited in a recorder's memory for room on the disk and were lost with it.
    pub unsaved_packets: u64,
    /// Their IP bytes.
    pub unsaved_bytes: u64,
    /// Of `ip_bytes`, what exporters (NetFlow, IPFIX) reported, by how many packets each that they
    /// looked at stands for: 1 where they looked at all.
    pub exported: Vec<Exported>,
    /// What was wrong with messages of exporters, and what of them did not count.
    pub export_faults: Vec<(ExportFault, u64, u64)>,
    /// Times in which nothing was recorded, in order.
    pub gaps: Vec<Gap>,
}

/// What exporters reported at one rate of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// One of so many packets was looked at; amounts are multiplied by it.
    pub rate: u32,
    /// Packets.
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
}

/// What the user has removed (`prune --device`): how much, and neither whose nor where it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Start of the bucket in Unix seconds.
    pub bucket_s: i64,
    /// Where it was seen.
    pub interface: Interface,
    /// Which kind of traffic it was.
    pub traffic: Traffic,
    /// IP bytes up, IP bytes down, packets up, packets down.
    pub amounts: [u64; 4],
}

/// Two sources that hold the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The source of which that is left out.
    pub source: String,
    /// The one in which it counts.
    pub of: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Ledger {
    /// Notes what is in no row because another source holds it as well. Its frames were read.
    pub fn leave_out(&mut self, overlaps: Vec<Overlap>) {
        for Overlap { packets, bytes, .. } in &overlaps {
            self.suspected_double_packets = self.suspected_double_packets.saturating_add(*packets);
            self.suspected_double_bytes = self.suspected_double_bytes.saturating_add(*bytes);
        }
        self.packets = self.packets.saturating_add(self.suspected_double_packets);
        self.overlaps = overlaps;
    }

    /// Notes what the user has removed.
    pub fn note_removed(&mut self, removed: &[Removed]) {
        for Removed { amounts: [up_bytes, down_bytes, up_packets, down_packets], .. } in removed {
            for (sum, amounts) in [
                (&mut self.removed_bytes, [up_bytes, down_bytes]),
                (&mut self.removed_packets, [up_packets, down_packets]),
            ] {
                amounts.into_iter().for_each(|amount| *sum = sum.saturating_add(*amount));
            }
        }
    }

    /// IP bytes that the parts do not account for: 0 when the books balance. Clamped to what the
    /// type can hold.
    pub fn residual(&self) -> i64 {
        let booked = [
            self.named_bytes,
            self.infrastructure_bytes,
            self.address_only_bytes,
            self.served_bytes,
            self.local_bytes,
            self.undecodable_bytes,
        ];
        let residual = i128::from(self.ip_bytes) - booked.into_iter().map(i128::from).sum::<i128>();
        i64::try_from(residual).unwrap_or(if residual < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Rows, what their indices mean, and the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    /// What [`Row::host`] points to.
    pub hosts: Vec<Host>,
    /// What [`Row::device`] points to: a label for the client, safe to show.
    pub devices: Vec<String>,
    /// Every address, and hardware address where the link shows one, that a device was seen with:
    /// index into `devices`.
    pub device_ends: Vec<(u32, IpAddr, Option<Mac>)>,
    /// What devices call themselves, by the same index; empty or `None` where it is not known.
    pub device_names: Vec<Option<Name>>,
    /// What the user calls devices, by the same index; empty or `None` where there is no name. Rows of
    /// devices of one name point to one of them.
    pub given_names: Vec<Option<String>>,
    /// Names by reverse lookup of hosts that are addresses, by index into `hosts`: empty unless the
    /// user asked for them. What is booked there has [`Evidence::Ptr`].
    pub reverse: HashMap<u32, Name>,
    /// What [`Row::candidates`] points to: indices into `hosts` of all hosts that could explain the
    /// bytes, the booked one included.
    pub candidate_sets: Vec<Vec<u32>>,
    /// What [`Row::interface`] points to.
    pub interfaces: Vec<Interface>,
    /// What [`Row::source`] points to; some may have no row.
    pub sources: Vec<Source>,
    /// What recorders are called.
    pub recorders: Recorders,
    /// Usage, in any order. Two rows may have equal keys.
    pub rows: Vec<Row>,
    /// What was not read since the question does not ask for it, summed up: evidence, traffic,
    /// blind spot and amounts of it are right, and nothing else. For what is said of all bytes.
    pub unread: Vec<Row>,
    /// Parts of the rows that pages pulled in, in any order; empty where pages were not followed.
    pub pages: Vec<PageRow>,
    /// Where every byte went.
    pub ledger: Ledger,
    /// What the user has removed; its sums are in the ledger as well.
    pub removed: Vec<Removed>,
    /// What another program counted in the range, or over its ends, before imon did.
    pub imported: Vec<Piece>,
    /// Times in which something was recorded, and segments that are torn; its gaps are in the
    /// ledger.
    pub timeline: Timeline,
    /// First and last instant observed, if the source says; a report of everything shows it as its
    /// range.
    pub observed: Option<(UnixNanos, UnixNanos)>,
}

impl Books {
    /// Takes in when was recorded and when not. Of that, and of the gaps that segments state
    /// themselves, the part in the range stays.
    pub fn add_timeline(&mut self, timeline: Timeline, range: &Range) {
        self.timeline = timeline.within(range);
        let gaps = &mut self.ledger.gaps;
        for gap in gaps.iter_mut() {
            (gap.from, gap.to) = range.clip(gap.from, gap.to);
        }
        gaps.append(&mut self.timeline.gaps);
        gaps.sort_by(|a, b| (a.from, a.to, &a.reason, &a.interface).cmp(&(b.from, b.to, &b.reason, &b.interface)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_evidence_survives_its_number_and_has_its_own_word() {
        for (i, evidence) in Evidence::ALL.into_iter().enumerate() {
            assert_eq!(Evidence::from_number(evidence.number()), Some(evidence));
            assert_eq!(evidence.index(), i);
            assert_eq!(Evidence::ALL.iter().filter(|e| e.word() == evidence.word()).count(), 1);
        }
        assert_eq!(Evidence::from_number(13), None);
    }

    #[test]
    fn every_blind_spot_survives_its_number_and_none_is_zero() {
        for blind in Blind::ALL {
            assert_eq!(Blind::from_number(blind.number()), Some(blind));
            assert_eq!(Blind::ALL.iter().filter(|b| b.word() == blind.word()).count(), 1);
        }
        assert_eq!((Blind::from_number(0), Blind::from_number(7)), (None, None));
    }

    #[test]
    fn residual_is_what_the_lines_do_not_account_for() {
        let mut ledger = Ledger {
            ip_bytes: 100,
            named_bytes: 50,
            address_only_bytes: 30,
            local_bytes: 15,
            undecodable_bytes: 5,
            ..Ledger::default()
        };
        assert_eq!(ledger.residual(), 0);
        ledger.local_bytes = 20;
        assert_eq!(ledger.residual(), -5);
        ledger.named_bytes = u64::MAX;
        assert_eq!(ledger.residual(), i64::MIN);
    }
}
