//! The chain of a recorder's segments: each names the one before it, and its SHA-256 where that was
//! sealed. What that proves, and what it does not, is said with it.

use crate::table::units::{counted, hex, uuid};
use imon_common::segment::SegmentHeader;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// How a segment hangs on the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It names none: the first of its recorder.
    First,
    /// The hash that it names is that of the segment before.
    Hash,
    /// It names the segment before without a hash: that was not sealed, or was recorded by an imon
    /// that did not know of hashes.
    Name,
    /// The hash that it names is not that of the segment before.
    Changed,
    /// Another segment stands in the place of the one that it names.
    Exchanged,
    /// The one that it names is not among the files.
    NotGiven,
}

impl Link {
    /// The word for it in JSON and CSV.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Hash => "hash",
            Self::Name => "name",
            Self::Changed => "changed",
            Self::Exchanged => "exchanged",
            Self::NotGiven => "not-given",
        }
    }

    /// Somebody changed something.
    const fn is_broken(self) -> bool {
        matches!(self, Self::Changed | Self::Exchanged)
    }
}

/// A segment, as far as its chain goes.
#[derive(Debug, Clone)]
pub(super) struct Ring<'a> {
    /// Its header.
    pub header: &'a SegmentHeader,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
    /// Whether its end block is there.
    pub sealed: bool,
    /// Segments of which it says that they were begun and never written: low 32 bits of their
    /// sequence.
    pub never_written: &'a [u32],
}

impl Ring<'_> {
    /// Captures that the analyzer keeps stand in no chain: each may be removed, and counts within
    /// its run.
    fn is_in_a_chain(&self) -> bool {
        self.header.format >= 3
            && (self.header.is_live() || self.header.before_hash != [0; 32] || self.header.monotonic_start_ns != 0)
    }
}

/// The chains of all recorders among some segments.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// What to tell people.
    pub text: String,
    /// How each segment hangs on the one before it, in the order of the segments; `None` where it
    /// is in no chain.
    pub links: Vec<Option<Link>>,
    /// Broken links, holes, and anchors that are nowhere.
    pub faults: u64,
}

impl Chains {
    /// Judges the chains of these segments, and looks for `anchors`: hashes that a recorder said.
    pub(super) fn of(rings: &[Ring<'_>], anchors: &[[u8; 32]]) -> Self {
        let mut recorders: BTreeMap<[u8; 16], Vec<usize>> = BTreeMap::new();
        for (at, ring) in rings.iter().enumerate().filter(|(_, ring)| ring.is_in_a_chain()) {
            recorders.entry(ring.header.recorder).or_default().push(at);
        }
        let mut chains = Self { links: vec![None; rings.len()], ..Self::default() };
        for (recorder, mut places) in recorders {
            places.sort_by_key(|at| rings.get(*at).map(|ring| (ring.header.sequence, ring.header.segment)));
            chains.add(&recorder, rings, &places);
        }
        for anchor in anchors {
            let holder = rings.iter().find(|ring| ring.sha256 == *anchor);
            let text = match holder {
                Some(ring) => format!(
                    "number {}: up to it all is as it was when this was said, as far as the links hold",
                    ring.header.sequence
                ),
                None => {
                    chains.faults += 1;
                    "of none of these files: the segment that had it is gone, or was changed".to_owned()
                }
            };
            _ = writeln!(chains.text, "anchor {}\n  {text}", hex(anchor));
        }
        chains
    }

    fn add(&mut self, recorder: &[u8; 16], rings: &[Ring<'_>], places: &[usize]) {
        let row: Vec<&Ring<'_>> = places.iter().filter_map(|at| rings.get(*at)).collect();
        let by_name: HashMap<[u8; 16], &Ring<'_>> = row.iter().map(|ring| (ring.header.segment, *ring)).collect();
        let (mut by_hash, mut by_word, mut lines) = (0_u64, 0_u64, Vec::new());
        let mut behind: Option<&Ring<'_>> = None;
        for (ring, at) in row.iter().zip(places) {
            let link = link(ring, behind, &by_name);
            let number = ring.header.sequence;
            by_hash += u64::from(link == Link::Hash);
            by_word += u64::from(link == Link::Name);
            self.faults += u64::from(link.is_broken());
            match (link, behind.map(|behind| behind.header.sequence)) {
                (Link::Changed, Some(before)) => lines.push((
                    "broken",
                    format!("number {before} is not what number {number} names: one of the two was changed"),
                )),
                (Link::Exchanged, Some(before)) => lines.push((
                    "broken",
                    format!("number {before} is another segment than the one that number {number} names"),
                )),
                (Link::Name, Some(before)) => lines.push((
                    "by name",
                    format!("number {number} has no hash of number {before}, which was {}", sealed(behind)),
                )),
                _ => {}
            }
            if let Some(hole) = hole(ring, behind, &row) {
                self.faults += 1;
                lines.push(("missing", hole));
            }
            if let Some(place) = self.links.get_mut(*at) {
                *place = Some(link);
            }
            behind = Some(ring);
        }
        let (Some(first), Some(last)) = (row.first(), row.last()) else { return };
        let (from, to) = (first.header.sequence, last.header.sequence);
        // Writing to a String cannot fail.
        _ = writeln!(
            self.text,
            "chain of recorder {}: {}, numbers {from} to {to}",
            uuid(*recorder),
            counted(row.len() as u64, "segment")
        );
        let mut line = |key: &str, value: &str| _ = writeln!(self.text, "  {key:<12} {value}");
        line("links", &format!("{by_hash} by hash, {by_word} by name only"));
        lines.iter().for_each(|(key, value)| line(key, value));
        line("head", &format!("number {to}, SHA-256 {}", hex(&last.sha256)));
        if first.header.before != [0; 16] {
            let before = known(first.header.before_hash);
            line("begins", &format!("with number {from}; the one before it had the SHA-256 {before}"));
        }
        line(
            "proves",
            "that these files fit together, and no more: who can write them can write all of them anew, and",
        );
        line(
            "",
            "whoever takes the last ones away breaks no link. A hash that the recorder said elsewhere (its log, each time",
        );
        line("", "that it seals a segment) proves all segments up to the one that has it: --anchor SHA256");
    }
}

fn link(ring: &Ring<'_>, behind: Option<&Ring<'_>>, by_name: &HashMap<[u8; 16], &Ring<'_>>) -> Link {
    let header = ring.header;
    if header.before == [0; 16] {
        return Link::First;
    }
    match by_name.get(&header.before) {
        Some(before) if header.before_hash == [0; 32] && before.header.sequence < header.sequence => Link::Name,
        Some(before) if before.sha256 == header.before_hash => Link::Hash,
        Some(_) => Link::Changed,
        None if behind.is_some_and(|behind| behind.header.sequence.checked_add(1) == Some(header.sequence)) => {
            Link::Exchanged
        }
        None => Link::NotGiven,
    }
}

/// Numbers that are missing before a segment; nothing if all were never written.
fn hole(ring: &Ring<'_>, behind: Option<&Ring<'_>>, row: &[&Ring<'_>]) -> Option<String> {
    let first = behind?.header.sequence.checked_add(1)?;
    let last = ring.header.sequence.checked_sub(1).filter(|last| *last >= first)?;
    let empty = row.iter().flat_map(|ring| ring.never_written).filter(|low| {
        let number = (first & !0xffff_ffff) | u64::from(**low);
        (first..=last).contains(&number)
    });
    let missing = (last - first + 1).saturating_sub(empty.count() as u64);
    match missing {
        0 => None,
        1 if first == last => Some(format!("number {first} is not among these files")),
        _ => Some(format!("of numbers {first} to {last} {missing} are not among these files")),
    }
}

fn sealed(ring: Option<&Ring<'_>>) -> &'static str {
    match ring.is_some_and(|ring| ring.sealed) {
        true => "sealed, by an imon that named none",
        false => "not sealed",
    }
}

fn known(hash: [u8; 32]) -> String {
    if hash == [0; 32] { "(not known)".to_owned() } else { hex(&hash) }
}
