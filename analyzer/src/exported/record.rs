//! One flow record, as it can be true.

use super::clock::{Clock, ntp};
use super::fields::{Fields, REVERSE};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// Length of the shortest IP packet: a header of IPv4 and nothing else.
const LEAST_PACKET_BYTES: u64 = 20;

/// Length of the longest: IPv6's header and what its length field can say.
const MOST_PACKET_BYTES: u64 = 65_575;

/// What a packet is taken to have where a record's number of packets cannot be true.
const USUAL_PACKET_BYTES: u64 = 1_500;

/// 1 Tbit/s: more than any interface of a router has that exports to a home or an office.
const MOST_BYTES_PER_SECOND: u64 = 125_000_000_000;

/// Seconds for which that is allowed beside the flow's own length: clocks of exporters are coarse.
const GRACE_S: u64 = 10;

/// Rates of sampling beyond this are taken for a field that was never filled in.
const MOST_RATE: u64 = 1 << 20;

const TCP: u8 = 6;
const SYN: u64 = 2;

/// Protocols with ports (IANA): TCP, UDP, DCCP, SCTP, UDP-Lite. Exporters put type and code of ICMP
/// into the port of others.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) address: IpAddr,
    /// 0 where the protocol has none.
    pub(super) port: u16,
}

/// Bytes of IP and packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

/// What an exporter says of one direction of a flow, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Source and destination as the exporter saw them.
    pub(super) ends: (End, End),
    /// The same behind network address translation; the same where there is none.
    pub(super) translated: (End, End),
    pub(super) proto: u8,
    /// From source to destination.
    pub(super) forward: Amount,
    /// From destination to source (RFC 5103).
    pub(super) reverse: Amount,
    /// The amounts are since the flow began, and not since the record before.
    pub(super) is_total: bool,
    pub(super) start: UnixNanos,
    pub(super) end: UnixNanos,
    /// Hardware addresses of source and destination.
    pub(super) macs: (Option<Mac>, Option<Mac>),
    /// The flow's first packet is in the record, as far as can be told.
    pub(super) begins: bool,
    /// Whether the source opened the flow, where the exporter says it.
    pub(super) source_opened: Option<bool>,
    pub(super) egress: bool,
    pub(super) vlan: Option<u16>,
    /// One of so many packets was looked at.
    pub(super) rate: Option<u64>,
    /// The sampler, whose rate another record tells.
    pub(super) sampler: Option<u64>,
}

/// Why a record is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It reports no flow: without addresses or amounts.
    NoFlow,
    /// It claims so many bytes, which cannot have passed.
    Impossible(u64),
}

impl Record {
    /// Puts a record together. Also tells whether something in it was put right.
    pub(super) fn of(fields: &Fields, clock: &Clock) -> Result<(Self, bool), Refused> {
        // Some exporters fill in the addresses of both families, one with zeros.
        let (v4, v6) = ([8, 12], [27, 28]);
        let is_v6 = match fields.number(60) {
            Some(6) => true,
            Some(4) => false,
            _ => fields.address([v4[0], v4[1]]).is_none(),
        };
        let [source, destination] = if is_v6 { v6 } else { v4 };
        let [post_source, post_destination] = if is_v6 { [281, 282] } else { [225, 226] };
        let proto = u8::try_from(fields.number(4).unwrap_or(0)).unwrap_or(0);
        let port = |number: u16| {
            let port = fields.number(number).and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
            if WITH_PORTS.contains(&proto) { port } else { 0 }
        };
        let end =
            |address: u16, number: u16| Some(End { address: fields.address([address, address])?, port: port(number) });
        let (Some(from), Some(to)) = (end(source, 7), end(destination, 11)) else { return Err(Refused::NoFlow) };
        let behind = |outside: End, address: u16, number: u16| {
            let inside = fields.address([address, address]).unwrap_or(outside.address);
            let port = if port(number) == 0 { outside.port } else { port(number) };
            End { address: inside, port }
        };
        let translated = (behind(from, post_source, 227), behind(to, post_destination, 228));
        let ((start, end), mut is_corrected) = times(fields, clock);
        let (forward, reverse, is_total) = amounts(fields);
        let length_s = u64::try_from(end.since(start)).unwrap_or(0) / 1_000_000_000;
        let most = MOST_BYTES_PER_SECOND.saturating_mul(length_s.saturating_add(GRACE_S));
        let claimed = forward.bytes.saturating_add(reverse.bytes);
        if claimed > most {
            return Err(Refused::Impossible(claimed));
        }
        let forward = put_right(forward, &mut is_corrected);
        let reverse = put_right(reverse, &mut is_corrected);
        if forward == Amount::default() && reverse == Amount::default() {
            return Err(Refused::NoFlow);
        }
        let record = Self {
            ends: (from, to),
            translated,
            proto,
            forward,
            reverse,
            is_total,
            start,
            end,
            macs: (fields.mac(56), fields.mac(57)),
            begins: proto != TCP || fields.number(6).is_none_or(|flags| flags & SYN != 0),
            source_opened: match fields.number(239) {
                Some(1) => Some(true),
                Some(2) => Some(false),
                _ => None,
            },
            egress: fields.number(61) == Some(1),
            vlan: fields.number(58).and_then(|id| u16::try_from(id).ok()).filter(|id| (1..4_095).contains(id)),
            rate: rate(fields),
            sampler: fields.number(302).or(fields.number(48)),
        };
        Ok((record, is_corrected))
    }
}

/// The rate of sampling that fields tell: of a record, or of options for all of an exporter's.
/// Field 34 and 50 of NetFlow v9; RFC 5477 section 8.2.
pub(super) fn rate(fields: &Fields) -> Option<u64> {
    let by_count = || {
        let (interval, space) = (fields.number(305)?, fields.number(306).unwrap_or(0));
        interval.checked_add(space)?.checked_div(interval)
    };
    [fields.number(34), fields.number(50), by_count()].into_iter().flatten().find(|rate| (1..=MOST_RATE).contains(rate))
}

/// Start and end, and whether they had to be put right.
fn times(fields: &Fields, clock: &Clock) -> ((UnixNanos, UnixNanos), bool) {
    let scaled = |number: u16, nanos: i64| {
        let value = i64::try_from(fields.number(number)?).ok()?;
        Some(clock.absolute(UnixNanos(value.checked_mul(nanos)?)))
    };
    let ntp = |number: u16| Some(clock.absolute(ntp(fields.number(number)?)));
    let up = |number: u16| clock.of_uptime(u32::try_from(fields.number(number)?).ok()?);
    let ago = |number: u16| {
        let micros = i64::try_from(fields.number(number)?).ok()?;
        Some(UnixNanos(clock.seen.0.saturating_sub(micros.checked_mul(1_000)?)))
    };
    let instant = |numbers: [u16; 6]| {
        let [millis, micros, nanos, seconds, uptime, delta] = numbers;
        scaled(millis, 1_000_000)
            .or_else(|| ntp(nanos))
            .or_else(|| ntp(micros))
            .or_else(|| scaled(seconds, 1_000_000_000))
            .or_else(|| up(uptime))
            .or_else(|| ago(delta))
    };
    let observed =
        || scaled(258, 1_000_000).or_else(|| scaled(323, 1_000_000)).or_else(|| ntp(324)).or_else(|| ntp(325));
    let length = || {
        let of_uptimes = || {
            let (end, start) = (u32::try_from(fields.number(21)?).ok()?, u32::try_from(fields.number(22)?).ok()?);
            Some(u64::from(end.wrapping_sub(start)).saturating_mul(1_000))
        };
        let micros = fields.number(162).or_else(|| fields.number(161)?.checked_mul(1_000)).or_else(of_uptimes)?;
        i64::try_from(micros.saturating_mul(1_000)).ok()
    };
    let (start, end) = (instant([152, 154, 156, 150, 22, 158]), instant([153, 155, 157, 151, 21, 159]));
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) => (start, UnixNanos(start.0.saturating_add(length().unwrap_or(0)))),
        (None, Some(end)) => (UnixNanos(end.0.saturating_sub(length().unwrap_or(0))), end),
        (None, None) => {
            let end = observed().unwrap_or(clock.seen);
            (UnixNanos(end.0.saturating_sub(length().unwrap_or(0))), end)
        }
    };
    clock.plausible(start, end)
}

/// What went forward and what came back, and whether that is since the beginning of the flow.
fn amounts(fields: &Fields) -> (Amount, Amount, bool) {
    let amount = |bytes: u16, packets: u16| {
        let bytes = fields.number(bytes);
        bytes.map(|bytes| Amount { bytes, packets: fields.number(packets).unwrap_or(0) })
    };
    let some = |bytes: u16, packets: u16| amount(bytes, packets).filter(|amount| *amount != Amount::default());
    let reverse = |bytes: u16, packets: u16| some(bytes | REVERSE, packets | REVERSE).unwrap_or_default();
    if let Some(forward) = amount(1, 2) {
        // Where nothing came in, what went out may stand in its place (NetFlow v9: OUT_BYTES).
        let forward = if forward == Amount::default() { some(23, 24).unwrap_or_default() } else { forward };
        return (forward, reverse(1, 2), false);
    }
    if let Some(forward) = some(231, 298) {
        return (forward, some(232, 299).unwrap_or_default(), false);
    }
    if let Some(forward) = some(85, 86) {
        return (forward, reverse(85, 86), true);
    }
    let (forward, back) = (some(23, 24).unwrap_or_default(), some(232, 299).unwrap_or_default());
    (forward, back, false)
}

/// An amount whose packets can have its bytes.
fn put_right(amount: Amount, is_corrected: &mut bool) -> Amount {
    let Amount { bytes, packets } = amount;
    let can_be = packets.checked_mul(LEAST_PACKET_BYTES).is_some_and(|least| least <= bytes)
        && bytes <= packets.saturating_mul(MOST_PACKET_BYTES);
    if can_be {
        return amount;
    }
    *is_corrected = true;
    Amount { bytes, packets: bytes.div_ceil(USUAL_PACKET_BYTES) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exported::element::Element;

    const NOW: UnixNanos = UnixNanos(1_793_491_200_000_000_000);

    fn clock() -> Clock {
        Clock { seen: NOW, sent: NOW, uptime_ms: Some(100_000), started_ms: None }
    }

    fn fields(numbers: &[(u16, u64)]) -> Fields {
        let mut fields = Fields::default();
        fields.add(Element::Forward(8), &[192, 168, 1, 9]);
        fields.add(Element::Forward(12), &[203, 0, 113, 5]);
        for (number, value) in [(4, 6), (7, 50_000), (11, 443), (22, 40_000), (21, 90_000)] {
            if !numbers.iter().any(|(n, _)| *n == number) {
                fields.add_number(number, value);
            }
        }
        numbers.iter().for_each(|(number, value)| fields.add_number(*number, *value));
        fields
    }

    fn of(numbers: &[(u16, u64)]) -> Result<(Record, bool), Refused> {
        Record::of(&fields(numbers), &clock())
    }

    #[test]
    fn a_record_has_its_amounts_ends_and_times() {
        let (record, is_corrected) = of(&[(1, 5_000), (2, 10), (6, 0x1b)]).unwrap();
        assert!(!is_corrected && record.begins && !record.egress && !record.is_total);
        assert_eq!(record.forward, Amount { bytes: 5_000, packets: 10 });
        assert_eq!(record.ends.1, End { address: [203, 0, 113, 5].into(), port: 443 });
        assert_eq!((NOW.since(record.start), NOW.since(record.end)), (60_000_000_000, 10_000_000_000));
        assert!(!of(&[(1, 5_000), (2, 10), (6, 0x18)]).unwrap().0.begins, "TCP without a SYN goes on");
    }

    #[test]
    fn packets_that_cannot_be_are_guessed_and_bytes_that_cannot_be_are_refused() {
        for (bytes, packets, expected) in
            [(3_000, u64::MAX, 2), (3_001, 0, 3), (1_000_000, 1, 667), (39, 2, 1), (40, 2, 2), (65_575, 1, 1)]
        {
            let (record, is_corrected) = of(&[(1, bytes), (2, packets)]).unwrap();
            assert_eq!((record.forward.bytes, record.forward.packets), (bytes, expected));
            assert_eq!(is_corrected, packets != expected, "{bytes} in {packets}");
        }
        assert_eq!(of(&[(1, u64::MAX), (2, 9)]), Err(Refused::Impossible(u64::MAX)));
        assert_eq!(of(&[(1, 0), (2, 0)]), Err(Refused::NoFlow));
        assert_eq!(of(&[]), Err(Refused::NoFlow));
    }

    #[test]
    fn both_directions_and_totals_are_found_under_all_their_names() {
        let biflow = of(&[(1, 100), (2, 1), (1 | REVERSE, 9_000), (2 | REVERSE, 6)]).unwrap().0;
        assert_eq!((biflow.forward.bytes, biflow.reverse.bytes, biflow.source_opened), (100, 9_000, None));
        let asa = of(&[(231, 100), (298, 1), (232, 9_000), (299, 6)]).unwrap().0;
        assert_eq!((asa.forward.bytes, asa.reverse.bytes), (100, 9_000));
        let total = of(&[(85, 100), (86, 1)]).unwrap().0;
        assert!(total.is_total && total.forward.bytes == 100);
        assert_eq!(of(&[(1, 0), (2, 0), (23, 77), (24, 1)]).unwrap().0.forward.bytes, 77);
        assert_eq!(of(&[(1, 100), (2, 1), (239, 2)]).unwrap().0.source_opened, Some(false));
    }

    #[test]
    fn times_come_from_whatever_field_has_them() {
        let ms = 1_793_491_140_000;
        let of = |numbers: &[(u16, u64)]| {
            let all = [&[(1, 100), (2, 1)], numbers].concat();
            let (record, corrected) = of(&all).unwrap();
            (NOW.since(record.start) / 1_000_000, NOW.since(record.end) / 1_000_000, corrected)
        };
        assert_eq!(of(&[(152, ms), (153, ms + 30_000)]), (60_000, 30_000, false));
        assert_eq!(
            of(&[(150, ms / 1_000), (161, 5_000), (151, u64::MAX)]),
            (60_000, 10_000, false),
            "uptime of the end"
        );
        assert_eq!(of(&[(22, 95_000), (21, 94_000)]), (6_000, 6_000, true), "wrapped");
        let wrong = of(&[(152, ms), (153, ms + 3_600_000)]);
        assert_eq!(wrong, (60_000, 60_000, true), "an end in the future");
    }

    #[test]
    fn rates_come_from_three_fields_and_nonsense_is_none() {
        for (numbers, expected) in [
            (&[(34, 100)][..], Some(100)),
            (&[(50, 64)], Some(64)),
            (&[(305, 1), (306, 99)], Some(100)),
            (&[(305, 10), (306, 90)], Some(10)),
            (&[(305, 0), (306, 99)], None),
            (&[(34, 0)], None),
            (&[(34, u64::MAX)], None),
            (&[], None),
        ] {
            assert_eq!(rate(&fields(numbers)), expected, "{numbers:?}");
        }
    }

    #[test]
    fn icmp_has_no_ports_and_translation_shows_what_is_behind() {
        let mut with = fields(&[(1, 100), (2, 1), (4, 1), (11, 2_048)]);
        with.add(Element::Forward(226), &[192, 168, 1, 77]);
        let record = Record::of(&with, &clock()).unwrap().0;
        assert_eq!((record.ends.0.port, record.ends.1.port), (0, 0));
        assert_eq!(record.translated.1.address, IpAddr::from([192, 168, 1, 77]));
        assert_eq!(record.translated.0, record.ends.0);
    }
}
