//! Captures that hold the same packets in different files: compressed or not, as pcap or pcapng, under two names.

use super::order::{Found, Glance};
use super::run::{ReadOptions, open_capture};
use imon_common::capture_file::{Content, ContentId};
use std::collections::HashMap;
use std::path::PathBuf;

/// A capture that holds just the packets of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The capture that is left out.
    pub path: PathBuf,
    /// The one that stays.
    pub of: PathBuf,
}

/// Leaves out captures that hold the packets of one before them; tells which. Only captures that begin with packets of the same
/// microsecond are read for it: mostly none.
pub fn leave_out_copies(found: Vec<Found>) -> (Vec<Found>, Vec<Copied>) {
    let begins = |found: &Found| match found.glance {
        Glance::Capture(start, link_type) => Some((start.0.div_euclid(1_000), link_type)),
        _ => None,
    };
    let mut alike: HashMap<_, usize> = HashMap::new();
    found.iter().filter_map(begins).for_each(|begin| *alike.entry(begin).or_default() += 1);
    let mut held: HashMap<ContentId, PathBuf> = HashMap::new();
    let (mut kept, mut copies) = (Vec::with_capacity(found.len()), Vec::new());
    for source in found {
        let is_suspect = begins(&source).is_some_and(|begin| alike.get(&begin).is_some_and(|n| *n > 1));
        let content = if is_suspect { content_of(&source) } else { None };
        match content.map(|content| (content, held.get(&content))) {
            Some((_, Some(of))) => copies.push(Copied { path: source.path, of: of.clone() }),
            Some((content, None)) => {
                held.insert(content, source.path.clone());
                kept.push(source);
            }
            None => kept.push(source),
        }
    }
    (kept, copies)
}

/// The identity of a capture's packets, up to where it can be read; `None` where there are none.
fn content_of(found: &Found) -> Option<ContentId> {
    let mut reader = open_capture(&found.path, &ReadOptions::default(), false).ok()?;
    let mut content = Content::default();
    while let Ok(Some(packet)) = reader.next_packet() {
        content.add(&packet);
    }
    content.finish().last().map(|(_, id)| *id)
}
