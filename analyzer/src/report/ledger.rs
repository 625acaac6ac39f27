//! The ledger as one list of lines: where every byte and packet of the range went. Every window prints this list; none has lines
//! of its own.

use super::Report;
use super::units::thousands;
use crate::books::carriers::Carrier;
use crate::books::{Blind, Evidence};
use std::borrow::Cow;

/// Most kinds of frames that a report says what to do about; all are in the ledger.
const MAX_HINTS: usize = 4;

/// When people see a line. Scripts see every line that has a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Always.
    Always,
    /// Where it is not zero.
    IfAny,
}

/// One line of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// What people read.
    pub label: Cow<'static, str>,
    /// Bytes; signed, as a residual may be.
    pub bytes: Amount,
    /// Packets.
    pub packets: Amount,
    /// Names of bytes and packets in JSON, where they have one.
    pub fields: [Option<&'static str>; 2],
    /// When people see it.
    pub when: When,
    /// Whether its share of all IP bytes says something.
    pub share: bool,
}

/// An amount of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// The line has none.
    None,
    /// The source does not say.
    Unknown,
    /// So many.
    Is(i128),
}

impl From<Option<u64>> for Amount {
    fn from(amount: Option<u64>) -> Self {
        amount.map_or(Self::Unknown, |n| Self::Is(n.into()))
    }
}

impl From<u64> for Amount {
    fn from(amount: u64) -> Self {
        Self::Is(amount.into())
    }
}

impl Line {
    fn bytes(
        label: impl Into<Cow<'static, str>>,
        field: Option<&'static str>,
        bytes: impl Into<Amount>,
        when: When,
    ) -> Self {
        let (label, bytes) = (label.into(), bytes.into());
        Self { label, bytes, packets: Amount::None, fields: [field, None], when, share: true }
    }

    fn with_packets(self, field: &'static str, packets: impl Into<Amount>) -> Self {
        let [bytes, _] = self.fields;
        Self { packets: packets.into(), fields: [bytes, Some(field)], ..self }
    }

    fn packets(label: &'static str, field: &'static str, packets: impl Into<Amount>) -> Self {
        Self { share: false, ..Self::bytes(label, None, Amount::None, When::Always) }.with_packets(field, packets)
    }

    fn without_share(self) -> Self {
        Self { share: false, ..self }
    }

    /// Whether people see it.
    pub(super) fn is_shown(&self) -> bool {
        match self.when {
            When::Always => true,
            When::IfAny => [self.bytes, self.packets].iter().any(|amount| matches!(amount, Amount::Is(n) if *n != 0)),
        }
    }
}

/// All lines, in order: the parts of all IP bytes with what they are made of, their sum, what is said of them as well, and what
/// is beside them.
pub(super) fn lines(report: &Report) -> Vec<Line> {
    use When::{Always, IfAny};
    let books = &report.ledger;
    let of_kind = |kind: Evidence| Line::bytes(format!("- by {kind}"), None, report.named_by(kind), IfAny);
    let of_blind = |(blind, bytes): (Blind, u64)| Line::bytes(format!("- {}", spaced(blind)), None, bytes, IfAny);
    let of_carrier = |carrier: &Carrier| {
        let line = Line::bytes(format!("- {carrier}"), None, Amount::None, Always).without_share();
        Line { packets: carrier.packets.into(), ..line }
    };
    let mut lines = vec![Line::bytes("named", Some("named_bytes"), books.named_bytes, Always)];
    let named =
        Evidence::ALL.into_iter().filter(|kind| !matches!(kind, Evidence::Ptr | Evidence::Infra | Evidence::None));
    lines.extend(named.map(of_kind));
    lines.push(Line::bytes("infrastructure", Some("infrastructure_bytes"), books.infrastructure_bytes, IfAny));
    lines.push(Line::bytes("address only", Some("address_only_bytes"), books.address_only_bytes, Always));
    lines.extend(books.address_only_by.iter().map(of_blind));
    lines.extend([
        Line::bytes("served to others", Some("served_bytes"), books.served_bytes, IfAny),
        Line::bytes("local network", Some("local_bytes"), books.local_bytes, Always),
        Line::bytes("undecodable", Some("undecodable_bytes"), books.undecodable_bytes, Always)
            .with_packets("undecodable_packets", books.undecodable_packets),
        Line::bytes("all IP", Some("ip_bytes"), books.ip_bytes, Always).with_packets("ip_packets", books.ip_packets),
    ]);
    // These are named as well as not: no part of the sum.
    lines.extend(
        [("of which encrypted DNS", Blind::EncryptedDns), ("of which behind ECH", Blind::Ech)]
            .map(|(label, blind)| Line::bytes(label, None, books.blind_spots.of(blind), IfAny)),
    );
    lines.extend([
        Line::bytes("of which by frame length", Some("length_from_frame_bytes"), books.length_from_frame_bytes, IfAny)
            .with_packets("length_from_frame_packets", books.length_from_frame_packets),
        Line::bytes("of which by ptr", Some("ptr_bytes"), report.named_by(Evidence::Ptr), IfAny),
        Line::bytes("residual", Some("residual_bytes"), Amount::Is(books.residual().into()), Always).without_share(),
        Line::bytes("not in the rows", None, Amount::Is(report.not_in_rows()), IfAny).without_share(),
        Line::packets("not IP", "non_ip_packets", books.non_ip_packets),
    ]);
    lines.extend(books.carriers.iter().map(of_carrier));
    lines.extend([
        Line::bytes("seen on another interface", Some("copies_bytes"), books.copies_bytes, IfAny)
            .with_packets("copies_packets", books.copies_packets)
            .without_share(),
        Line::bytes("- inside a tunnel", Some("carried_bytes"), books.carried_bytes, IfAny).without_share(),
        Line::packets("frames read", "packets", books.packets),
        Line::packets("lost by the capture", "capture_dropped_packets", books.capture_dropped_packets),
        Line::bytes("interface counters", Some("interface_bytes"), books.interface_bytes, Always).without_share(),
        Line { when: IfAny, ..Line::packets("names that no host has", "not_a_host_flows", books.not_hosts) },
    ]);
    lines
}

/// What to do where bytes may be missing, or are counted in an unusual way: a line each, for people.
pub(super) fn hints(report: &Report) -> Vec<String> {
    let books = &report.ledger;
    let hint = |carrier: &Carrier| Some(format!("{carrier}: {}", carrier.hint()?));
    let mut hints: Vec<String> = books.carriers.iter().filter_map(hint).take(MAX_HINTS).collect();
    if books.length_from_frame_packets > 0 {
        hints.push(format!(
            "{} packets by frame length: their headers state no length (segmentation offload), or one for which the \
             frame has no room",
            thousands(books.length_from_frame_packets)
        ));
    }
    hints
}

/// The words for a blind spot in a table.
fn spaced(blind: Blind) -> String {
    blind.word().replace('-', " ")
}
