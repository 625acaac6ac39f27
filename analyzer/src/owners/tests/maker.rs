//! Writes files in MaxMind DB format 2 for tests: <https://maxmind.github.io/MaxMind-DB/>.

#![allow(dead_code, missing_docs)] // each test uses some of it

use ipnet::IpNet;
use std::collections::HashMap;

/// What stands between data and metadata.
pub const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// A value of a record.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Small(u16),
    Number(u32),
    Long(u64),
    Huge(u128),
    Double(f64),
    Flag(bool),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// A pointer to this place of the data, be anything there or not.
    Pointer(u32),
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A record as GeoLite2 ASN and DB-IP have it.
pub fn asn(number: u32, holder: &str) -> Value {
    map([("autonomous_system_number", Value::Number(number)), ("autonomous_system_organization", text(holder))])
}

/// A file in the making.
#[derive(Debug, Clone)]
pub struct Maker {
    /// Bits of a record of the tree: 24, 28 or 32.
    pub record_size: u16,
    /// 4 or 6. In a file of IPv6 addresses of IPv4 stand in ::/96.
    pub ip_version: u16,
    /// Texts that came before are pointed to.
    pub points: bool,
    pub networks: Vec<(IpNet, Value)>,
    /// What the metadata say of the number of nodes, if that is not true.
    pub nodes_said: Option<u32>,
}

impl Default for Maker {
    fn default() -> Self {
        Self { record_size: 24, ip_version: 6, points: true, networks: Vec::new(), nodes_said: None }
    }
}

#[derive(Debug, Clone, Copy)]
enum Child {
    Nothing,
    Node(usize),
    Data(usize),
}

impl Maker {
    /// The same with a network.
    pub fn with(mut self, network: &str, value: Value) -> Self {
        self.networks.push((network.parse().expect("a network"), value));
        self
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let (mut data, mut nodes) = (Encoder { points: self.points, ..Encoder::default() }, vec![[Child::Nothing; 2]]);
        let mut networks: Vec<_> = self.networks.iter().collect();
        networks.sort_by_key(|(network, _)| network.prefix_len());
        for (network, value) in networks {
            let place = data.bytes.len();
            data.put(value);
            self.insert(&mut nodes, network, place);
        }
        let mut bytes = Vec::new();
        let count = nodes.len() as u64;
        for node in &nodes {
            let [left, right] = node.map(|child| match child {
                Child::Nothing => count,
                Child::Node(n) => n as u64,
                Child::Data(place) => count + 16 + place as u64,
            });
            match self.record_size {
                24 => [left, right].iter().for_each(|n| bytes.extend(&n.to_be_bytes()[5..])),
                28 => {
                    bytes.extend(&left.to_be_bytes()[5..]);
                    bytes.push(((left >> 24) << 4) as u8 | (right >> 24) as u8);
                    bytes.extend(&right.to_be_bytes()[5..]);
                }
                _ => [left, right].iter().for_each(|n| bytes.extend(&n.to_be_bytes()[4..])),
            }
        }
        bytes.extend([0; 16]);
        bytes.extend(data.bytes);
        bytes.extend(MARKER);
        bytes.extend(self.metadata(count as u32));
        bytes
    }

    fn metadata(&self, nodes: u32) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.put(&map([
            ("node_count", Value::Number(self.nodes_said.unwrap_or(nodes))),
            ("record_size", Value::Small(self.record_size)),
            ("ip_version", Value::Small(self.ip_version)),
            ("database_type", text("Test-Owners")),
            ("languages", Value::List(vec![text("en")])),
            ("binary_format_major_version", Value::Small(2)),
            ("binary_format_minor_version", Value::Small(0)),
            ("build_epoch", Value::Long(1_793_923_200)),
            ("description", map([("en", text("made by a test"))])),
        ]));
        encoder.bytes
    }

    fn insert(&self, nodes: &mut Vec<[Child; 2]>, network: &IpNet, place: usize) {
        let (bits, length) = match network {
            IpNet::V4(v4) if self.ip_version == 6 => (u128::from(u32::from(v4.network())), v4.prefix_len() + 96),
            IpNet::V4(v4) => (u128::from(u32::from(v4.network())) << 96, v4.prefix_len()),
            IpNet::V6(v6) => (u128::from(v6.network()), v6.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..length {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][bit] = Child::Data(place);
                return;
            }
            node = match nodes[node][bit] {
                Child::Node(next) => next,
                // What is told of the whole is true of both halves.
                above => {
                    nodes.push([above; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][bit] = Child::Node(next);
                    next
                }
            };
        }
    }
}

/// Values as bytes.
#[derive(Default)]
struct Encoder {
    bytes: Vec<u8>,
    points: bool,
    texts: HashMap<String, usize>,
}

impl Encoder {
    fn control(&mut self, kind: u8, size: usize) {
        let (low, more): (u8, Vec<u8>) = match size {
            0..29 => (size as u8, Vec::new()),
            29..285 => (29, vec![(size - 29) as u8]),
            285..65_821 => (30, ((size - 285) as u16).to_be_bytes().to_vec()),
            _ => (31, ((size - 65_821) as u32).to_be_bytes()[1..].to_vec()),
        };
        match kind {
            1..=7 => self.bytes.push(kind << 5 | low),
            _ => self.bytes.extend([low, kind - 7]),
        }
        self.bytes.extend(more);
    }

    fn number(&mut self, kind: u8, bytes: &[u8]) {
        let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
        self.control(kind, bytes.len() - first);
        self.bytes.extend(&bytes[first..]);
    }

    fn pointer(&mut self, place: u32) {
        self.bytes.push(0b0011_1000);
        self.bytes.extend(place.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        if let Some(place) = self.texts.get(text).filter(|_| self.points) {
            return self.pointer(*place as u32);
        }
        self.texts.insert(text.to_owned(), self.bytes.len());
        self.control(2, text.len());
        self.bytes.extend(text.bytes());
    }

    fn put(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Double(n) => {
                self.control(3, 8);
                self.bytes.extend(n.to_be_bytes());
            }
            Value::Bytes(bytes) => {
                self.control(4, bytes.len());
                self.bytes.extend(bytes);
            }
            Value::Small(n) => self.number(5, &n.to_be_bytes()),
            Value::Number(n) => self.number(6, &n.to_be_bytes()),
            Value::Long(n) => self.number(9, &n.to_be_bytes()),
            Value::Huge(n) => self.number(10, &n.to_be_bytes()),
            Value::Flag(flag) => self.control(14, usize::from(*flag)),
            Value::List(list) => {
                self.control(11, list.len());
                list.iter().for_each(|value| self.put(value));
            }
            Value::Map(fields) => {
                self.control(7, fields.len());
                for (name, value) in fields {
                    self.text(name);
                    self.put(value);
                }
            }
            Value::Pointer(place) => self.pointer(*place),
        }
    }
}
