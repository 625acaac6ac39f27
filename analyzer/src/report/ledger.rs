//! The ledger as one list of lines: where every byte and packet of the range went. Every window
//! prints this list; none has lines of its own.

use super::Report;
use super::mask::Masker;
use crate::books::carriers::Carrier;
use crate::books::{Blind, BlindBytes, Evidence, Exported, Ledger, Overlap};
use crate::error::shown;
use crate::imported::Piece;
use crate::question::Key;
use crate::store::seconds_of;
use crate::table::units::{bytes, percent, thousands};
use crate::table::{Amount, Field, Total, When};
use imon_common::observe::ExportFault;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use serde_json::json;

/// Most kinds of frames that a report says what to do about; all are in the ledger.
const MAX_HINTS: usize = 4;

/// All lines, in order: the parts of all IP bytes with what they are made of, their sum, what is
/// said of them as well, and what is beside them.
pub(super) fn lines(report: &Report) -> Vec<Total> {
    use When::{Always, IfAny};
    let books = &report.ledger;
    let (whole, partly) = imported(report);
    let of_kind = |kind: Evidence| Total::bytes(format!("- by {kind}"), None, report.named_by(kind), IfAny);
    let of_blind = |(blind, bytes): (Blind, u64)| Total::bytes(format!("- {}", spaced(blind)), None, bytes, IfAny);
    let of_carrier = |carrier: &Carrier| {
        let line = Total::bytes(format!("- {carrier}"), None, Amount::None, Always).without_share();
        Total { packets: carrier.packets.into(), ..line }
    };
    let mut lines = vec![Total::bytes("named", Some("named_bytes"), books.named_bytes, Always)];
    let named =
        Evidence::ALL.into_iter().filter(|kind| !matches!(kind, Evidence::Ptr | Evidence::Infra | Evidence::None));
    lines.extend(named.map(of_kind));
    lines.push(Total::bytes("infrastructure", Some("infrastructure_bytes"), books.infrastructure_bytes, IfAny));
    lines.push(Total::bytes("address only", Some("address_only_bytes"), books.address_only_bytes, Always));
    lines.extend(books.address_only_by.iter().map(of_blind));
    lines.extend([
        Total::bytes("served to others", Some("served_bytes"), books.served_bytes, IfAny),
        Total::bytes("local network", Some("local_bytes"), books.local_bytes, Always),
        Total::bytes("undecodable", Some("undecodable_bytes"), books.undecodable_bytes, Always)
            .with_packets("undecodable_packets", books.undecodable_packets),
        Total::bytes("all IP", Some("ip_bytes"), books.ip_bytes, Always).with_packets("ip_packets", books.ip_packets),
    ]);
    // These are named as well as not: no part of the sum.
    lines.extend(
        [("of which encrypted DNS", Blind::EncryptedDns), ("of which behind ECH", Blind::Ech)]
            .map(|(label, blind)| Total::bytes(label, None, books.blind_spots.of(blind), IfAny)),
    );
    lines.extend(books.exported.iter().map(of_rate));
    lines.extend([
        Total::bytes("of which by frame length", Some("length_from_frame_bytes"), books.length_from_frame_bytes, IfAny)
            .with_packets("length_from_frame_packets", books.length_from_frame_packets),
        Total::bytes("of which by ptr", Some("ptr_bytes"), report.named_by(Evidence::Ptr), IfAny),
        Total::bytes("residual", Some("residual_bytes"), Amount::Is(books.residual().into()), Always).without_share(),
        Total::bytes("not in the rows", None, Amount::Is(report.not_in_rows()), IfAny).without_share(),
        Total::packets("not IP", "non_ip_packets", books.non_ip_packets),
    ]);
    lines.extend(books.carriers.iter().map(of_carrier));
    lines.extend([
        Total::bytes("seen on another interface", Some("copies_bytes"), books.copies_bytes, IfAny)
            .with_packets("copies_packets", books.copies_packets)
            .without_share(),
        Total::bytes("- inside a tunnel", Some("carried_bytes"), books.carried_bytes, IfAny).without_share(),
        Total::bytes("suspected double", Some("suspected_double_bytes"), books.suspected_double_bytes, IfAny)
            .with_packets("suspected_double_packets", books.suspected_double_packets)
            .without_share(),
        Total::bytes("removed by request", Some("removed_bytes"), books.removed_bytes, IfAny)
            .with_packets("removed_packets", books.removed_packets)
            .without_share(),
        Total::bytes("counted by vnStat", Some("imported_bytes"), whole, IfAny).without_share(),
        Total::bytes("- beyond the range as well", Some("imported_partly_bytes"), partly, IfAny).without_share(),
        Total::packets("frames read", "packets", books.packets),
        Total::packets("lost by the capture", "capture_dropped_packets", books.capture_dropped_packets),
        Total::bytes("lost in memory", Some("unsaved_bytes"), books.unsaved_bytes, IfAny)
            .with_packets("unsaved_packets", books.unsaved_packets)
            .without_share(),
        Total::bytes("interface counters", Some("interface_bytes"), books.interface_bytes, Always).without_share(),
        Total { when: IfAny, ..Total::packets("names that no host has", "not_a_host_flows", books.not_hosts) },
    ]);
    lines.extend(books.export_faults.iter().map(of_fault));
    lines
}

/// Bytes that another program counted: in times that lie in the range, and in those that reach
/// beyond it, of which nobody knows how much was inside.
fn imported(report: &Report) -> (u64, u64) {
    let (from_s, to_s) = seconds_of(&report.range);
    let is_whole = |piece: &&Piece| piece.from_s >= from_s && piece.to_s <= to_s;
    let (whole, partly): (Vec<_>, Vec<_>) = report.imported.iter().partition(is_whole);
    let [whole, partly] =
        [whole, partly].map(|all| all.iter().fold(0, |sum: u64, piece| sum.saturating_add(piece.bytes())));
    (whole, partly)
}

/// What exporters reported at one rate of sampling: part of all IP.
fn of_rate(exported: &Exported) -> Total {
    let label = match exported.rate {
        1 => "of which exported".to_owned(),
        rate => format!("of which exported, sampled 1:{rate}"),
    };
    let line = Total::bytes(label, None, exported.bytes, When::IfAny);
    Total { packets: exported.packets.into(), ..line }
}

/// What was wrong with messages of exporters.
fn of_fault((fault, cases, bytes): &(ExportFault, u64, u64)) -> Total {
    let label = match fault {
        ExportFault::Malformed => "exports unreadable",
        ExportFault::NoTemplate => "exports without template",
        ExportFault::Impossible => "exports impossible",
        ExportFault::Corrected => "exports corrected",
        ExportFault::Lost => "exports lost on the way",
        ExportFault::Late => "exports booked late",
        ExportFault::NoExport => "frames of no export",
        ExportFault::Restarted => "exporters restarted",
        ExportFault::NoFlow => "exports of no flow",
        ExportFault::Forgotten => "exporters forgotten",
        ExportFault::Copied => "exports captured twice",
    };
    let amount = if *bytes > 0 { Amount::Is((*bytes).into()) } else { Amount::None };
    let line = Total::bytes(label, None, amount, When::Always).without_share();
    Total { packets: (*cases).into(), ..line }
}

/// Whether nothing in the ledger asks for somebody's attention: it balances, and nothing is
/// missing.
pub(super) fn is_well(report: &Report) -> bool {
    let books = &report.ledger;
    books.residual() == 0
        && report.not_in_rows() == 0
        && books.gaps.is_empty()
        && report.timeline.torn.is_empty()
        && books.undecodable_packets == 0
        && books.unsaved_packets == 0
        && books.suspected_double_packets == 0
        && books.capture_dropped_packets.unwrap_or_default() == 0
        && !books.export_faults.iter().any(|(fault, ..)| asks_for_attention(*fault))
        && hints(report).is_empty()
}

/// Whether bytes are missing, or may be wrong, because of a fault.
fn asks_for_attention(fault: ExportFault) -> bool {
    use ExportFault::{Copied, Corrected, NoExport, NoFlow};
    !matches!(fault, Copied | Corrected | NoExport | NoFlow)
}

/// The ledger in a line or two; nothing where the books do not balance.
pub(super) fn short(report: &Report) -> Vec<String> {
    let books = &report.ledger;
    if books.residual() != 0 || report.not_in_rows() != 0 {
        return Vec::new();
    }
    let parts = [
        ("named", books.named_bytes),
        ("infrastructure", books.infrastructure_bytes),
        ("address only", books.address_only_bytes),
        ("served to others", books.served_bytes),
        ("local network", books.local_bytes),
        ("undecodable", books.undecodable_bytes),
    ];
    let shares: Vec<String> = parts
        .into_iter()
        .filter(|(_, part)| *part > 0)
        .map(|(word, part)| format!("{word} {}", percent(part, books.ip_bytes)))
        .collect();
    let all = format!("all IP {} in {} packets", bytes(books.ip_bytes), thousands(books.ip_packets));
    let lost = match books.capture_dropped_packets {
        None => "losses of the capture unknown".to_owned(),
        Some(0) => "nothing lost".to_owned(),
        Some(lost) => format!("{} packets lost by the capture", thousands(lost)),
    };
    let gaps = match books.gaps.len() {
        0 => "no gaps".to_owned(),
        1 => "1 gap".to_owned(),
        gaps => format!("{gaps} gaps"),
    };
    let first = std::iter::once(all).chain(shares).collect::<Vec<_>>().join(", ");
    let mut lines = vec![first, format!("the books balance, {lost}, {gaps} (--ledger full shows all)")];
    let beyond = |bytes_beyond| format!(", and {} in times that reach beyond the range", bytes(bytes_beyond));
    match imported(report) {
        (0, 0) => {}
        (whole, 0) => lines.push(format!("vnStat counted {}, of sites unknown", bytes(whole))),
        (whole, partly) => lines.push(format!("vnStat counted {}{}", bytes(whole), beyond(partly))),
    }
    lines
}

/// What the lines are made of, for JSON.
pub(super) fn parts(report: &Report) -> Vec<Field> {
    let words = |bytes: &BlindBytes| -> serde_json::Value {
        bytes
            .iter()
            .map(|(blind, bytes)| (blind.word().to_owned(), json!(bytes)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let carrier = |c: &Carrier| json!({"kind": c.word(), "number": c.number(), "name": c.name(), "packets": c.packets, "bytes": c.bytes, "hint": c.hint()});
    let exported = |e: &Exported| json!({"sampled_1_of": e.rate, "packets": e.packets, "bytes": e.bytes});
    let fault = |f: &(ExportFault, u64, u64)| json!({"kind": f.0.word(), "count": f.1, "bytes": f.2});
    let books = &report.ledger;
    let Ledger { address_only_by, blind_spots, carriers, tunnels, overlaps, .. } = books;
    let masker = &report.masker;
    let tunnels: Vec<_> = tunnels.iter().map(|host| masker.key(Key::Host, host)).collect();
    let overlap = |o: &Overlap| {
        let o = masked(o, masker);
        json!({"source": o.source, "counted_in": o.of, "packets": o.packets, "bytes": o.bytes})
    };
    let instant = |second: i64| report.instant(UnixNanos(second.saturating_mul(NANOS_PER_SECOND)));
    let piece = |p: &Piece| {
        json!({"program": "vnstat", "interface": masker.key(Key::Interface, &p.interface), "from": instant(p.from_s),
               "to": instant(p.to_s), "up_bytes": p.up_bytes, "down_bytes": p.down_bytes})
    };
    vec![
        ("address_only_by", words(address_only_by)),
        ("blind_spots", words(blind_spots)),
        ("non_ip", carriers.iter().map(carrier).collect()),
        ("tunnel_carriers", json!(tunnels)),
        ("suspected_doubles", overlaps.iter().map(overlap).collect()),
        ("imported", report.imported.iter().map(piece).collect()),
        ("exported", books.exported.iter().map(exported).collect()),
        ("export_faults", books.export_faults.iter().map(fault).collect()),
    ]
}

/// What to do where bytes may be missing, or are counted in an unusual way: a line each, for
/// people.
pub(super) fn hints(report: &Report) -> Vec<String> {
    let books = &report.ledger;
    let hint = |carrier: &Carrier| Some(format!("{carrier}: {}", carrier.hint()?));
    let mut hints: Vec<String> = books.carriers.iter().filter_map(hint).take(MAX_HINTS).collect();
    hints.extend(books.overlaps.iter().take(MAX_HINTS).map(|o| overlap_text(&masked(o, &report.masker))));
    if books.length_from_frame_packets > 0 {
        hints.push(format!(
            "{} packets by frame length: their headers state no length (segmentation offload), or one for which the \
             frame has no room",
            thousands(books.length_from_frame_packets)
        ));
    }
    hints
}

/// The same without the names of files, where these are hidden.
fn masked(overlap: &Overlap, masker: &Masker) -> Overlap {
    let [source, of] = [&overlap.source, &overlap.of].map(|name| masker.own("source", name).into_owned());
    Overlap { source, of, ..*overlap }
}

/// What is in two sources, in words.
pub fn overlap_text(overlap: &Overlap) -> String {
    let [source, of] = [&overlap.source, &overlap.of].map(|name| shown(name));
    format!(
        "{} of {source} are in {of}, too, and count there: the same flows moved the same bytes in the same seconds \
         (--allow-overlap counts both)",
        bytes(overlap.bytes)
    )
}

/// The words for a blind spot in a table.
fn spaced(blind: Blind) -> String {
    blind.word().replace('-', " ")
}
