//! Reverse lookups (`--resolve`): names for addresses that nothing else names, asked for only when
//! the user says so.
//!
//! What the owner of an address block calls an address is no observation: such names never join
//! those that were seen, the books stay as they are, and rows are labelled when a report is made.
//! Without `--resolve` no socket is made: nothing else in the analyzer sends.

mod exchange;
mod message;

pub use exchange::{Answers, Limits, lookup};

use crate::books::{Books, Evidence, Host};
use crate::error::Error;
use crate::files;
use crate::site::{SiteKind, registrable};
use imon_common::local::LocalNets;
use imon_common::names::Name;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// Where the system says whom to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Far more than a list of three servers and a few options takes.
const MAX_CONF_BYTES: u64 = 64 << 10;

/// Port of DNS servers.
const DNS_PORT: u16 = 53;

/// What is known about an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its name; `None`: the server says that it has none, or gave no answer in time.
    pub name: Option<Name>,
    /// How long that may be kept, in seconds, already bounded.
    pub ttl_s: u32,
}

/// Sockets that are connected to `server`, or to the servers that the system asks: nothing else can
/// be reached through them. To be called before anything of a stranger is read.
///
/// # Errors
/// `Failed`: there are no servers, or no socket can be made.
pub fn connect(server: Option<SocketAddr>) -> Result<Vec<UdpSocket>, Error> {
    let servers = server.map_or_else(|| servers_in(Path::new(RESOLV_CONF)), |server| Ok(vec![server]))?;
    exchange::connected(&servers).map_err(|e| Error::failed("cannot look names up").because(&e))
}

fn servers_in(path: &Path) -> Result<Vec<SocketAddr>, Error> {
    let failed = || Error::failed("cannot look names up").hint("--resolver ADDRESS names a server");
    let text = files::read_list(path, MAX_CONF_BYTES).map_err(|e| failed().because(&e))?;
    let config = resolv_conf::Config::parse(text.as_bytes()).map_err(|e| failed().because(&e))?;
    let servers: Vec<SocketAddr> =
        config.nameservers.iter().map(|server| SocketAddr::new(server.into(), DNS_PORT)).collect();
    match servers.is_empty() {
        true => Err(failed().cause(format!("{} names no server", path.display()))),
        false => Ok(servers),
    }
}

/// The addresses of the books that nothing names, those with most bytes first; those that nobody
/// may be asked about are left out.
pub fn unnamed(books: &Books, limit: usize) -> Vec<IpAddr> {
    let mut bytes: HashMap<IpAddr, u64> = HashMap::new();
    for row in books.rows.iter().filter(|row| row.traffic.is_of_sites() && row.evidence == Evidence::None) {
        if let Some(Host::Address(address)) = books.hosts.get(row.host as usize)
            && is_public(*address)
        {
            let sum = bytes.entry(*address).or_default();
            *sum = sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
        }
    }
    let mut addresses: Vec<(IpAddr, u64)> = bytes.into_iter().collect();
    addresses.sort_unstable_by_key(|(address, bytes)| (std::cmp::Reverse(*bytes), *address));
    addresses.into_iter().take(limit).map(|(address, _)| address).collect()
}

/// Labels what is booked on an address alone with the name of a reverse lookup. Rows keep their
/// host, so that no such name joins one that was seen; the ledger stays as it is.
pub fn label(books: &mut Books, names: &HashMap<IpAddr, Name>) {
    let name_of = |host: &Host| match host {
        Host::Address(address) => names.get(address).cloned(),
        Host::Name(_) | Host::Service(_) => None,
    };
    let reverse: HashMap<u32, Name> =
        (0u32..).zip(&books.hosts).filter_map(|(i, host)| Some((i, name_of(host)?))).collect();
    let sides = books.sides.iter_mut().flat_map(|side| &mut side.keys);
    for row in books.rows.iter_mut().chain(sides) {
        if row.evidence == Evidence::None && row.traffic.is_of_sites() && reverse.contains_key(&row.host) {
            row.evidence = Evidence::Ptr;
        }
    }
    books.reverse = reverse;
}

/// Whether a name says whose address it is: a host of a public site.
fn says_whose(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Site
}

/// Whether an address may be asked about: one that is unique in the world. What is private or
/// reserved is nobody's business, and a name for it would be made up (RFC 6890, RFC 6303).
fn is_public(address: IpAddr) -> bool {
    let reserved = match address {
        IpAddr::V4(a) => is_reserved_v4(a),
        IpAddr::V6(a) => {
            let [first, second, third, ..] = a.segments();
            // Global unicast (2000::/3) without documentation (2001:db8::/32, 3fff::/20), Teredo,
            // ORCHID (2001::/23) and 6to4 (2002::/16, which only wraps an IPv4 address).
            let special = first == 0x2001 && (second < 0x200 || second == 0xdb8);
            first & 0xe000 != 0x2000
                || special
                || first == 0x2002
                || (first == 0x3fff && second < 0x1000)
                || third == u16::MAX && first == 0
        }
    };
    !reserved && !LocalNets::default().contains(address)
}

/// IANA special-purpose registry (RFC 6890): what [`LocalNets`] does not hold.
fn is_reserved_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // This network, class E and broadcast.
        [0 | 240..=255, ..] => true,
        // Protocol assignments, 6to4 relays, and documentation.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Benchmarks (RFC 2544).
        [198, 18 | 19, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
