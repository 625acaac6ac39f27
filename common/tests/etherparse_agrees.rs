//! etherparse (lax) as oracle: it and `wire::decode` agree wherever both can read a packet.
//!
//! Where they cannot agree, and why:
//! - etherparse gives ports only from a whole TCP header, and none for fragments; ours come from
//!   four bytes;
//! - it knows no tunnel, so of a tunnel's packet only the outermost length is compared;
//! - it reads no LLC, PPPoE, MPLS and the like: what it calls "no IP" may be IP for us (but never
//!   the other way round);
//! - a length for which a whole frame has no room is not believed by us, and is by it;
//! - an IPv6 payload length of 0 stands for nothing in a frame so short that it was padded, and for
//!   the rest of the frame in etherparse;
//! - it follows at most three tags, and takes a bad IP length for the length of the slice, where we
//!   call it malformed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

mod oracle;

use etherparse::{
    IpAuthHeader, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FlowLabel,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, PacketBuilderStep, VlanId,
};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use imon_common::wire::{Frame, Transport, decode};
use oracle::{difference, slice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use proptest::prelude::*;
use std::path::Path;

/// Everything that the generated packets vary in.
#[derive(Debug, Clone)]
struct Recipe {
    v6: bool,
    tags: u8,
    udp: bool,
    ports: (u16, u16),
    payload: Vec<u8>,
    extensions: [bool; 4],
    options: u8,
    fragment: (bool, u16),
    raw: bool,
    cut: Option<prop::sample::Index>,
    padding: usize,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let shape = (any::<bool>(), 0u8..3, any::<bool>(), any::<(u16, u16)>(), any::<[bool; 4]>(), 0u8..=10);
    let rest = (
        prop::collection::vec(any::<u8>(), 0..80),
        (any::<bool>(), prop_oneof![Just(0u16), 0..8000u16]),
        any::<bool>(),
        prop::option::of(any::<prop::sample::Index>()),
        0usize..20,
        prop::bool::weighted(0.3),
    );
    (shape, rest).prop_map(
        |((v6, tags, udp, ports, extensions, options), (payload, fragment, raw, cut, padding, fragmented))| {
            let fragment = if fragmented { fragment } else { (false, 0) };
            Recipe { v6, tags, udp, ports, payload, extensions, options, fragment, raw, cut, padding }
        },
    )
}

fn headers(r: &Recipe) -> IpHeaders {
    let offset = IpFragOffset::try_new(r.fragment.1).unwrap();
    let [hop, destination, authentication, fragment] = r.extensions;
    // Authentication is computed before fragmentation (RFC 4302 section 3.3.4): a later fragment
    // has no such header.
    let authentication = authentication && r.fragment.1 == 0;
    let auth = authentication.then(|| IpAuthHeader::new(IpNumber(0), 1, 2, &[0; 12]).unwrap());
    if !r.v6 {
        let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, [192, 0, 2, 1], [198, 51, 100, 2]).unwrap();
        header.options = vec![1u8; usize::from(r.options) * 4].as_slice().try_into().unwrap();
        (header.more_fragments, header.fragment_offset) = (r.fragment.0, offset);
        return IpHeaders::Ipv4(header, Ipv4Extensions { auth });
    }
    let raw = || Ipv6RawExtHeader::new_raw(IpNumber(0), &[0; 14]).unwrap();
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 0,
        next_header: IpNumber::UDP,
        hop_limit: 64,
        source: [0x20; 16],
        destination: [0x21; 16],
    };
    let extensions = Ipv6Extensions {
        hop_by_hop_options: hop.then(raw),
        destination_options: destination.then(raw),
        routing: None,
        fragment: fragment.then(|| Ipv6FragmentHeader::new(IpNumber(0), offset, r.fragment.0, 77)),
        auth,
    };
    IpHeaders::Ipv6(header, extensions)
}

fn transport(r: &Recipe, ip: PacketBuilderStep<IpHeaders>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if r.udp {
        ip.udp(r.ports.0, r.ports.1).write(&mut bytes, &r.payload).unwrap();
    } else {
        ip.tcp(r.ports.0, r.ports.1, 7, 1000).syn().write(&mut bytes, &r.payload).unwrap();
    }
    bytes
}

fn build(r: &Recipe) -> (LinkType, u32, Vec<u8>) {
    let link = if r.raw { LinkType(101) } else { LinkType(1) };
    let mut bytes = if r.raw {
        transport(r, PacketBuilder::ip(headers(r)))
    } else {
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = match r.tags {
            0 => ethernet.ip(headers(r)),
            1 => ethernet.single_vlan(VlanId::try_new(7).unwrap()).ip(headers(r)),
            _ => ethernet.double_vlan(VlanId::try_new(7).unwrap(), VlanId::try_new(8).unwrap()).ip(headers(r)),
        };
        transport(r, ip)
    };
    bytes.extend(vec![0; r.padding]);
    let orig_len = bytes.len() as u32;
    if let Some(cut) = r.cut {
        bytes.truncate(cut.index(bytes.len()) + 1);
    }
    (link, orig_len, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_agree_on_generated_packets(r in recipe()) {
        let (link_type, orig_len, data) = build(&r);
        let packet = CapturedPacket { ts: UnixNanos(0), orig_len, link_type, interface: 0, data: &data };
        prop_assert_eq!(difference(&packet), None);
        // A generated packet that was not cut is always IP, with the ports that were asked for.
        if r.cut.is_none() && r.fragment.1 == 0 {
            let Frame::Ip(ip) = decode(&packet) else { panic!("no IP") };
            let ports = match &ip.transport {
                Transport::Tcp(t) => (t.src_port, t.dst_port),
                Transport::Udp(u) => (u.src_port, u.dst_port),
                _ => panic!("no transport"),
            };
            prop_assert!(ip.depth > 1 || ports == r.ports);
            prop_assert!(!ip.length_from_frame && ip.note.is_none());
        }
    }
}

/// Calls `each` with every packet of a capture file that pcap-file can read, up to its first
/// damaged place.
fn packets_of(path: &Path, mut each: impl FnMut(&CapturedPacket<'_>)) {
    let bytes = std::fs::read(path).unwrap();
    let link = |number: u32| LinkType(number as u16);
    if let Ok(mut reader) = PcapReader::new(&bytes[..]) {
        let link_type = link(reader.header().datalink.into());
        while let Some(Ok(p)) = reader.next_raw_packet() {
            each(&CapturedPacket { ts: UnixNanos(0), orig_len: p.orig_len, link_type, interface: 0, data: &p.data });
        }
    } else if let Ok(mut reader) = PcapNgReader::new(&bytes[..]) {
        while let Some(Ok((block, state))) = reader.next_block() {
            let Block::EnhancedPacket(p) = block else {
                continue;
            };
            let interface = state.interfaces().get(p.interface_id as usize);
            let Some(link_type) = interface.map(|i| link(u32::from(i.linktype))) else {
                continue;
            };
            each(&CapturedPacket {
                ts: UnixNanos(0),
                orig_len: p.original_len,
                link_type,
                interface: 0,
                data: &p.data,
            });
        }
    }
}

#[test]
fn both_agree_on_every_packet_of_the_corpus() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS") else {
        println!("skipped: IMON_CORPUS is not set");
        return;
    };
    let (mut compared, mut different) = (0, Vec::new());
    for entry in std::fs::read_dir(Path::new(&corpus).join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let mut number = 0;
        packets_of(&path, |packet| {
            number += 1;
            compared += usize::from(slice(packet.link_type, packet.data).is_some());
            if let Some(what) = difference(packet) {
                different.push(format!("{} #{number}: {what}", path.file_name().unwrap().display()));
            }
        });
    }
    println!("{compared} packets compared");
    assert!(compared > 10_000, "the corpus was not read");
    assert!(different.is_empty(), "{} differences\n{}", different.len(), different.join("\n"));
}
