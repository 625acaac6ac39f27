//! The books of one time range: what the store (or a capture in memory) hands to a report. Plain
//! values; no SQL, no frame, no text for people.
//!
//! Whoever makes a [`Books`] leaves out what lies outside the range that was asked for. Ranges
//! begin and end at local midnights, which are multiples of 15 minutes in every zone offset in use,
//! so no bucket is ever cut in two.

pub mod carriers;
mod ends;
mod kinds;
mod ledger;
pub mod month;
mod pages;
mod row;
pub mod side;

pub use ends::{Endpoint, Host, Interface, Service, Source, label, protocol, vlan_called};
pub use kinds::{Blind, BlindBytes, Evidence, Traffic};
pub use ledger::{Exported, Ledger, Overlap, Removed};
pub use pages::{PageRow, Sureness};
pub use row::{Gap, Row};
pub use side::Side;

use crate::imported::Piece;
use crate::range::Range;
use crate::recorders::Recorders;
use crate::timeline::Timeline;
use imon_common::names::Name;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::collections::HashMap;
use std::net::IpAddr;

/// Length of a bucket: every time-zone offset in use is a multiple of it.
pub const BUCKET_S: i64 = 900;

/// The bucket that holds `ts`, by its start in Unix seconds.
pub fn bucket_of(ts: UnixNanos) -> i64 {
    ts.0.div_euclid(NANOS_PER_SECOND * BUCKET_S) * BUCKET_S
}

/// First and last instant observed, if that is known.
pub type Observed = Option<(UnixNanos, UnixNanos)>;

/// What the user says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Groups that it is in.
    pub groups: Vec<String>,
}

/// Rows, what their indices mean, and the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    /// What [`Row::host`] points to.
    pub hosts: Vec<Host>,
    /// What [`Row::device`] points to: a label for the client, safe to show.
    pub devices: Vec<String>,
    /// Every address, and hardware address where the link shows one, that a device was seen with:
    /// index into `devices`.
    pub device_ends: Vec<(u32, IpAddr, Option<Mac>)>,
    /// What devices call themselves, by the same index; empty or `None` where it is not known.
    pub device_names: Vec<Option<Name>>,
    /// What the user says of devices, by the same index; empty or `None` where nothing is said.
    /// Rows of devices of one name point to one of them.
    pub given: Vec<Option<Given>>,
    /// Names by reverse lookup of hosts that are addresses, by index into `hosts`: empty unless the
    /// user asked for them. What is booked there has [`Evidence::Ptr`].
    pub reverse: HashMap<u32, Name>,
    /// What [`Row::candidates`] points to: indices into `hosts` of all hosts that could explain the
    /// bytes, the booked one included.
    pub candidate_sets: Vec<Vec<u32>>,
    /// What [`Row::interface`] points to.
    pub interfaces: Vec<Interface>,
    /// What [`Row::source`] points to; some may have no row.
    pub sources: Vec<Source>,
    /// What recorders are called.
    pub recorders: Recorders,
    /// Usage, in any order. Two rows may have equal keys.
    pub rows: Vec<Row>,
    /// The same bytes as those of `rows`, summed up in other ways: what a page is made of, where
    /// all that it tells apart would be too many rows.
    pub sides: Vec<Side>,
    /// What was not read since the question does not ask for it, summed up: evidence, traffic,
    /// blind spot and amounts of it are right, and nothing else. For what is said of all bytes.
    pub unread: Vec<Row>,
    /// Parts of the rows that pages pulled in, in any order; empty where pages were not followed.
    pub pages: Vec<PageRow>,
    /// Where every byte went.
    pub ledger: Ledger,
    /// What the user has removed; its sums are in the ledger as well.
    pub removed: Vec<Removed>,
    /// What another program counted in the range, or over its ends, before imon did.
    pub imported: Vec<Piece>,
    /// Times in which something was recorded, and segments that are torn; its gaps are in the
    /// ledger.
    pub timeline: Timeline,
    /// First and last instant observed, if the source says; a report of everything shows it as its
    /// range.
    pub observed: Observed,
}

impl Books {
    /// All rows, those of pages included, and of those that are summed up in other ways what they
    /// tell apart.
    pub fn all_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .chain(self.pages.iter().map(|part| &part.row))
            .chain(self.sides.iter().flat_map(|side| &side.keys))
    }

    /// The same, to change what they point to.
    pub fn all_rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        let sides = self.sides.iter_mut().flat_map(|side| &mut side.keys);
        self.rows.iter_mut().chain(self.pages.iter_mut().map(|part| &mut part.row)).chain(sides)
    }

    /// Takes in when was recorded and when not. Of that, and of the gaps that segments state
    /// themselves, the part in the range stays.
    pub fn add_timeline(&mut self, timeline: Timeline, range: &Range) {
        self.timeline = timeline.within(range);
        let gaps = &mut self.ledger.gaps;
        for gap in gaps.iter_mut() {
            (gap.from, gap.to) = range.clip(gap.from, gap.to);
        }
        gaps.append(&mut self.timeline.gaps);
        gaps.sort_by(|a, b| (a.from, a.to, &a.reason, &a.interface).cmp(&(b.from, b.to, &b.reason, &b.interface)));
    }
}
