//! Our own side as keys of a report: devices, whose they are, and their groups.

use super::places::{Label, index, label};
use crate::books::{Books, Given};
use crate::error::shown;
use crate::question::Key;
use imon_common::names::Name;
use std::collections::HashMap;

/// Of devices of nobody, and in no group.
pub const NOBODY: [&str; 2] = ["(no owner)", "(no group)"];

/// Devices, owners and groups as keys: each combination that a device has is a number.
#[derive(Debug)]
pub struct Clients {
    /// The number of each device.
    numbers: Vec<u32>,
    /// What each number is called by the keys.
    labels: Vec<Vec<Label>>,
}

impl Clients {
    /// Those of `keys`, all of which are of devices.
    pub fn new(books: &Books, keys: Vec<Key>) -> Self {
        let (mut numbers, mut labels) = (Vec::new(), Vec::new());
        if keys.is_empty() {
            return Self { numbers, labels };
        }
        let given = books.given.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let mut known: HashMap<Vec<String>, u32> = HashMap::new();
        for ((device, own), given) in (0..).zip(devices(books)).zip(given) {
            let of_keys: Vec<Label> = keys.iter().map(|key| label_of(*key, &own, given)).collect();
            // Devices stay apart, whatever they are called.
            let texts = match keys.contains(&Key::Device) {
                true => vec![device.to_string()],
                false => of_keys.iter().map(|label| label.text.clone()).collect(),
            };
            let next = u32::try_from(labels.len()).unwrap_or(u32::MAX);
            numbers.push(*known.entry(texts).or_insert_with(|| {
                labels.push(of_keys);
                next
            }));
        }
        Self { numbers, labels }
    }

    /// Number of a device; 0 where no key is of devices.
    pub fn id(&self, device: u32) -> u32 {
        self.numbers.get(index(device)).copied().unwrap_or_default()
    }

    /// Label by the `nth` of the keys.
    pub fn label(&self, id: u32, nth: usize) -> Option<&Label> {
        self.labels.get(index(id))?.get(nth)
    }
}

fn label_of(key: Key, device: &Label, given: Option<&Given>) -> Label {
    let text = |said: Option<String>, nobody: &str| label(&said.map_or(nobody.to_owned(), |text| shown(&text)));
    let [no_owner, no_group] = NOBODY;
    match key {
        Key::Owner => text(given.and_then(|given| given.owner.clone()), no_owner),
        Key::Group => text(given.and_then(groups), no_group),
        _ => device.clone(),
    }
}

/// All groups of a device, in one order.
fn groups(given: &Given) -> Option<String> {
    let mut groups = given.groups.clone();
    groups.sort();
    groups.dedup();
    (!groups.is_empty()).then(|| groups.join(", "))
}

/// One label for each device, in the order of the books: what the user calls it, else its address,
/// and what it calls itself. Safe to show.
pub fn devices(books: &Books) -> Vec<Label> {
    let names = books.device_names.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let name = |name: Option<&Name>| name.map(|name| shown(name.as_str()));
    let given = books.given.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let label_of = |((text, own), given): ((&String, Option<&Name>), Option<&Given>)| match given {
        Some(Given { name: given, .. }) => Label { name: Some(shown(given)), ..label(&shown(given)) },
        None => Label { name: name(own), ..label(text) },
    };
    books.devices.iter().zip(names).zip(given).map(label_of).collect()
}
