//! Where bytes were seen, who recorded them, and what they were read from, as keys of a report.

use super::places::{Label, index, label};
use crate::books::{Books, Row, Source};
use crate::question::{Filters, Key};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Interfaces, VLANs, recorders and sources as keys: each combination that occurs has a number.
#[derive(Debug)]
pub struct Origins {
    keys: Vec<Key>,
    /// What each interface is called by the keys, and which of them are asked for.
    interfaces: Vec<(Vec<String>, bool)>,
    /// Likewise each source.
    sources: Vec<(Vec<String>, bool)>,
    labels: Vec<Vec<Label>>,
    of_texts: HashMap<Vec<String>, u32, RandomState>,
    of_rows: HashMap<(u32, u32), u32, RandomState>,
    last: Option<((u32, u32), u32)>,
}

impl Origins {
    /// The origins of `keys`, all of which are of origins.
    pub fn new(books: &Books, keys: Vec<Key>, filters: &Filters) -> Self {
        let interface = |of: &crate::books::Interface| {
            let text = |key: &Key| match key {
                Key::Interface => of.label().to_owned(),
                Key::Vlan => of.vlan_label(),
                _ => String::new(),
            };
            (keys.iter().map(text).collect(), filters.takes_interface(of))
        };
        let interfaces = books.interfaces.iter().map(interface).collect();
        let called = called(&books.sources);
        let source = |(of, called): (&Source, String)| {
            let text = |key: &Key| match key {
                Key::Source => called.clone(),
                Key::Recorder => books.recorders.called(of.recorder),
                _ => String::new(),
            };
            (keys.iter().map(text).collect(), filters.takes_source(of))
        };
        let sources = books.sources.iter().zip(called).map(source).collect();
        let (labels, of_texts, of_rows) = (Vec::new(), HashMap::default(), HashMap::default());
        Self { keys, interfaces, sources, labels, of_texts, of_rows, last: None }
    }

    /// Whether the row's origin is asked for.
    pub fn takes(&self, row: &Row) -> bool {
        let is_asked =
            |list: &[(Vec<String>, bool)], of: u32| list.get(index(of)).is_none_or(|(_, is_asked)| *is_asked);
        is_asked(&self.interfaces, row.interface) && is_asked(&self.sources, row.source)
    }

    /// Number of the row's origin; 0 where no key is of origins.
    pub fn id(&mut self, row: &Row) -> u32 {
        if self.keys.is_empty() {
            return 0;
        }
        let key = (row.interface, row.source);
        if let Some((_, id)) = self.last.filter(|(last, _)| *last == key) {
            return id;
        }
        let id = self.of_rows.get(&key).copied().unwrap_or_else(|| self.learn(key));
        self.last = Some((key, id));
        id
    }

    fn learn(&mut self, key: (u32, u32)) -> u32 {
        let texts = |list: &[(Vec<String>, bool)], of: u32| list.get(index(of)).map(|(texts, _)| texts.clone());
        let none = || vec![String::new(); self.keys.len()];
        let (interface, source) = (texts(&self.interfaces, key.0), texts(&self.sources, key.1));
        // Of each key one of them has the text, and the other has none.
        let both = interface.unwrap_or_else(none).into_iter().zip(source.unwrap_or_else(none));
        let texts: Vec<String> = both.map(|(interface, source)| interface + &source).collect();
        let next = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        let id = *self.of_texts.entry(texts).or_insert_with_key(|texts| {
            self.labels.push(texts.iter().map(|text| label(text)).collect());
            next
        });
        self.of_rows.insert(key, id);
        id
    }

    /// Label of an origin by the `nth` of the keys.
    pub fn label(&self, id: u32, nth: usize) -> Option<&Label> {
        self.labels.get(index(id))?.get(nth)
    }
}

/// What each source is called: by its name, and by its path where another file has the same name.
pub fn called(sources: &[Source]) -> Vec<String> {
    let mut paths: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for Source { label, path, .. } in sources {
        let of_label = paths.entry(label).or_insert(Some(path));
        if *of_label != Some(path) {
            *of_label = None;
        }
    }
    let is_alone = |label: &str| paths.get(label).is_some_and(Option::is_some);
    sources.iter().map(|of| if is_alone(&of.label) { of.label.clone() } else { of.path.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_told_apart_by_their_folders() {
        let source = |label: &str, path: &str| Source { label: label.into(), path: path.into(), ..Source::default() };
        let sources = [source("a.pcap", "/x/a.pcap"), source("b.pcap", "/x/b.pcap"), source("a.pcap", "/y/a.pcap")];
        assert_eq!(called(&sources), ["/x/a.pcap", "b.pcap", "/y/a.pcap"]);
    }
}
