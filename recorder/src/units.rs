//! Sizes and durations as people type them.

use std::time::Duration;

/// Bytes from a number with an optional unit: `64MiB`, `500MB`, `2G` (a bare letter counts in
/// 1024s), `4096`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => {
            return Err(format!("unknown unit '{unit}', expected KiB, MiB, GiB, TiB, kB, MB, GB or TB"));
        }
    };
    number.checked_mul(factor).ok_or_else(|| "too large".into())
}

/// A duration from numbers with units, added up: `1h`, `90s`, `1h30m`, `500ms`, `7d`.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut total_ms: u64 = 0;
    let mut rest = text;
    loop {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let factor_ms: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(format!("'{number}' has no unit, expected ms, s, m, h or d")),
            other => return Err(format!("unknown unit '{other}', expected ms, s, m, h or d")),
        };
        total_ms = number.checked_mul(factor_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or("too long")?;
        if next.is_empty() {
            return Ok(Duration::from_millis(total_ms));
        }
        rest = next;
    }
}

/// A size for people, with three digits and a binary unit: `1.23 MiB`.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut number, mut unit) = (bytes as f64 / 1024.0, 0);
    // 999.5 would be shown with four digits.
    while number >= 999.5 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1024.0, unit + 1);
    }
    let decimals = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.decimals$} {}", UNITS.get(unit).unwrap_or(&"PiB"))
}

fn split_number(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Err(format!("expected a whole number at '{text}'"));
    }
    Ok((digits.parse().map_err(|_| "too large")?, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_unless_written_decimal() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("2GiB", 2 << 30),
            ("500MB", 500_000_000),
            ("4096", 4096),
            ("1 k", 1024),
            ("3T", 3 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5G", "10 parsecs", "99999999999999999999", "20000000TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_add_up_their_parts() {
        for (text, ms) in
            [("1h", 3_600_000), ("90s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "1y", "h", "1h30", "1.5h", "-1s", "99999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (102_400, "100 KiB"),
            (1_023_488, "0.98 MiB"),
            (1 << 30, "1.00 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }
}
