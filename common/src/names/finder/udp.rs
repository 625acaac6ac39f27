//! The steps of a search through datagrams: QUIC, DTLS.

use super::super::gather::{Full, Gather};
use super::super::look::Look;
use super::super::quic::Session;
use super::super::tls::{DtlsFragment, HANDSHAKE};
use super::super::{NameKind, gquic, quic, tls};
use super::lane::MAX_STREAM;
use super::{FromClient, Held, Step};
use crate::wire::Udp;

/// Where a DTLS record starts at the latest in a datagram: behind the headers of CAPWAP, TURN or
/// UDT.
const MAX_DTLS_AT: usize = 64;

/// What one datagram leads to.
pub(super) fn udp_step(
    held: &mut Option<Held>,
    side: FromClient,
    (bytes, wire_len): (&[u8], u32),
    plain: &mut Vec<u8>,
) -> Step {
    if gquic::is_sign(bytes) {
        return match gquic::look(bytes) {
            Look::Name(kind, name) => Step::Found(kind, name),
            Look::NotAHost => Step::NotAHost,
            _ => Step::Go,
        };
    }
    if quic::is_sign(bytes, wire_len) {
        return quic_step(held, side, (bytes, wire_len), plain);
    }
    let Some(records) = dtls_records(bytes) else {
        return Step::Go;
    };
    for fragment in tls::dtls_fragments(records) {
        match dtls_step(held, &fragment) {
            Step::Go => {}
            step => return step,
        }
    }
    Step::Go
}

/// Whether a datagram of which only the beginning is here may hold a hello.
pub(super) fn is_hello_sign(udp: &Udp<'_>) -> bool {
    gquic::is_sign(udp.payload) || quic::is_sign(udp.payload, udp.payload_len) || dtls_records(udp.payload).is_some()
}

/// From the first place on where a DTLS handshake record may begin.
fn dtls_records(bytes: &[u8]) -> Option<&[u8]> {
    // Most datagrams have no such byte there. Without an early end, so that the compiler compares
    // many at a time.
    let head = bytes.get(..MAX_DTLS_AT).unwrap_or(bytes);
    if !head.iter().fold(false, |found, byte| found | (*byte == HANDSHAKE)) {
        return None;
    }
    let at = bytes.windows(2).take(MAX_DTLS_AT).position(|w| matches!(w, [HANDSHAKE, 0xfe | 0x01]))?;
    bytes.get(at..)
}

fn quic_step(held: &mut Option<Held>, side: FromClient, (bytes, wire_len): (&[u8], u32), plain: &mut Vec<u8>) -> Step {
    let mut session = match held.take() {
        Some(Held::Quic(session)) => session,
        _ => Session::default(),
    };
    match session.datagram(side.0, bytes, wire_len, plain) {
        Err(Full) => Step::GiveUp,
        Ok(Look::Name(kind, name)) => Step::Found(kind, name),
        Ok(Look::More { .. }) => {
            *held = Some(Held::Quic(session));
            Step::Go
        }
        Ok(Look::Nameless) => Step::End,
        Ok(Look::NotAHost) => Step::NotAHost,
        // Not the client's: nothing to keep, and what was tried is bounded by the datagrams that
        // are looked at.
        Ok(Look::No | Look::Wrapper { .. } | Look::Absolute(_)) => Step::Go,
    }
}

fn dtls_step(held: &mut Option<Held>, fragment: &DtlsFragment<'_>) -> Step {
    if fragment.offset == 0 {
        match tls::dtls_client_hello(fragment.bytes, fragment.len) {
            Look::Name(kind, name) => return Step::Found(kind, name),
            Look::NotAHost => return Step::NotAHost,
            _ => {}
        }
    }
    let mut hello = match held.take() {
        Some(Held::Dtls { message, len, hello }) if (message, len) == (fragment.message, fragment.len) => hello,
        _ => Gather::default(),
    };
    if hello.insert(fragment.offset, fragment.bytes, MAX_STREAM).is_err() {
        return Step::GiveUp;
    }
    let look = match tls::dtls_client_hello(hello.prefix(), fragment.len) {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => return Step::End,
        Look::NotAHost => return Step::NotAHost,
        look => look,
    };
    let found = hello.islands().find_map(|bytes| tls::name_in_stretch(bytes, NameKind::Sni));
    if let (Look::More { .. }, Some((kind, name))) = (look, found) {
        return Step::Found(kind, name);
    }
    *held = Some(Held::Dtls { message: fragment.message, len: fragment.len, hello });
    Step::Go
}
