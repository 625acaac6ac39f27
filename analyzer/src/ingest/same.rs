//! Captures that hold the same packets in different files: compressed or not, as pcap or pcapng,
//! under two names, or while one was still growing.

use super::order::{Found, Glance};
use super::run::{ReadOptions, open_capture};
use crate::store::KnownSource;
use imon_common::capture_file::{Content, ContentId};
use imon_common::segment::{SegmentHeader, SegmentTail};
use std::collections::HashMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A capture that holds just the packets of another one, or its first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The capture that is left out.
    pub path: PathBuf,
    /// The one that stays.
    pub of: PathBuf,
    /// It is a beginning of the one that stays, and not all of it.
    pub is_beginning: bool,
}

/// Leaves out captures, and segments that captures were turned into, that hold the packets of
/// another one, or its first ones; tells which. Only those that begin with packets of the same
/// microsecond are read for it: mostly none.
pub fn leave_out_copies(found: Vec<Found>) -> (Vec<Found>, Vec<Copied>) {
    // Whatever their link type: an identity holds none, and some systems have two numbers for one.
    let begins = |found: &Found| match &found.glance {
        Glance::Segment(header) if !is_of_capture(header) => None,
        _ => found.start().map(|start| start.0.div_euclid(1_000)),
    };
    let mut alike: HashMap<_, Vec<usize>> = HashMap::new();
    for (place, begin) in found.iter().enumerate().filter_map(|(place, found)| Some((place, begins(found)?))) {
        alike.entry(begin).or_default().push(place);
    }
    let mut copy_of: HashMap<usize, (usize, bool)> = HashMap::new();
    for places in alike.into_values().filter(|places| places.len() > 1) {
        // The longest first; of equals the one that was named first.
        let whole = |place: usize| Some((*of_found(found.get(place)?, [])?.last()?, place));
        let mut rest: Vec<((u64, ContentId), usize)> = places.into_iter().filter_map(whole).collect();
        rest.sort_by_key(|((packets, _), place)| (std::cmp::Reverse(*packets), *place));
        while let Some((longest, rests)) = rest.split_first() {
            let (whole, place) = *longest;
            let ends = rests.iter().map(|((packets, _), _)| *packets).filter(|packets| *packets < whole.0);
            let mut held = vec![whole];
            // Read once more, for the identities of as many packets as the others have.
            held.extend(found.get(place).and_then(|found| of_found(found, ends)).into_iter().flatten());
            let (copies, others): (Vec<_>, Vec<_>) = rests.iter().copied().partition(|(id, _)| held.contains(id));
            copy_of.extend(copies.into_iter().map(|(id, copy)| (copy, (place, id != whole))));
            rest = others;
        }
    }
    let paths: HashMap<usize, PathBuf> =
        copy_of.values().filter_map(|(of, _)| Some((*of, found.get(*of)?.path.clone()))).collect();
    let (mut kept, mut copies) = (Vec::with_capacity(found.len()), Vec::new());
    for (place, source) in found.into_iter().enumerate() {
        match copy_of.get(&place).and_then(|(of, is_beginning)| Some((paths.get(of)?, *is_beginning))) {
            Some((of, is_beginning)) => copies.push(Copied { path: source.path, of: of.clone(), is_beginning }),
            None => kept.push(source),
        }
    }
    (kept, copies)
}

/// Whether the first `packets` of a known capture are those of `content`: as far as its file is
/// still where it was.
pub(super) fn begins_with(known: &KnownSource, packets: u64, content: &ContentId) -> bool {
    let found = identities(Path::new(&known.read_from), [packets]);
    found.is_some_and(|found| found.contains(&(packets, *content)))
}

/// Whether a segment was made of a capture: a recorder knows which boot it ran in.
pub(super) fn is_of_capture(header: &SegmentHeader) -> bool {
    header.format >= 3 && header.boot == [0; 16]
}

/// The end of a segment.
pub(super) fn tail_of(path: &Path) -> Option<SegmentTail> {
    SegmentTail::read(&mut BufReader::new(crate::files::open(path).ok()?)).ok()
}

fn of_found(found: &Found, ends: impl IntoIterator<Item = u64>) -> Option<Vec<(u64, ContentId)>> {
    match found.glance {
        // Of a segment that a capture was turned into its end block has them.
        Glance::Segment(_) => tail_of(&found.path)?.close.map(|close| close.identities).filter(|ids| !ids.is_empty()),
        _ => identities(&found.path, ends),
    }
}

/// The identities of a capture's first so many packets, up to where it can be read; `None` where
/// there are none.
fn identities(path: &Path, ends: impl IntoIterator<Item = u64>) -> Option<Vec<(u64, ContentId)>> {
    let mut reader = open_capture(path, &ReadOptions::default(), false).ok()?;
    let mut content = Content::with_ends(ends);
    while let Ok(Some(packet)) = reader.next_packet() {
        content.add(&packet);
    }
    Some(content.finish()).filter(|found| !found.is_empty())
}
