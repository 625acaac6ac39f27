//! The targets: what is done with one input, and what must hold then. `fuzz_targets/` hands them
//! what libFuzzer makes, `tests/findings.rs` what was found before.

pub mod capture_file;
pub mod dhcp;
pub mod differential;
pub mod dns_message;
pub mod dns_stream;
pub mod exports;
pub mod frame;
pub mod hello_stream;
pub mod http;
pub mod owners;
pub mod packets;
pub mod quic_datagrams;
pub mod segment;
pub mod segment_round_trip;

/// A target by its name: `None` where there is none of that name.
pub fn by_name(name: &str) -> Option<fn(&[u8])> {
    Some(match name {
        "capture_file" => capture_file::run,
        "dhcp" => dhcp::run,
        "differential" => differential::run,
        "dns_message" => dns_message::run,
        "dns_stream" => dns_stream::run,
        "exports" => exports::run,
        "frame" => frame::run,
        "hello_stream" => hello_stream::run,
        "http" => http::run,
        "owners" => owners::run,
        "packets" => packets::run,
        "quic_datagrams" => quic_datagrams::run,
        "segment" => segment::run,
        "segment_round_trip" => segment_round_trip::run,
        _ => return None,
    })
}
