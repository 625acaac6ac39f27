//! Where traffic was seen: what sources call the interfaces that their flows have numbers of.

use super::Interner;
use crate::attribution::Places;
use crate::books::{Interface, Source, label};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::packet::Spot;
use imon_common::segment::SegmentHeader;
use std::path::Path;

/// Interfaces that sums are kept for one by one, VLANs told apart. More than a machine full of
/// containers has; what made-up tags and numbers go beyond it counts together.
const MAX_INTERFACES: usize = 4_096;

/// Names of interfaces that are remembered, over all sources. A segment has some dozens.
const MAX_NAMES: usize = 65_536;

/// What stands for interfaces that are not told apart any more.
const OTHERS: &str = "(other-interfaces)";

/// Protocol number of what a recorder kept as sums for want of room.
const SUMMED: u8 = 255;

/// The sources of sums.
#[derive(Debug, Default)]
pub struct Seen {
    sources: Vec<Known>,
    names: HashMap<(usize, u32), String, RandomState>,
    /// Indices that were asked for.
    indices: HashMap<(usize, Spot), u32, RandomState>,
    /// The last one: most flows in a row are of one interface.
    last: Option<((usize, Spot), u32)>,
    /// Files of sources that have not begun.
    files: HashMap<usize, String, RandomState>,
}

/// A source.
#[derive(Debug, Clone, Default)]
struct Known {
    source: Source,
    /// What it calls all of its interfaces together, where it was recorded.
    recorded_on: Option<String>,
}

impl Places for Seen {
    fn source(&mut self, source: usize, header: &SegmentHeader) {
        self.begin(source, header);
    }

    fn file(&mut self, source: usize, path: &Path) {
        Self::file(self, source, path);
    }

    fn interface(&mut self, source: usize, number: u32, interface: &imon_common::packet::Interface) {
        Self::interface(self, source, number, &interface.name);
    }
}

impl Seen {
    /// A source begins.
    pub fn begin(&mut self, source: usize, header: &SegmentHeader) {
        if self.sources.len() <= source {
            self.sources.resize_with(source + 1, Known::default);
        }
        let is_live = header.is_live() || (header.format < 3 && header.has_own_clock());
        if let Some(known) = self.sources.get_mut(source) {
            let path = self.files.remove(&source).unwrap_or_default();
            let recorder = header.is_live().then_some(header.recorder);
            known.source = Source { identity: header.segment.to_vec(), label: label(header), path, recorder };
            known.recorded_on = is_live.then(|| header.interface.clone());
        }
    }

    /// The source that begins next comes from this file.
    pub fn file(&mut self, source: usize, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.files.insert(source, path.to_string_lossy().into_owned());
    }

    /// All sources, by number.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().map(|known| &known.source)
    }

    /// One source.
    pub fn source(&self, source: usize) -> Source {
        self.sources.get(source).map(|known| known.source.clone()).unwrap_or_default()
    }

    /// An interface of a source has a name, or another one than before.
    pub fn interface(&mut self, source: usize, number: u32, name: &str) {
        let known = self.names.get(&(source, number));
        if known.is_some_and(|known| known == name) || (known.is_none() && self.names.len() >= MAX_NAMES) {
            return;
        }
        self.names.insert((source, number), name.to_owned());
        self.last = None;
        self.indices.retain(|(of, spot), _| (*of, spot.interface) != (source, number));
    }

    /// The index of where `flow` is seen in `source`.
    #[inline]
    pub fn index_of(&mut self, source: usize, flow: &Flow, interfaces: &mut Interner<Interface>) -> u32 {
        let key = (source, Spot { interface: flow.interface, vlan: flow.vlan });
        match self.last {
            Some((last, index)) if last == key && flow.proto != SUMMED => index,
            _ => self.look_up(key, flow, interfaces),
        }
    }

    #[cold]
    fn look_up(&mut self, key: (usize, Spot), flow: &Flow, interfaces: &mut Interner<Interface>) -> u32 {
        if is_summed(flow) {
            return interfaces.index_of(&Interface { name: self.recorded_on(key.0).to_owned(), vlan: None });
        }
        let index = match self.indices.get(&key) {
            Some(index) => *index,
            None => {
                let interface = Interface { name: self.name_of(key.0, key.1.interface), vlan: key.1.vlan };
                let is_known = interfaces.contains(&interface) || interfaces.values().len() < MAX_INTERFACES;
                let interface = if is_known { interface } else { Interface { name: OTHERS.to_owned(), vlan: None } };
                let index = interfaces.index_of(&interface);
                // What is not told apart is looked up each time: there is no end of it.
                if is_known {
                    self.indices.insert(key, index);
                }
                index
            }
        };
        self.last = Some((key, index));
        index
    }

    fn recorded_on(&self, source: usize) -> &str {
        self.sources.get(source).and_then(|known| known.recorded_on.as_deref()).unwrap_or_default()
    }

    fn name_of(&self, source: usize, number: u32) -> String {
        match self.names.get(&(source, number)).filter(|name| !name.is_empty()) {
            Some(name) => name.clone(),
            None if number == 0 => self.recorded_on(source).to_owned(),
            None => format!("#{number}"),
        }
    }
}

/// Whether it stands for all flows of an interval.
fn is_summed(flow: &Flow) -> bool {
    flow.proto == SUMMED && flow.client.is_unspecified() && flow.server.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::time::UnixNanos;

    fn flow(interface: u32, vlan: Option<u16>) -> Flow {
        let (client, server) = (([192, 168, 1, 5], 50_000).into(), ([203, 0, 113, 9], 443).into());
        Flow { number: 1, interface, vlan, ..Flow::outgoing(client, server, 6, UnixNanos(0)) }
    }

    #[test]
    fn numbers_of_each_source_have_its_own_names() {
        let (mut seen, mut interfaces) = (Seen::default(), Interner::default());
        seen.interface(0, 0, "eth0");
        seen.interface(1, 0, "wlan0");
        let mut of = |seen: &mut Seen, source, number, vlan| {
            let index = seen.index_of(source, &flow(number, vlan), &mut interfaces);
            let Interface { name, vlan } = interfaces.get(index).unwrap().clone();
            (name, vlan)
        };
        assert_eq!(of(&mut seen, 0, 0, None), ("eth0".into(), None));
        assert_eq!(of(&mut seen, 1, 0, None), ("wlan0".into(), None));
        assert_eq!(of(&mut seen, 0, 0, Some(7)), ("eth0".into(), Some(7)));
        assert_eq!(of(&mut seen, 0, 3, None), ("#3".into(), None));
        assert_eq!(of(&mut seen, 2, 0, None), (String::new(), None));
        seen.interface(0, 0, "lan0");
        assert_eq!(of(&mut seen, 0, 0, None), ("lan0".into(), None), "it was renamed");
    }

    #[test]
    fn made_up_interfaces_cost_no_more_than_the_bound() {
        let (mut seen, mut interfaces) = (Seen::default(), Interner::default());
        for number in 0..10_000 {
            seen.index_of(0, &flow(number, None), &mut interfaces);
        }
        assert_eq!(interfaces.values().len(), MAX_INTERFACES + 1);
        let last = seen.index_of(0, &flow(9_999, None), &mut interfaces);
        assert_eq!(interfaces.get(last).unwrap().name, OTHERS);
        assert_eq!(seen.indices.len(), MAX_INTERFACES);
    }
}
