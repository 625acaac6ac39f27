//! Curves of `verify --curve`: how often one kind of evidence is there, and right, by how far it
//! may be from the flow.

use crate::attribution::{ASKED_NS, FRESH_NS, HORIZON_NS, LATE_NS, Policy};
use crate::books::Evidence;
use imon_common::time::NANOS_PER_SECOND;

/// Windows of a curve in milliseconds: ten seconds to a week.
const LONG_MS: [i64; 8] = [10_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000];

/// Likewise: a moment.
const SHORT_MS: [i64; 8] = [0, 1, 2, 3, 5, 10, 15, 20];

/// Nanoseconds of a millisecond.
pub(super) const MS: i64 = NANOS_PER_SECOND / 1_000;

/// A curve: one kind of evidence under windows of several lengths.
pub(super) struct Curve {
    pub(super) evidence: &'static [Evidence],
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    windows_ms: [i64; 8],
    /// The window in force.
    pub(super) ours_ns: i64,
    /// Nothing longer is looked at, or kept.
    most_ns: i64,
    pub(super) policy: fn(i64) -> Policy,
}

pub(super) const CURVES: [Curve; 4] = [
    Curve {
        evidence: &[Evidence::Dns, Evidence::DnsShared],
        word: "dns",
        title: "this device's answer, at most this long before the flow",
        windows_ms: LONG_MS,
        ours_ns: FRESH_NS,
        most_ns: i64::MAX,
        policy: |fresh_ns| Policy { fresh_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsLate],
        word: "dns-late",
        title: "its first answer at most this long after the flow began, alone or with others",
        windows_ms: LONG_MS,
        ours_ns: LATE_NS,
        most_ns: HORIZON_NS,
        policy: |late_ns| Policy { late_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsOther],
        word: "dns-other",
        title: "other devices' answers, at most this far from the flow",
        windows_ms: LONG_MS,
        ours_ns: FRESH_NS,
        most_ns: i64::MAX,
        policy: |others_ns| Policy { others_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsAsked],
        word: "dns-asked",
        title: "what it asked for, at most this far from the flow's beginning",
        windows_ms: SHORT_MS,
        ours_ns: ASKED_NS,
        most_ns: ASKED_NS,
        policy: |asked_ns| Policy { asked_ns, ..Policy::DNS_ONLY },
    },
];

impl Curve {
    pub(super) fn windows_ns(&self) -> impl Iterator<Item = i64> + '_ {
        self.windows_ms.iter().map(|ms| ms * MS).filter(|ns| *ns <= self.most_ns)
    }
}
