//! Kinds of evidence, of traffic and of blind spots: their words and their numbers.

use imon_common::names::NameKind;
use std::fmt;

/// How bytes came by their name, strongest first as in docs/ARCHITECTURE.md. The numbers are stored
/// in SQLite and in scripts' JSON by [`Evidence::word`]: neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Evidence {
    /// TLS server name inside the flow.
    Sni = 1,
    /// Server name in the QUIC Initial of the flow.
    Quic = 2,
    /// Host of an HTTP request inside the flow.
    Http = 3,
    /// This device's latest DNS answer that held the address, before the flow began.
    Dns = 4,
    /// As [`Evidence::Dns`], but answers for two or more different sites were fresh: booked to the
    /// latest.
    DnsShared = 5,
    /// This device's answer came after the flow began.
    DnsLate = 6,
    /// Another device's answer for that address.
    DnsOther = 7,
    /// An older answer, or a name that an own-side client showed inside another flow to the same
    /// service of that address.
    Known = 8,
    /// Reverse lookup, only when the user asked for it.
    Ptr = 9,
    /// Only the public name of an ECH provider is visible.
    EchOuter = 10,
    /// This device asked for the name at the moment at which the flow began, and no answer
    /// contradicts it.
    DnsAsked = 11,
    /// Only an infrastructure name of a content network was asked for (data/infrastructure.txt),
    /// and the name that led to it is not known: whose bytes these are nobody can tell.
    Infra = 12,
    /// The address itself.
    None = 0,
}

impl Evidence {
    /// Whether a person need not doubt it: the flow says its name, or its own device was told it.
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Sni | Self::Quic | Self::Http | Self::Dns)
    }

    /// Every kind, strongest first; [`Evidence::None`] is the last.
    pub const ALL: [Self; 13] = [
        Self::Sni,
        Self::Quic,
        Self::Http,
        Self::Dns,
        Self::DnsShared,
        Self::DnsLate,
        Self::DnsOther,
        Self::Known,
        Self::DnsAsked,
        Self::Ptr,
        Self::EchOuter,
        Self::Infra,
        Self::None,
    ];

    /// The word for it in reports, JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::DnsShared => "dns-shared",
            Self::DnsLate => "dns-late",
            Self::DnsOther => "dns-other",
            Self::Known => "known",
            Self::DnsAsked => "dns-asked",
            Self::Infra => "infra",
            Self::Ptr => "ptr",
            Self::EchOuter => "ech-outer",
            Self::None => "none",
        }
    }

    /// What a name of this kind is as evidence.
    pub const fn of_name(kind: NameKind) -> Self {
        match kind {
            NameKind::Sni => Self::Sni,
            NameKind::Quic => Self::Quic,
            NameKind::Http => Self::Http,
            NameKind::EchOuter => Self::EchOuter,
            NameKind::Dns | NameKind::DnsUnpaired | NameKind::Mdns | NameKind::Llmnr => Self::Dns,
            NameKind::Dhcp | NameKind::DnsQuery | NameKind::DnsEmpty => Self::None,
        }
    }

    /// The number that SQLite stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.number() == number)
    }

    /// Place in [`Evidence::ALL`], for arrays of one value per kind.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or(Self::ALL.len() - 1)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why bytes have no name of their own, or where names of other bytes may be hidden (the rule:
/// `attribution::blind`). The numbers are stored in SQLite and the words are in scripts' JSON:
/// neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Blind {
    /// Traffic of an encrypted resolver: it may be named, but the names that it told cannot be
    /// read.
    EncryptedDns = 1,
    /// Only the public name of an ECH provider is visible.
    Ech = 2,
    /// QUIC without a hello that could be read.
    QuicUnreadable = 3,
    /// TCP that had begun before its first packet was seen: a name would have been before it.
    BeginNotSeen = 4,
    /// Nothing was said that names it.
    NoName = 5,
    /// It carries a tunnel whose inside was recorded, too, and is counted there: these bytes are
    /// what the tunnel adds.
    Tunnel = 6,
}

impl Blind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::EncryptedDns, Self::Ech, Self::QuicUnreadable, Self::BeginNotSeen, Self::NoName, Self::Tunnel];

    /// The word for it in reports, JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EncryptedDns => "encrypted-dns",
            Self::Ech => "ech",
            Self::QuicUnreadable => "quic-unreadable",
            Self::BeginNotSeen => "begin-not-seen",
            Self::NoName => "no-name",
            Self::Tunnel => "tunnel",
        }
    }

    /// The number it is stored by; 0 is kept for "no blind spot".
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` for 0 and for numbers of a newer version.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|blind| blind.number() == number)
    }
}

/// Bytes of each blind spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlindBytes([u64; Blind::ALL.len()]);

impl BlindBytes {
    /// Adds bytes to a blind spot.
    pub fn add(&mut self, blind: Blind, bytes: u64) {
        for (sum, _) in self.0.iter_mut().zip(Blind::ALL).filter(|(_, kind)| *kind == blind) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The bytes of a blind spot.
    pub fn of(&self, blind: Blind) -> u64 {
        self.iter().find(|(kind, _)| *kind == blind).map_or(0, |(_, bytes)| bytes)
    }

    /// All of them, in the order of [`Blind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Blind, u64)> {
        Blind::ALL.into_iter().zip(self.0)
    }
}

/// Which kind of traffic bytes are of. The numbers are stored in SQLite and the words are in
/// scripts' JSON: neither may change its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Traffic {
    /// Between our side, which opened the flow (as far as that can be told), and somebody outside.
    Visited = 0,
    /// Both ends are local, and the flow names no public site.
    Local = 1,
    /// Somebody outside opened the flow to our side.
    Served = 2,
    /// Neither end is local.
    Transit = 3,
}

impl Traffic {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Visited, Self::Local, Self::Served, Self::Transit];

    /// The word for it in JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Visited => "visited",
            Self::Local => "local",
            Self::Served => "served",
            Self::Transit => "transit",
        }
    }

    /// The number that SQLite stores.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|traffic| traffic.number() == number)
    }

    /// Whether its bytes belong to a site outside, which is what reports are about.
    pub const fn is_of_sites(self) -> bool {
        matches!(self, Self::Visited | Self::Transit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_evidence_survives_its_number_and_has_its_own_word() {
        for (i, evidence) in Evidence::ALL.into_iter().enumerate() {
            assert_eq!(Evidence::from_number(evidence.number()), Some(evidence));
            assert_eq!(evidence.index(), i);
            assert_eq!(Evidence::ALL.iter().filter(|e| e.word() == evidence.word()).count(), 1);
        }
        assert_eq!(Evidence::from_number(13), None);
    }

    #[test]
    fn every_blind_spot_survives_its_number_and_none_is_zero() {
        for blind in Blind::ALL {
            assert_eq!(Blind::from_number(blind.number()), Some(blind));
            assert_eq!(Blind::ALL.iter().filter(|b| b.word() == blind.word()).count(), 1);
        }
        assert_eq!((Blind::from_number(0), Blind::from_number(7)), (None, None));
    }
}
