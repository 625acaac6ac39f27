//! Numbers as people read them.

use imon_common::time::NANOS_PER_SECOND;
use std::sync::atomic::{AtomicBool, Ordering};

/// Units that people see amounts of bytes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Units {
    /// KiB, MiB, GiB: powers of 1024
    #[default]
    Binary,
    /// kB, MB, GB: powers of 1000
    Decimal,
}

/// Whether units are decimal. One for the process: whoever reads two amounts of one run compares
/// them.
static DECIMAL: AtomicBool = AtomicBool::new(false);

/// Amounts are shown in these units from now on.
pub fn show_in(units: Units) {
    DECIMAL.store(units == Units::Decimal, Ordering::Relaxed);
}

/// The units that amounts are shown in.
pub fn shown_in() -> Units {
    if DECIMAL.load(Ordering::Relaxed) { Units::Decimal } else { Units::Binary }
}

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// So many of something: `1 file`, `1,200 files`. `one` is a noun that takes an s.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// Bytes with three significant digits and a unit, exact below 1000 B: a binary one (1 KiB = 1024
/// B), unless others were wished for by [`show_in`].
pub fn bytes(n: u64) -> String {
    bytes_in(n, shown_in())
}

/// As [`bytes`], in these units.
pub fn bytes_in(n: u64, units: Units) -> String {
    let (factor, names) = match units {
        Units::Binary => (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        Units::Decimal => (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB"]),
    };
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / factor;
    let mut units = names.into_iter();
    let mut unit = units.next().unwrap_or_default();
    // 999.5 would be shown as four digits.
    while value >= 999.5 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / factor, next);
    }
    match value {
        v if v < 9.995 => format!("{v:.2} {unit}"),
        v if v < 99.95 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

/// A change in bytes, with its sign.
pub fn change(n: i64) -> String {
    match n {
        0 => "0 B".to_owned(),
        n => format!("{}{}", if n < 0 { '-' } else { '+' }, bytes(n.unsigned_abs())),
    }
}

/// A length of time in the largest unit that it is a multiple of, milliseconds at least.
pub fn duration(ns: i64) -> String {
    let (s, ms) = (ns / NANOS_PER_SECOND, ns / (NANOS_PER_SECOND / 1_000));
    match s {
        _ if ms % 1_000 != 0 || ms == 0 => format!("{ms} ms"),
        _ if s % 86_400 == 0 => format!("{} d", s / 86_400),
        _ if s % 3_600 == 0 => format!("{} h", s / 3_600),
        _ if s % 60 == 0 => format!("{} min", s / 60),
        _ => format!("{s} s"),
    }
}

/// `part` of `whole` in percent with one decimal; empty where there is no whole.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match share {
        s if part > 0 && s < 0.05 => "<0.1%".to_owned(),
        // Not all of it, so not 100.0 either.
        s if part < whole && s >= 99.95 => ">99.9%".to_owned(),
        s => format!("{s:.1}%"),
    }
}

/// As [`percent`] without decimals.
pub fn whole_percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    match part as f64 * 100.0 / whole as f64 {
        s if part > 0 && s < 0.5 => "<1%".to_owned(),
        s if part < whole && s >= 99.5 => ">99%".to_owned(),
        s => format!("{s:.0}%"),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes that [`hex`] made digits of; `None` if it cannot have made these.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

/// An identity as a UUID is written.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let hex = hex(&bytes);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn bytes_come_back_from_their_digits_and_from_nothing_else() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for text in ["0af", "zz", "+f", "é"] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_have_three_significant_digits() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (1024, "1.00 KiB"),
            (10_239, "10.0 KiB"),
            (102_399, "100 KiB"),
            (1_023_487, "999 KiB"),
            (1_023_488, "0.98 MiB"),
            (1_610_612_736, "1.50 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text, "{n}");
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_to_everything() {
        assert_eq!([percent(0, 5), percent(1, 100_000), percent(1, 3)], ["0.0%", "<0.1%", "33.3%"]);
        assert_eq!([percent(99_999, 100_000), percent(7, 7), percent(0, 0)], [">99.9%", "100.0%", ""]);
    }
}
