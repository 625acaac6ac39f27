//! What rows point to: hosts, clients, interfaces and sources.

use crate::table::units::hex;
use imon_common::names::Name;
use imon_common::segment::SegmentHeader;
use imon_common::wire::Mac;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// What bytes are booked on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A host name.
    Name(Name),
    /// Only the address is known.
    Address(IpAddr),
    /// What our own side offers to others, where no name shows whose it is.
    Service(Service),
}

/// A service of our own side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Our address.
    pub address: IpAddr,
    /// Our port; 0 where the protocol has none.
    pub port: u16,
    /// IANA protocol number.
    pub proto: u8,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (std::net::SocketAddr::new(self.address, self.port), self.port);
        match (self.proto, port) {
            (proto, 0) => write!(f, "{}/{}", self.address, protocol(proto)),
            (proto, _) => write!(f, "{address}/{}", protocol(proto)),
        }
    }
}

/// The protocol's name: `tcp`, `udp`, `icmp`, `icmpv6`, else `ip` and its number.
pub fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        n => format!("ip{n}"),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            // What many addresses were folded into; nothing is ever sent there.
            Self::Address(address) if address.is_unspecified() => f.pad("(other addresses)"),
            Self::Address(address) => address.fmt(f),
            Self::Service(service) => f.pad(&service.to_string()),
        }
    }
}

/// A client as it was seen: which of them are one device is decided when a report is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address, where the link shows one.
    pub mac: Option<Mac>,
}

/// Where bytes were seen. What passes several interfaces of one capture counts on the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Interface {
    /// Its name, as the recorder or the capture has it; `#` and its number where there are several
    /// and they have no names; empty where a capture says nothing.
    pub name: String,
    /// The VLAN on it, by the outermost tag; `None` for frames without one.
    pub vlan: Option<u16>,
}

/// What bytes were read from. In the order of what people call them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Source {
    /// What people call it: the name of a capture's file, the name of a segment without its suffix.
    pub label: String,
    /// Segment UUID, or what identifies a capture; of captures that no store keeps it is made up.
    pub identity: Vec<u8>,
    /// Its file, from the root on.
    pub path: String,
    /// UUID of the recorder that recorded it live; `None` of captures, and of formats that do not
    /// say it.
    pub recorder: Option<[u8; 16]>,
}

/// What stands for an interface that has no name.
const UNNAMED: &str = "(unnamed)";

/// What stands for the VLAN of frames without a tag.
const NO_VLAN: &str = "none";

impl Interface {
    /// What people call it.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { UNNAMED } else { &self.name }
    }

    /// What people call its VLAN.
    pub fn vlan_label(&self) -> String {
        self.vlan.map_or_else(|| NO_VLAN.to_owned(), |id| id.to_string())
    }
}

impl Source {
    /// Whether `text` is a name of it: of its file, with or without the folder, or a segment's with
    /// or without its suffix; or its identity in hexadecimal digits.
    pub fn is_called(&self, text: &str) -> bool {
        let path = Path::new(text);
        let is_same = |name: Option<&std::ffi::OsStr>| name.is_some_and(|name| name == self.label.as_str());
        let has_folder = text.contains('/');
        let is_segment = path.extension().is_some_and(|suffix| suffix == "seg" || suffix == "part");
        let in_folder = || Path::new(&self.path).ends_with(path);
        let by_name = || is_same(path.file_name()) || (is_segment && is_same(path.file_stem()));
        if has_folder { in_folder() } else { by_name() || hex(&self.identity) == text }
    }
}

/// The VLAN that a word stands for: an id, or none.
pub fn vlan_called(text: &str) -> Option<Option<u16>> {
    if text == NO_VLAN {
        return Some(None);
    }
    text.parse().ok().filter(|id| (1..=4095).contains(id)).map(Some)
}

/// What people call a source: the file of a capture, also where a segment was made of it, else the
/// segment's own name.
pub fn label(header: &SegmentHeader) -> String {
    let of_capture = header.format >= 3 && header.boot == [0; 16];
    if of_capture { header.interface.clone() } else { header.file_stem() }
}
