//! Words of the page: what kinds of evidence mean, and how times are called.

use crate::books::Evidence;
use crate::calibration;

/// How much a kind of evidence is to be trusted: the colours of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The connection itself says the name.
    Said,
    /// The device was told this address for this name.
    Told,
    /// It follows from what was seen elsewhere or at another time.
    Inferred,
    /// Others could be meant.
    Doubtful,
    /// There is no name.
    Nameless,
}

impl Trust {
    /// From the surest to the least sure.
    pub const ALL: [Self; 5] = [Self::Said, Self::Told, Self::Inferred, Self::Doubtful, Self::Nameless];

    /// Place in [`Trust::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|trust| *trust == self).unwrap_or_default()
    }

    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Said => "said by the connection",
            Self::Told => "by the device’s own DNS",
            Self::Inferred => "inferred",
            Self::Doubtful => "doubtful",
            Self::Nameless => "address only",
        }
    }

    /// That of a kind.
    pub fn of(kind: Evidence) -> Self {
        match kind {
            Evidence::Sni | Evidence::Quic | Evidence::Http => Self::Said,
            Evidence::Dns => Self::Told,
            Evidence::DnsLate | Evidence::DnsOther | Evidence::Known | Evidence::DnsAsked => Self::Inferred,
            Evidence::DnsShared | Evidence::EchOuter | Evidence::Infra | Evidence::Ptr => Self::Doubtful,
            Evidence::None => Self::Nameless,
        }
    }
}

/// What a kind of evidence is, in a sentence or two.
pub(super) fn meaning(kind: Evidence) -> &'static str {
    match kind {
        Evidence::Sni => "The connection named its server itself, in the greeting of TLS.",
        Evidence::Quic => "The connection named its server itself, in the first packet of QUIC.",
        Evidence::Http => "The connection named its server itself, in an unencrypted HTTP request.",
        Evidence::Dns => "Before the connection began, this device asked DNS for the name and was told this address.",
        Evidence::DnsShared => {
            "As dns, but this device was told the address for several sites. The bytes are booked on the latest; \
             the hatched part of a bar shows what could belong to another."
        }
        Evidence::DnsLate => "This device was told the address for the name after the connection had begun.",
        Evidence::DnsOther => "Another device was told this address for the name.",
        Evidence::Known => {
            "An older answer, or a name seen inside another connection to the same service of that address."
        }
        Evidence::DnsAsked => "This device asked for the name at the moment the connection began; no answer was seen.",
        Evidence::Ptr => "The holder of the address calls it so (reverse lookup). Nothing that was seen says it.",
        Evidence::EchOuter => "The name is encrypted (ECH). Only the public name of the provider in front is visible.",
        Evidence::Infra => "Only a name of a content network was asked for. Which site it carried is not known.",
        Evidence::None => "Nothing names these bytes: the address itself is shown.",
    }
}

/// How often that was right where it could be checked.
pub(super) fn measured(kind: Evidence) -> Option<String> {
    calibration::how_sure(kind)
}

/// The word for a kind; of none what it says.
pub(super) fn kind(kind: Evidence) -> &'static str {
    match kind {
        Evidence::None => "address only",
        named => named.word(),
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time as reports call it (`2026-11-05T14:00+01:00`, `2026-11-05`, `2026-W45`, `2026-11`), for
/// people.
pub(super) fn time(text: &str) -> String {
    let part = |range| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|nth| MONTHS.get(nth.checked_sub(1)?));
    match (month, text.len()) {
        (Some(month), 7) => format!("{month} {}", part(0..4)),
        (Some(month), 10) => format!("{} {month}", part(8..10).trim_start_matches('0')),
        (Some(month), 16..) => format!("{} {month} {}", part(8..10).trim_start_matches('0'), part(11..16)),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_write_them() {
        for (text, expected) in [
            ("2026-11-05T14:00+01:00", "5 Nov 14:00"),
            ("2026-11-05", "5 Nov"),
            ("2026-W45", "2026-W45"),
            ("2026-11", "Nov 2026"),
            ("outside the calendar", "outside the calendar"),
        ] {
            assert_eq!(time(text), expected);
        }
    }
}
