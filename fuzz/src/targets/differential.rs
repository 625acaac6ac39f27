//! Our decoder beside etherparse, our DNS walker beside simple-dns.

use crate::{dns, etherparse};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;

/// One input.
pub fn run(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let difference = match which % 4 {
        0 => packet(1, data),
        1 => packet(101, data),
        2 => packet(228, data),
        _ => dns::difference(data),
    };
    assert_eq!(difference, None);
}

fn packet(link: u16, data: &[u8]) -> Option<String> {
    let packet =
        CapturedPacket { ts: UnixNanos(0), orig_len: data.len() as u32, link_type: LinkType(link), interface: 0, data };
    etherparse::difference(&packet)
}
