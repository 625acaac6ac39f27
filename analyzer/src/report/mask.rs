//! Names taken out of a report that is shown to others: each becomes a number, by its order in this
//! report. Amounts stay, and so does what belongs together.
//!
//! Two sides: ours (devices, their addresses and names, interfaces, recorders, sources, files) and
//! the other one (sites, hosts, families, pages). What follows from neither, times and kinds of
//! evidence, is shown.

use super::clients::NOBODY;
use super::places::{INFRASTRUCTURE, REVERSE};
use crate::books::Books;
use crate::question::{Filters, Key};
use crate::site::{NOT_KNOWN, OF_NAMES};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// Which names become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mask {
    /// Devices with their addresses and names, interfaces, sources, files
    Devices,
    /// Sites, hosts and families
    Hosts,
    /// Both
    All,
}

/// Which side something is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Ours: devices.
    Ours,
    /// The other one: servers.
    Theirs,
}

/// Gives numbers for names.
#[derive(Debug, Default)]
pub struct Masker {
    what: Option<Mask>,
    /// Addresses of devices: where one stands as a host, it is one of ours.
    devices: HashSet<IpAddr>,
    /// By what they are called.
    numbers: RefCell<BTreeMap<&'static str, BTreeMap<String, usize>>>,
}

impl Masker {
    /// One for names of these books.
    pub fn new(what: Option<Mask>, books: &Books) -> Self {
        let mut masker = Self { what, ..Self::default() };
        if what.is_some() {
            masker.know(books.device_ends.iter().map(|(_, address, _)| *address));
        }
        masker
    }

    /// These are addresses of devices.
    pub fn know(&mut self, devices: impl Iterator<Item = IpAddr>) {
        self.devices.extend(devices);
    }

    /// Which names become numbers.
    pub fn what(&self) -> Option<Mask> {
        self.what
    }

    /// Whether names of our side become numbers.
    pub fn hides_devices(&self) -> bool {
        matches!(self.what, Some(Mask::Devices | Mask::All))
    }

    /// Whether names of the other side do.
    pub fn hides_hosts(&self) -> bool {
        matches!(self.what, Some(Mask::Hosts | Mask::All))
    }

    /// The value of a key.
    pub fn key<'a>(&self, key: Key, text: &'a str) -> Cow<'a, str> {
        match key {
            Key::Evidence => text.into(),
            _ if key.is_time() => text.into(),
            // What we serve has an address of ours, or a name of ours.
            Key::Served if self.what.is_some() => self.number("service", text).into(),
            // A page is a site, and third parties are.
            Key::Site | Key::Page => self.host("site", text),
            Key::Host => self.host("host", text),
            Key::Family => self.host("family", text),
            Key::Network | Key::Country if text == OF_NAMES || text == NOT_KNOWN => text.into(),
            Key::Network | Key::Country => self.host(key.word(), text),
            Key::Owner | Key::Group if NOBODY.contains(&text) => text.into(),
            _ => self.own(key.word(), text),
        }
    }

    /// Something on the other side, unless it is an address of a device.
    pub fn host<'a>(&self, what: &'static str, text: &'a str) -> Cow<'a, str> {
        let is_own = || text.parse().is_ok_and(|address| self.devices.contains(&address));
        match self.what {
            Some(Mask::Devices) if is_own() => self.number("device", text).into(),
            Some(Mask::Hosts | Mask::All) => {
                let kind = [REVERSE, INFRASTRUCTURE].into_iter().find(|end| text.ends_with(end)).unwrap_or_default();
                format!("{}{kind}", self.number(what, text)).into()
            }
            _ => text.into(),
        }
    }

    /// Whether a text is an address of a device of ours, for which a number stands.
    pub fn is_own(&self, text: &str) -> bool {
        self.what.is_some() && text.parse().is_ok_and(|address| self.devices.contains(&address))
    }

    /// Something on our side.
    pub fn own<'a>(&self, what: &'static str, text: &'a str) -> Cow<'a, str> {
        if self.hides_devices() { self.number(what, text).into() } else { text.into() }
    }

    /// An address of either side.
    pub fn address<'a>(&self, side: Side, text: &'a str) -> Cow<'a, str> {
        match side {
            Side::Ours => self.own("address", text),
            Side::Theirs if self.hides_hosts() => self.number("address", text).into(),
            Side::Theirs => text.into(),
        }
    }

    /// Whose the address of a row is, by `key`; nothing where a number stands for an address of
    /// ours. `owner`: its network and country, as far as a file tells.
    pub fn owner<'a>(&self, key: Key, row: &[&str], owner: [Option<&'a str>; 2]) -> Option<Cow<'a, str>> {
        let [network, country] = owner;
        let text = if key == Key::Country { country } else { network };
        let is_own = row.iter().any(|text| self.is_own(text));
        text.filter(|_| !is_own).map(|text| self.key(key, text))
    }

    /// Both, for people; what is one of `keys` has a column of its own and is not said again.
    /// `None` where nothing is left to say.
    pub fn owner_text(&self, keys: &[Key], row: &[&str], owner: [Option<&str>; 2]) -> Option<String> {
        let parts = [Key::Network, Key::Country].into_iter().filter(|key| !keys.contains(key));
        let texts: Vec<_> = parts.filter_map(|key| self.owner(key, row, owner)).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// Filters by their words.
    pub fn filters(&self, filters: &Filters) -> Vec<(&'static str, Vec<String>)> {
        let key = |word: &str| Key::ALL.into_iter().find(|key| key.word() == word);
        let value = |word, text: String| match key(word) {
            Some(key) => self.key(key, &text).into_owned(),
            None => self.own(word, &text).into_owned(),
        };
        let filters = filters.as_typed().into_iter();
        filters.map(|(word, values)| (word, values.into_iter().map(|text| value(word, text)).collect())).collect()
    }

    fn number(&self, what: &'static str, text: &str) -> String {
        let mut numbers = self.numbers.borrow_mut();
        let of_kind = numbers.entry(what).or_default();
        let next = of_kind.len().saturating_add(1);
        let number = *of_kind.entry(text.to_owned()).or_insert(next);
        format!("{what} {number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(what: Mask) -> Masker {
        let books = Books { device_ends: vec![(0, "192.168.1.7".parse().unwrap(), None)], ..Books::default() };
        Masker::new(Some(what), &books)
    }

    #[test]
    fn names_become_numbers_by_their_order_and_keep_them() {
        let all = masker(Mask::All);
        let sites = ["b.example", "a.example", "b.example", "Akamai (infrastructure)"]
            .map(|text| all.key(Key::Site, text).into_owned());
        assert_eq!(sites, ["site 1", "site 2", "site 1", "site 3 (infrastructure)"]);
        assert_eq!(all.key(Key::Page, "a.example"), "site 2", "a page is a site");
        assert_eq!(all.key(Key::Device, "02:00:00:00:00:01"), "device 1");
        assert_eq!(all.key(Key::Day, "2026-11-05"), "2026-11-05");
        assert_eq!(all.key(Key::Evidence, "sni"), "sni");
    }

    #[test]
    fn each_side_is_hidden_alone() {
        let devices = masker(Mask::Devices);
        assert_eq!(devices.key(Key::Site, "a.example"), "a.example");
        assert_eq!(devices.key(Key::Host, "192.168.1.7"), "device 1", "an address of ours");
        assert_eq!(devices.key(Key::Served, "192.168.1.7:443/tcp"), "service 1");
        let hosts = masker(Mask::Hosts);
        assert_eq!(hosts.key(Key::Device, "192.168.1.7"), "192.168.1.7");
        assert_eq!(hosts.key(Key::Family, "Google"), "family 1");
    }
}
