//! `[devices]`: what people call their devices, whose they are, and by which addresses they are
//! known.

use super::read::{Section, mac, name, net};
use crate::books::{Books, Given};
use crate::error::Error;
use crate::question::DeviceName;
use imon_common::wire::Mac;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use toml::de::DeTable;

/// Most devices: far more than a network that somebody keeps a list of by hand.
/// Addresses of all are compared with each other.
const MAX_DEVICES: usize = 2_000;

/// A device that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Groups that it is in.
    pub groups: Vec<String>,
    /// Its hardware addresses: phones change theirs.
    pub macs: Vec<Mac>,
    /// Its addresses, or networks that only it is in.
    pub nets: Vec<IpNet>,
}

/// Devices that have names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    by_name: BTreeMap<String, Device>,
    /// Names by hardware address.
    by_mac: HashMap<Mac, String>,
}

impl Device {
    /// Whether a client with this address and hardware address is it.
    pub fn is(&self, address: IpAddr, mac: Option<Mac>) -> bool {
        mac.is_some_and(|mac| self.macs.contains(&mac)) || self.nets.iter().any(|net| net.contains(&address))
    }

    /// Whether it goes by this name, in any case: its own, its owner's, or that of a group.
    fn goes_by(&self, called: &str) -> bool {
        let names = std::iter::once(&self.name).chain(&self.owner).chain(&self.groups);
        names.into_iter().any(|name| name.to_lowercase() == called)
    }
}

impl Devices {
    /// Takes in a section; gives what it names, with what it says of each.
    pub(super) fn take<'a>(&mut self, section: Section<'a>) -> Result<Vec<(String, &'a DeTable<'a>)>, Error> {
        let mut taken = Vec::new();
        for (key, value) in section.all() {
            let text = section.text;
            let own =
                name(key.value).map_err(|e| text.error(&key.span, format!("[devices], \"{}\": {e}", key.value)))?;
            let table = value.get_ref().as_table().ok_or_else(|| {
                text.error(&value.span(), format!("`{own}` in [devices] is no section"))
                    .hint(format!("as in: [devices.\"{own}\"], and below it: mac = \"02:00:00:00:00:01\""))
            })?;
            let heading = format!("devices.\"{own}\"");
            let device = Device::of(Section::new(text, &heading, table), &own)?;
            if let Some(other) = self.twin(&device) {
                return Err(text.error(&key.span, format!("`{own}` and `{other}` have an address in common")));
            }
            if let Some(before) = self.by_name.remove(&own) {
                before.macs.iter().for_each(|mac| drop(self.by_mac.remove(mac)));
            }
            self.by_mac.extend(device.macs.iter().map(|mac| (*mac, own.clone())));
            self.by_name.insert(own.clone(), device);
            if self.by_name.len() > MAX_DEVICES {
                return Err(text.error(&key.span, format!("more than {MAX_DEVICES} devices")));
            }
            taken.push((own, table));
        }
        Ok(taken)
    }

    /// Another device with one of the addresses of this one.
    fn twin(&self, device: &Device) -> Option<&str> {
        let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
        let by_mac = device.macs.iter().filter_map(|mac| self.by_mac.get(mac)).find(|name| **name != device.name);
        let shares = |other: &&Device| other.nets.iter().any(|a| device.nets.iter().any(|b| overlap(a, b)));
        let by_net = || self.iter().filter(|other| other.name != device.name).find(shares);
        by_mac.map(String::as_str).or_else(|| by_net().map(|other| other.name.as_str()))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Device> {
        self.by_name.values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The device that a client with this address and hardware address is. A hardware address says
    /// more than an address, which another device may have had before.
    pub fn of(&self, address: IpAddr, mac: Option<Mac>) -> Option<&Device> {
        let by_mac = mac.and_then(|mac| self.by_name.get(self.by_mac.get(&mac)?));
        by_mac.or_else(|| self.iter().find(|device| device.nets.iter().any(|net| net.contains(&address))))
    }

    /// Devices as typed behind `--device`, those that have names here by what they are known by.
    /// A name that is nobody's stays what a device may call itself.
    pub fn named(&self, typed: Vec<DeviceName>) -> Vec<DeviceName> {
        let known = |device: DeviceName| match &device {
            DeviceName::Called(called) => self.given(called, |device| device.goes_by(called)).unwrap_or(device),
            _ => device,
        };
        typed.into_iter().map(known).collect()
    }

    /// Devices of whoever is called so, in any case.
    pub fn of_owner(&self, typed: &str) -> Option<DeviceName> {
        let called = typed.to_lowercase();
        let is_his = |device: &Device| device.owner.as_ref().is_some_and(|owner| owner.to_lowercase() == called);
        self.given(typed, is_his)
    }

    /// Devices of a group that is called so, in any case.
    pub fn of_group(&self, typed: &str) -> Option<DeviceName> {
        let called = typed.to_lowercase();
        self.given(typed, |device| device.groups.iter().any(|group| group.to_lowercase() == called))
    }

    /// Those that are asked for, under one name; `None` where there is none.
    fn given(&self, called: &str, which: impl Fn(&Device) -> bool) -> Option<DeviceName> {
        let (mut names, mut macs, mut nets) = (Vec::new(), Vec::new(), Vec::new());
        for device in self.iter().filter(|device| which(device)) {
            names.push(device.name.clone());
            macs.extend(&device.macs);
            nets.extend(&device.nets);
        }
        (!names.is_empty()).then(|| DeviceName::Given { called: called.to_owned(), names, macs, nets })
    }

    /// Gives the devices of the books their names. Those of one name become one device.
    pub fn name(&self, books: &mut Books) {
        if self.is_empty() {
            return;
        }
        // By a hardware address of it rather than by an address; of several, in whatever order they
        // were met, by the lowest.
        let mut best = vec![None; books.devices.len()];
        for (device, address, mac) in &books.device_ends {
            if let (Some(place), Some(found)) = (best.get_mut(*device as usize), self.of(*address, *mac)) {
                let is_sure = mac.is_some_and(|mac| found.macs.contains(&mac));
                let rank = (!is_sure, *address, *mac);
                if place.is_none_or(|(before, _)| rank < before) {
                    *place = Some((rank, found));
                }
            }
        }
        let given: Vec<Option<&Device>> = best.into_iter().map(|found| found.map(|(_, device)| device)).collect();
        // The first with a name stands for all of that name.
        let mut first: BTreeMap<&str, u32> = BTreeMap::new();
        let mut becomes: Vec<u32> = (0..).take(books.devices.len()).collect();
        for ((device, index), to) in given.iter().zip(0_u32..).zip(&mut becomes) {
            if let Some(device) = device {
                *to = *first.entry(device.name.as_str()).or_insert(index);
            }
        }
        let moved = |device: &mut u32| {
            if let Some(to) = becomes.get(*device as usize) {
                *device = *to;
            }
        };
        books.all_rows_mut().for_each(|row| moved(&mut row.device));
        books.device_ends.iter_mut().for_each(|(device, _, _)| moved(device));
        let said = |device: &Device| Given {
            name: device.name.clone(),
            owner: device.owner.clone(),
            groups: device.groups.clone(),
        };
        books.given = given.iter().map(|device| device.map(said)).collect();
    }
}

impl Device {
    fn of(mut section: Section<'_>, name: &str) -> Result<Self, Error> {
        let macs = section.list("mac", mac)?;
        let nets = section.list("address", net)?;
        let owner = section.name("owner")?.map(|said| said.value);
        let groups = section.list("groups", super::read::name)?;
        let device = Self {
            name: name.to_owned(),
            owner,
            groups: groups.map(|said| said.value).unwrap_or_default(),
            macs: macs.map(|said| said.value).unwrap_or_default(),
            nets: nets.map(|said| said.value).unwrap_or_default(),
        };
        let (text, heading) = (section.text, section.name.to_owned());
        section.finish()?;
        if device.macs.is_empty() && device.nets.is_empty() {
            let path = crate::error::shown(&text.path.to_string_lossy());
            return Err(Error::usage(format!("cannot use the configuration {path}"))
                .cause(crate::error::shown(&format!("[{heading}] says neither `mac` nor `address`")))
                .hint("`imon-analyze report --by device` shows addresses"));
        }
        Ok(device)
    }
}
