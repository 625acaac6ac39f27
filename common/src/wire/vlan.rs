//! The VLAN that a frame belongs to on the link where it was captured.

use crate::packet::{CapturedPacket, LinkType};

/// LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2: where the type stands in the
/// header, and where a tag does that it announces.
const ETHERNET: (LinkType, usize, usize) = (LinkType(1), 12, 14);
const COOKED: [(LinkType, usize, usize); 2] = [(LinkType(113), 14, 16), (LinkType(276), 0, 20)];

/// Bits of the tag that are the VLAN id (IEEE 802.1Q section 9.6).
const ID: u16 = 0x0fff;

/// The VLAN id of a frame's outermost tag: of a service tag (802.1ad) before a customer's. `None`
/// without a tag, for id 0 (a priority, and no VLAN), where the tag was not captured, and on link
/// types other than Ethernet and Linux cooked captures.
#[inline]
pub fn vlan(packet: &CapturedPacket<'_>) -> Option<u16> {
    let (link, type_at, tag_at) = ETHERNET;
    if packet.link_type != link {
        return cooked(packet);
    }
    tag(packet.data, type_at, tag_at)
}

#[inline(never)]
fn cooked(packet: &CapturedPacket<'_>) -> Option<u16> {
    let (_, type_at, tag_at) = COOKED.into_iter().find(|(link, ..)| *link == packet.link_type)?;
    tag(packet.data, type_at, tag_at)
}

#[inline(always)]
fn tag(frame: &[u8], type_at: usize, tag_at: usize) -> Option<u16> {
    match frame.get(type_at..)?.first_chunk::<2>()? {
        [0x81, 0x00] | [0x88, 0xa8] | [0x91..=0x93, 0x00] => {}
        _ => return None,
    }
    let id = u16::from_be_bytes(*frame.get(tag_at..)?.first_chunk::<2>()?) & ID;
    (id != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixNanos;

    fn of(link: u16, data: &[u8]) -> Option<u16> {
        vlan(&CapturedPacket { ts: UnixNanos(0), orig_len: 64, link_type: LinkType(link), interface: 0, data })
    }

    #[test]
    fn the_outermost_tag_tells_the_vlan_whatever_the_link_header() {
        let addresses = [2u8; 12];
        let ethernet = |rest: &[u8]| of(1, &[&addresses, rest].concat());
        assert_eq!(ethernet(&[0x81, 0, 0xe0, 100, 8, 0]), Some(100), "priority bits are no part of it");
        assert_eq!(ethernet(&[0x88, 0xa8, 0x0f, 0xa0, 0x81, 0, 0, 7, 8, 0]), Some(4000), "the service tag");
        assert_eq!(ethernet(&[0x91, 0, 0, 5, 0x81, 0, 0, 7]), Some(5));
        assert_eq!(ethernet(&[0x81, 0, 0xe0, 0, 8, 0]), None, "a priority");
        assert_eq!(ethernet(&[8, 0, 0x45, 0]), None);
        assert_eq!(ethernet(&[0x81, 0, 0]), None, "cut");
        let cooked = [&[0u8; 14][..], &[0x81, 0], &[0, 9, 8, 0]].concat();
        assert_eq!(of(113, &cooked), Some(9));
        let cooked2 = [&[0x81u8, 0][..], &[0; 18], &[0, 11, 8, 0]].concat();
        assert_eq!(of(276, &cooked2), Some(11));
        assert_eq!(of(101, &cooked2), None, "no link header at all");
    }
}
