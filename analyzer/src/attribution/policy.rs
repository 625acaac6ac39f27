//! How long evidence counts. Each value has its reason; docs/SCORE.md has the curves, and
//! `imon-analyze verify --curve` draws them over captures of your own.

use imon_common::time::NANOS_PER_SECOND;

/// What is learned later than this after a flow's beginning no longer changes its verdict, a name
/// inside the flow excepted. As long as the longest time-out of the flow table, so that what goes
/// on from one source into the next is still open when the next one is read.
pub const HORIZON_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// An answer counts as fresh for this long, whatever its TTL: programs keep addresses longer than
/// the TTL allows (connection pools, resolvers that serve stale data, RFC 8767). Dropping answers
/// whose TTL was over lost flows of real browsers and gained none of real captures. Of the flows
/// whose device had asked, 98 % began within a minute after the answer and none of the older
/// answers was less often right.
pub const FRESH_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// A late answer counts up to this long after the flow began: the answer of a second resolver, or a
/// capture that began between query and connection. In public captures all nine such answers were
/// right within this time, and of those that came up to 10 s later three of eleven: an answer that
/// late is that to a question about something else at the same address.
pub const LATE_NS: i64 = 125_000_000;

/// What is known of an address is forgotten after this: content networks move names between
/// addresses within days. A guess: no capture with names at hand is that long.
pub const KNOWN_NS: i64 = 7 * 86_400 * NANOS_PER_SECOND;

/// What was learned of pages on a UTC day counts on it and on the days after it, so many in all. No
/// longer than names of addresses ([`KNOWN_NS`]), so that a source that comes late is learned from
/// in all days that it counts in. Of later days pages may still rest on what these taught before it
/// came: habits are learned with habits, and following that would book again everything since.
pub const HABIT_DAYS: i64 = KNOWN_NS / DAY_NS;

/// A UTC day.
pub const DAY_NS: i64 = 86_400 * NANOS_PER_SECOND;

/// An older name for an address is worthless as soon as a name of another site is newer by this
/// much.
pub(super) const OUTDATED_NS: i64 = 86_400 * NANOS_PER_SECOND;

/// A flow that begins later than this after its device's answer goes to an address that the device
/// held: others follow their answers within 50 ms, nearly all within 200 ms.
pub(super) const PROMPT_NS: i64 = 250_000_000;

/// An address that the device held for longer than this, and that it was told for several sites,
/// may be used for any of them: the latest is right in every second case, in synthetic traffic (133
/// of 244 flows). Within seconds, while a page is loaded, the latest is right in three of four (14
/// of 19 flows of public captures).
pub(super) const ANYONES_NS: i64 = 5 * NANOS_PER_SECOND;

/// What a device asked for at most this long before or after the beginning of a flow may be the
/// flow's name. The curve is flat from 10 ms on, in the captures that we have; the recorder keeps
/// no query that is farther away.
pub const ASKED_NS: i64 = 20_000_000;

/// What a device asked for at the beginnings of flows to a service names its other flows to it if
/// this many agree, and none says otherwise: what happens once may be chance.
pub(super) const AGAIN: usize = 2;

/// Two such flows are two if they began this far apart: browsers begin six connections at one
/// query.
pub(super) const APART_NS: i64 = NANOS_PER_SECOND;

/// What the rules may use, and how long it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Names inside flows name them, and teach addresses. Without, attribution is by DNS only.
    pub in_flow: bool,
    /// How long this device's own answers count after they came, [`FRESH_NS`].
    pub fresh_ns: i64,
    /// How long after the flow began they still may come, [`LATE_NS`]; at most [`HORIZON_NS`].
    pub late_ns: i64,
    /// How far from the flow's beginning, before and after, others' answers count, [`FRESH_NS`];
    /// after the flow at most [`HORIZON_NS`].
    pub others_ns: i64,
    /// How far from the flow's beginning a query may be, [`ASKED_NS`].
    pub asked_ns: i64,
    /// Instead of our rules the simplest ones: this device's latest answer before the flow,
    /// whatever its age, else the latest answer of any device before it.
    pub baseline: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            in_flow: true,
            fresh_ns: FRESH_NS,
            late_ns: LATE_NS,
            others_ns: FRESH_NS,
            asked_ns: ASKED_NS,
            baseline: false,
        }
    }
}

impl Policy {
    /// Our rules without the names inside flows.
    pub const DNS_ONLY: Self = Self {
        in_flow: false,
        fresh_ns: FRESH_NS,
        late_ns: LATE_NS,
        others_ns: FRESH_NS,
        asked_ns: ASKED_NS,
        baseline: false,
    };

    /// What any tool would do with DNS: the measure that our rules have to beat.
    pub const BASELINE: Self = Self { baseline: true, late_ns: 0, asked_ns: 0, ..Self::DNS_ONLY };
}
