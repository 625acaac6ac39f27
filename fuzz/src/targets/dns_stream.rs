//! DNS over TCP: segments as the input orders and cuts them; in order, cuts change nothing.

use crate::Feed;
use crate::books::check_name;
use crate::pieces::pieces;
use imon_common::names::NameSeen;
use imon_common::names::resolver::{DnsLimits, DnsTracker, Passage};
use imon_common::time::UnixNanos;
use imon_common::wire::Tcp;

const LIMITS: DnsLimits = DnsLimits { queries: 64, connections: 4, stream_bytes: 256 << 10 };

/// One input.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((1, input)) => cuts_change_nothing(input),
        _ => any_order(data),
    }
}

fn passage(from_client: bool) -> Passage {
    let (client, server) = ("10.0.0.1:40000".parse().expect("an address"), "10.0.0.2:53".parse().expect("an address"));
    let (src, dst) = if from_client { (client, server) } else { (server, client) };
    Passage { ts: UnixNanos(1), src, dst, from_client }
}

fn any_order(input: &[u8]) {
    let mut tracker = DnsTracker::new(LIMITS);
    for piece in pieces(input, (40_000, 53)) {
        for seen in tracker.tcp(&passage(piece.from_client), &piece.tcp) {
            check_name(&seen.name);
            seen.chain.iter().for_each(check_name);
        }
    }
    _ = tracker.take_given_up();
}

/// A number of cuts, their distances, then the server's stream. What is no message makes the reader
/// look for the next one at the start of a segment, so only streams of whole messages can be
/// compared.
fn cuts_change_nothing(input: &[u8]) {
    let mut feed = Feed(input);
    let cuts = feed.u8().unwrap_or(0) % 32;
    let cuts: Vec<usize> = (0..cuts).filter_map(|_| feed.u8()).map(usize::from).collect();
    let stream = &feed.0[..whole_messages(feed.0)];
    assert_eq!(answers(stream, &[]), answers(stream, &cuts));
}

/// Length of the messages with one question at the start of the stream.
fn whole_messages(stream: &[u8]) -> usize {
    let mut len = 0;
    while let Some(([high, low], rest)) = stream[len..].split_first_chunk::<2>() {
        let message = rest.get(..usize::from(u16::from_be_bytes([*high, *low])));
        match message {
            Some([_, _, flags, more, 0, 1, _, _, _, _, _, _, ..]) if flags & 0x78 == 0 && more & 0x40 == 0 => {}
            _ => break,
        }
        len += 2 + message.map_or(0, <[u8]>::len);
        if len > 60_000 {
            break;
        }
    }
    len.min(stream.len())
}

fn answers(stream: &[u8], cuts: &[usize]) -> Vec<NameSeen> {
    let mut tracker = DnsTracker::new(LIMITS);
    let mut seq = 7;
    let mut send = |flags, payload: &[u8]| {
        let tcp = Tcp {
            src_port: 53,
            dst_port: 40_000,
            seq,
            flags,
            header_len: 20,
            payload,
            payload_len: payload.len() as u32,
        };
        seq += payload.len() as u32 + u32::from(flags & Tcp::SYN != 0);
        tracker.tcp(&passage(false), &tcp)
    };
    let mut seen = send(Tcp::SYN | Tcp::ACK, &[]);
    let mut rest = stream;
    for cut in cuts {
        let (head, tail) = rest.split_at((*cut).min(rest.len()));
        seen.extend(send(Tcp::ACK, head));
        rest = tail;
    }
    seen.extend(send(Tcp::ACK, rest));
    seen
}
