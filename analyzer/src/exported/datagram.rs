//! Export datagrams inside frames, and how they are recognised.

use super::EXPORTED;
use imon_common::packet::CapturedPacket;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::{Frame, Transport, decode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Ports that exporters send to where nobody chose another: NetFlow (2055, 9555, 9995, 9996) and
/// IPFIX (4739, RFC 7011 section 10.3.4).
const USUAL_PORTS: [u16; 5] = [2_055, 4_739, 9_555, 9_995, 9_996];

/// Packets at the beginning of a capture in each of which an export is looked for.
const LOOKED_AT_FIRST: u64 = 4_096;

/// Of those behind, every so many-th is looked at: it costs less than a hundredth of the metering.
const LOOKED_AT_EVERY: u64 = 64;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// A message of an exporter, and who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    /// Who sent it; unspecified for messages of an IPFIX file.
    pub(super) from: SocketAddr,
    /// Where to.
    pub(super) to: SocketAddr,
    /// The message, as far as it was captured.
    pub(super) message: &'a [u8],
    /// It was captured whole.
    pub(super) is_whole: bool,
}

/// What a packet of a capture of exports holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held<'a> {
    /// A message that looks like one of a version that is read.
    Export(Datagram<'a>),
    /// A datagram that went to a collector's port and is none of these, or is cut.
    Bad,
    /// Something else.
    Other,
}

/// Finds the message in a packet; `ports` are those of the collector, where they are known.
pub(super) fn held<'a>(packet: &CapturedPacket<'a>, ports: &[u16]) -> Held<'a> {
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    if packet.link_type == EXPORTED {
        let whole = Datagram { from: nobody, to: nobody, message: packet.data, is_whole: !packet.is_cut() };
        return if version(whole.message).is_some() { Held::Export(whole) } else { Held::Bad };
    }
    let Frame::Ip(ip) = decode(packet) else { return Held::Other };
    let Transport::Udp(udp) = ip.transport else { return Held::Other };
    let is_named = ports.contains(&udp.dst_port);
    if !ports.is_empty() && !is_named {
        return Held::Other;
    }
    let is_whole = ip.fragment.is_none() && udp.payload.len() >= udp.payload_len as usize;
    let (from, to) = (SocketAddr::new(ip.src, udp.src_port), SocketAddr::new(ip.dst, udp.dst_port));
    match version(udp.payload) {
        Some(_) => Held::Export(Datagram { from, to, message: udp.payload, is_whole }),
        None if is_named || USUAL_PORTS.contains(&udp.dst_port) => Held::Bad,
        None => Held::Other,
    }
}

/// Whether a message says that it was sent within a day of `ts`: at ports where exports are not
/// usual, its lengths alone may agree by chance.
fn is_of_its_time(message: &[u8], ts: UnixNanos) -> bool {
    // Seconds since 1970: behind the uptime in v5 and v9, in front of the sequence in IPFIX.
    let at = if version(message) == Some(10) { 4 } else { 8 };
    let Some(seconds) = message.get(at..).and_then(<[u8]>::first_chunk) else { return false };
    let sent = i64::from(u32::from_be_bytes(*seconds));
    sent.abs_diff(ts.0.div_euclid(NANOS_PER_SECOND)) <= SECONDS_OF_A_DAY
}

/// The version of what looks like a message of an exporter: its lengths have to agree with each
/// other as far as they are there.
///
/// Sources: RFC 3954 section 5, RFC 7011 section 3; v5 by Cisco's description.
pub(super) fn version(message: &[u8]) -> Option<u16> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let set_fits = |at: usize, least: u16, end: usize| {
        let (Some(id), Some(len)) = (word(at), word(at + 2)) else { return false };
        (id == least || id == least + 1 || id >= 256) && len >= 4 && at + usize::from(len) <= end
    };
    match word(0)? {
        5 => {
            let count = usize::from(word(2)?);
            ((1..=30).contains(&count) && message.len() >= 24 + 48 * count).then_some(5)
        }
        9 => set_fits(20, 0, message.len()).then_some(9),
        10 => {
            let len = usize::from(word(2)?);
            // A message without sets is allowed, and says nothing.
            (len <= message.len() && (len == 16 || set_fits(16, 2, len))).then_some(10)
        }
        _ => None,
    }
}

/// What the user of a capture should hear about exports in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spotted {
    /// It is read for its packets, and exports were sent to this address.
    Export(SocketAddr),
    /// It is read for exports, and there is none.
    Nothing,
}

/// Looks for exports in a capture that is read for its packets, so that its user hears of them.
#[derive(Debug, Default)]
pub struct Spotter {
    packets: u64,
    spotted: Option<Spotted>,
}

impl Spotter {
    /// Looks at a packet, if it is its turn.
    #[inline]
    pub fn look(&mut self, packet: &CapturedPacket<'_>) {
        self.packets += 1;
        if self.spotted.is_none() && (self.packets <= LOOKED_AT_FIRST || self.packets.is_multiple_of(LOOKED_AT_EVERY)) {
            self.look_into(packet);
        }
    }

    fn look_into(&mut self, packet: &CapturedPacket<'_>) {
        if let Held::Export(Datagram { to, message, .. }) = held(packet, &[])
            && (USUAL_PORTS.contains(&to.port()) || is_of_its_time(message, packet.ts))
        {
            self.spotted = Some(Spotted::Export(to));
        }
    }

    /// What was seen.
    pub fn spotted(&self) -> Option<Spotted> {
        self.spotted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_by_version_and_lengths() {
        let v5 = [&[0, 5, 0, 1][..], &[0; 20], &[0; 48]].concat();
        let ipfix = [&[0, 10, 0, 20][..], &[0; 12], &[1, 0, 0, 4]].concat();
        let v9 = [&[0, 9, 0, 1][..], &[0; 16], &[0, 0, 0, 8, 0, 0, 0, 0]].concat();
        for (message, expected) in [(&v5, 5), (&v9, 9), (&ipfix, 10)] {
            assert_eq!(version(message), Some(expected));
            assert_eq!(version(&message[..message.len() - 1]), None, "{expected}, cut");
            let mut other = message.clone();
            other[1] = 8;
            assert_eq!(version(&other), None);
        }
        let mut many = v5.clone();
        many[3] = 31;
        assert_eq!(version(&many), None, "more records than a datagram of v5 may have");
        let mut set = ipfix.clone();
        set[17] = 0;
        set[16] = 0; // a set of NetFlow v9
        assert_eq!(version(&set), None);
        assert_eq!(version(&[0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(10), "a message without sets");
        assert_eq!(version(b""), None);
    }

    #[test]
    fn at_ports_that_nobody_knows_a_message_has_to_be_of_the_time_of_its_packet() {
        let at = 1_764_300_000u32;
        let v5 = [&[0, 5, 0, 1, 0, 0, 0, 0][..], &at.to_be_bytes(), &[0; 60]].concat();
        let v9 = [&[0, 9, 0, 1, 0, 0, 0, 0][..], &at.to_be_bytes(), &[0; 8], &[0, 0, 0, 8, 0, 0, 0, 0]].concat();
        let ipfix = [&[0, 10, 0, 20][..], &at.to_be_bytes(), &[0; 8], &[1, 0, 0, 4]].concat();
        for message in [v5, v9, ipfix] {
            let is = |seconds: i64| is_of_its_time(&message, UnixNanos(seconds * NANOS_PER_SECOND));
            let at = i64::from(at);
            assert_eq!([at, at - 86_400, at + 86_400].map(is), [true; 3], "{message:?}");
            assert_eq!([at - 86_401, at + 86_401, 0].map(is), [false; 3], "{message:?}");
        }
        assert!(!is_of_its_time(&[0, 9], UnixNanos(0)));
    }
}
