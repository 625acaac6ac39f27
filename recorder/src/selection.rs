//! Which interfaces are captured, and for what: as typed, checked against what there is.

use crate::error::Error;
use crate::interface::{ANY, Interface, names};
use imon_common::work;
use std::collections::{HashMap, HashSet};

/// Most interfaces at a time: each has a ring of its own.
const MAX_INTERFACES: usize = 16;

/// Links above links above links: deeper than any stack of VLANs, bonds and bridges.
const MAX_DEPTH: usize = 16;

/// The interfaces to capture. What passes two of those that are counted is counted once
/// (`imon_common::observe`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Their packets are counted; at least one.
    pub traffic: Vec<String>,
    /// Only names are taken from these.
    pub names_only: Vec<String>,
}

impl Selection {
    /// Checks what was typed: `wanted` for traffic (`default` where nothing was) and `names_from`,
    /// against the `list` of what there is.
    ///
    /// # Errors
    /// One is missing, too many, or named twice.
    pub fn new(
        wanted: Vec<String>,
        names_from: Vec<String>,
        list: &[Interface],
        default: impl FnOnce() -> Option<String>,
    ) -> Result<Self, Error> {
        let mut traffic = wanted;
        if traffic.is_empty() {
            traffic.push(default().ok_or_else(|| Error::NoDefaultRoute { existing: names(list) })?);
        }
        let selection = Self { traffic, names_only: names_from };
        selection.check(list).map(|()| selection)
    }

    fn check(&self, list: &[Interface]) -> Result<(), Error> {
        let all = || self.traffic.iter().chain(&self.names_only);
        let existing = names(list);
        if let Some(name) = all().find(|name| !existing.contains(name)) {
            return Err(Error::NoSuchInterface { name: name.clone(), existing });
        }
        if all().count() > MAX_INTERFACES {
            return Err(usage(
                format!("{} interfaces are too many", all().count()),
                format!("{MAX_INTERFACES} at most"),
            ));
        }
        if let Some(name) =
            all().enumerate().find_map(|(n, name)| all().take(n).any(|other| other == name).then_some(name))
        {
            return Err(usage(
                format!("interface {name} is named twice"),
                "once is enough; the names on a recorded interface are recorded anyway".into(),
            ));
        }
        if all().count() > 1 && all().any(|name| name == ANY) {
            return Err(usage(
                format!("{ANY} has all interfaces in it"),
                format!("record {ANY} alone, or name each with -i"),
            ));
        }
        Ok(())
    }
}

/// Why two of the interfaces with these numbers show the same packets, if they do.
pub fn overlap(indices: &[u32], list: &[Interface]) -> Option<String> {
    let chosen: Vec<&Interface> = indices.iter().filter_map(|index| list.iter().find(|i| i.index == *index)).collect();
    let pairs = chosen.iter().enumerate().flat_map(|(n, one)| chosen.iter().skip(n + 1).map(move |other| (one, other)));
    let stack = Stack::of(list);
    pairs.into_iter().find_map(|(one, other)| overlap_of(one, other, &stack, list))
}

fn overlap_of(one: &Interface, other: &Interface, stack: &Stack, list: &[Interface]) -> Option<String> {
    for (above, below) in [(one, other), (other, one)] {
        if stack.passed_by(above.index).contains(&below.index) {
            return Some(format!("what passes {} passes {}, too", above.name, below.name));
        }
    }
    // Between two ports of a bridge a packet passes both.
    let master = one.master.filter(|_| one.master == other.master)?;
    let name = list.iter().find(|i| i.index == master).map_or("the same bridge or bond", |i| i.name.as_str());
    Some(format!("{} and {} are both ports of {name}", one.name, other.name))
}

/// Which interface is built on which: a bridge or bond on its ports, a VLAN on its parent, one end
/// of a veth pair on the other. Looked up by index: a machine with containers has thousands of
/// interfaces, and each may be asked for.
#[derive(Debug, Default)]
pub struct Stack {
    /// The interface that one is built on, where both are there.
    lower: HashMap<u32, u32>,
    /// The ports of each master.
    ports: HashMap<u32, Vec<u32>>,
}

impl Stack {
    /// The stack of these interfaces.
    pub fn of(list: &[Interface]) -> Self {
        let there: HashSet<u32> = list.iter().map(|i| i.index).collect();
        let mut stack = Self::default();
        for interface in list {
            if let Some(lower) = interface.lower.filter(|lower| there.contains(lower)) {
                stack.lower.insert(interface.index, lower);
            }
            if let Some(master) = interface.master {
                stack.ports.entry(master).or_default().push(interface.index);
            }
        }
        stack
    }

    /// Interfaces that packets of `index` pass, or the other way round, because one is built on the
    /// other; itself included.
    pub fn passed_by(&self, index: u32) -> HashSet<u32> {
        let mut passed = HashSet::from([index]);
        let mut last = vec![index];
        for _ in 0..MAX_DEPTH {
            let below =
                last.iter().flat_map(|i| self.lower.get(i).into_iter().chain(self.ports.get(i).into_iter().flatten()));
            last = below.copied().inspect(|_| work::step()).filter(|below| passed.insert(*below)).collect();
        }
        passed
    }
}

fn usage(cause: String, hint: String) -> Error {
    Error::Usage { cause, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// eth0 and eth1 are ports of br0; eth2 and eth3 of bond0, with a VLAN on it; wlan0 stands
    /// alone; a veth pair.
    fn machine() -> Vec<Interface> {
        let link = |index, name: &str, master, lower| Interface {
            index,
            name: name.into(),
            master,
            lower,
            ..Interface::default()
        };
        vec![
            link(1, "lo", None, None),
            link(2, "eth0", Some(10), None),
            link(3, "eth1", Some(10), None),
            link(4, "eth2", Some(11), None),
            link(5, "eth3", Some(11), None),
            link(6, "wlan0", None, None),
            link(7, "va", None, Some(8)),
            link(8, "vb", None, Some(7)),
            link(10, "br0", None, None),
            link(11, "bond0", None, None),
            link(12, "bond0.7", None, Some(11)),
            link(13, "bond0.8", None, Some(11)),
        ]
    }

    fn select(wanted: &[&str], names_from: &[&str]) -> Result<Selection, Error> {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Selection::new(owned(wanted), owned(names_from), &machine(), || Some("wlan0".into()))
    }

    fn overlap_of_names(wanted: &[&str]) -> Option<String> {
        let list = machine();
        let index = |name: &&str| list.iter().find(|i| i.name == *name).map(|i| i.index);
        overlap(&wanted.iter().filter_map(index).collect::<Vec<_>>(), &list)
    }

    #[test]
    fn interfaces_that_show_different_packets_have_no_overlap() {
        for wanted in
            [&["wlan0", "br0"][..], &["bond0.7", "bond0.8"], &["lo", "wlan0"], &["eth0", "wlan0"], &["br0", "bond0"]]
        {
            assert_eq!(select(wanted, &[]).unwrap().traffic, wanted);
            assert_eq!(overlap_of_names(wanted), None);
        }
        assert_eq!(select(&[], &["lo"]).unwrap().traffic, ["wlan0"]);
        // Names are not counted: it does not matter where they pass.
        assert!(select(&["br0"], &["eth0"]).is_ok());
    }

    #[test]
    fn interfaces_that_show_the_same_packets_go_together_and_the_reason_is_known() {
        for (wanted, reason) in [
            (["br0", "eth0"], "what passes br0 passes eth0, too"),
            (["eth1", "br0"], "what passes br0 passes eth1, too"),
            (["bond0.7", "bond0"], "what passes bond0.7 passes bond0, too"),
            (["eth3", "bond0.7"], "what passes bond0.7 passes eth3, too"),
            (["eth0", "eth1"], "eth0 and eth1 are both ports of br0"),
            (["va", "vb"], "what passes va passes vb, too"),
        ] {
            assert_eq!(select(&wanted, &[]).unwrap().traffic, wanted);
            assert_eq!(overlap_of_names(&wanted).as_deref(), Some(reason));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (wanted, reason) in
            [(["wlan0", "any"], "any has all interfaces in it"), (["wlan0", "wlan0"], "interface wlan0 is named twice")]
        {
            let error = select(&wanted, &[]).unwrap_err();
            assert!(error.to_string().contains(reason), "{wanted:?}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(select(&["any"], &["lo"]).unwrap_err().to_string().contains("any has all"));
        assert!(select(&["wlan0"], &["wlan0"]).unwrap_err().to_string().contains("named twice"));
        assert!(select(&["eth9"], &[]).unwrap_err().to_string().contains("choose one with -i: lo, eth0"));
        assert!(select(&["wlan0"], &["eth9"]).unwrap_err().to_string().contains("eth9"));
    }
}
