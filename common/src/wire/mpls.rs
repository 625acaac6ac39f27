//! MPLS label stacks (RFC 3032) and what they carry: IP, or a pseudo wire with Ethernet frames (RFC
//! 4448).
//!
//! A label stack does not say what it carries. The first nibble decides (RFC 4928 section 3); where
//! it does not name IP, an Ethernet frame that holds IP is looked for, with and without the control
//! word.

use super::span::Span;
use super::walk::{Kind, Next, Step, Stop, next};
use super::{Layer, NotIp, link, network};

/// EtherType of a label stack, for counting what it carries without IP.
const MPLS: u16 = 0x8847;

/// Most labels that are passed over while guessing; tunnels over UDP carry one or two.
const MAX_LABELS_GUESSED: usize = 8;

/// Reads one label; at the bottom of the stack, decides what follows.
pub(super) fn label(at: Span<'_>) -> Step<'_> {
    let ([_, _, last, _], after) = at.split::<4>()?;
    if last & 1 == 0 {
        return next(Kind::Mpls, after);
    }
    payload(after)
}

fn payload(at: Span<'_>) -> Step<'_> {
    let with_control_word = at.skip(4).ok().filter(|_| at.u8_at(0).is_some_and(|b| b >> 4 == 0));
    let frame = || with_control_word.into_iter().chain([at]).find(|frame| link::ethernet_holds_ip(*frame));
    // A frame without control word, to an address that begins with 4 or 6, looks like IP at first
    // (RFC 8469); its length is random then.
    if network::looks_like_ip(at) && (network::ends_here(at) || frame().is_none()) {
        return next(Kind::Ip(Layer::Ipv4), at);
    }
    if let Some(at) = frame() {
        return Ok(Next { kind: Kind::Ethernet, at });
    }
    match at.u8_at(0).map(|b| b >> 4) {
        // Announced as IP and unreadable: a fault, to be counted as such.
        Some(4) => next(Kind::Ip(Layer::Ipv4), at),
        Some(6) => next(Kind::Ip(Layer::Ipv6), at),
        Some(_) => Err(Stop::NotIp(NotIp::EtherType(MPLS))),
        None => Err(Stop::Fault(super::Fault::Truncated)),
    }
}

/// Whether an IP packet seems to stand behind the label stack at `at`.
pub(super) fn holds_ip(mut at: Span<'_>) -> bool {
    for _ in 0..MAX_LABELS_GUESSED {
        let Ok(([_, _, last, _], after)) = at.split::<4>() else { return false };
        at = after;
        if last & 1 == 1 {
            return network::looks_like_ip(at);
        }
    }
    false
}

/// What follows the label stack at `at`, if it is IP or an Ethernet frame with IP. For tunnels
/// known by their port only.
pub(super) fn guess(mut at: Span<'_>) -> Option<Next<'_>> {
    for _ in 0..MAX_LABELS_GUESSED {
        let ([_, _, last, _], after) = at.split::<4>().ok()?;
        at = after;
        if last & 1 == 1 {
            return payload(at).ok().filter(|inner| inner.kind == Kind::Ethernet || network::looks_like_ip(inner.at));
        }
    }
    None
}
