//! UDP datagrams: QUIC Initials that the harness protects, coalesced, cut, shuffled; DTLS;
//! anything.

use crate::books::check_name;
use crate::initial::datagrams;
use imon_common::names::finder::{Finder, FromClient, Search};
use imon_common::wire::Udp;

/// One input.
pub fn run(data: &[u8]) {
    let mut finder = Finder::new(2);
    let mut search = Search::default();
    for (from_client, payload, payload_len) in datagrams(data) {
        let udp = Udp { src_port: 40_000, dst_port: 443, payload: &payload, payload_len };
        if let Some((kind, name)) = finder.udp(&mut search, FromClient(from_client), &udp) {
            assert!(kind.is_in_flow());
            check_name(&name);
        }
    }
    finder.release(&mut search);
}
