//! IEEE 802.11 data frames (IEEE 802.11-2020 section 9.3.2) that are not encrypted.

use super::span::Span;
use super::walk::{Kind, LinkFacts, Step, Stop, next};
use super::{Fault, Mac, NotIp};

/// LINKTYPE_IEEE802_11: what a frame that is encrypted is counted as, whatever stands in front of
/// it.
const WIFI: u16 = 105;

/// Length of the three-address header.
const HEADER: usize = 24;

/// Reads the header of a data frame. Management and control frames, frames without data and later
/// fragments are frames of the link. Encrypted ones are counted by their link type: they carry what
/// cannot be read.
///
/// Of an aggregate (A-MSDU, section 9.3.2.2) the first subframe is read here, the others by
/// [`super::walk::subframes`].
pub(super) fn data_frame<'a>(at: Span<'a>, padded: bool, swapped: bool, facts: &mut LinkFacts) -> Step<'a> {
    let ([a, b], _) = at.split::<2>()?;
    let (control, flags) = if swapped { (*b, *a) } else { (*a, *b) };
    let (version, kind, subtype) = (control & 3, control >> 2 & 3, control >> 4);
    let (to_ds, from_ds, protected, ordered) = (flags & 1 != 0, flags & 2 != 0, flags & 0x40 != 0, flags & 0x80 != 0);
    let no_data = subtype & 4 != 0;
    if version != 0 || kind != 2 || no_data {
        return Err(Stop::NotIp(NotIp::Link));
    }
    if protected {
        return Err(Stop::NotIp(NotIp::LinkType(WIFI)));
    }
    let (head, mut body) = at.split::<HEADER>()?;
    let [.., s0, s1] = *head;
    let sequence = if swapped { s1 } else { s0 };
    if sequence & 0x0f != 0 {
        return Err(Stop::NotIp(NotIp::Link));
    }
    let mut len = HEADER;
    let mut address4 = None;
    if to_ds && from_ds {
        let (address, rest) = body.split::<6>()?;
        (address4, body, len) = (Some(Mac(*address)), rest, len + 6);
    }
    let mut aggregate = false;
    if subtype & 8 != 0 {
        let ([qos, _], rest) = body.split::<2>()?;
        (aggregate, body, len) = (qos & 0x80 != 0, rest, len + 2);
        if ordered {
            (body, len) = (body.skip(4)?, len + 4); // HT control
        }
    }
    if padded {
        body = body.skip(len.next_multiple_of(4) - len)?;
    }
    let [_, _, _, _, a1 @ .., _, _] = *head;
    let [m0, m1, m2, m3, m4, m5, n0, n1, n2, n3, n4, n5, o0, o1, o2, o3, o4, o5] = a1;
    let (a1, a2, a3) = (Mac([m0, m1, m2, m3, m4, m5]), Mac([n0, n1, n2, n3, n4, n5]), Mac([o0, o1, o2, o3, o4, o5]));
    let (src, dst) = match (to_ds, from_ds) {
        (false, false) => (a2, a1),
        (true, false) => (a2, a3),
        (false, true) => (a3, a1),
        (true, true) => (address4.unwrap_or(a2), a3),
    };
    (facts.src, facts.dst) = (Some(src), Some(dst));
    if aggregate {
        let subframe = Subframes { at: body }.next().ok_or(Fault::Truncated)?;
        (facts.src, facts.dst) = (Some(subframe.src), Some(subframe.dst));
        facts.behind = subframe.behind;
        body = subframe.body;
    }
    next(Kind::Llc, body)
}

/// A packet of an aggregate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subframe<'a> {
    pub(super) dst: Mac,
    pub(super) src: Mac,
    /// LLC and what follows it.
    pub(super) body: Span<'a>,
    /// Captured bytes behind it.
    behind: usize,
}

/// The packets of an aggregate from `at` on. Each takes 14 bytes of the frame at least, which
/// bounds them. What is left behind the last one, its padding and the frame's check sequence, is
/// too short for another.
#[derive(Debug)]
pub(super) struct Subframes<'a> {
    pub(super) at: Span<'a>,
}

impl<'a> Iterator for Subframes<'a> {
    type Item = Subframe<'a>;

    fn next(&mut self) -> Option<Subframe<'a>> {
        let (addresses, rest) = self.at.split::<14>().ok()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, l0, l1] = *addresses;
        let (src, dst) = (Mac([s0, s1, s2, s3, s4, s5]), Mac([d0, d1, d2, d3, d4, d5]));
        let len = u16::from_be_bytes([l0, l1]);
        // Of four bytes, header included, and not behind the last one.
        let padded = (14 + usize::from(len)).next_multiple_of(4);
        self.at = self.at.skip(padded).unwrap_or(Span { bytes: &[], wire: 0 });
        Some(Subframe { dst, src, body: rest.with_length(len.into()), behind: self.at.bytes.len() })
    }
}
