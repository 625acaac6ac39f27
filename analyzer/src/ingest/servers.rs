//! Finds out whether a capture was taken on a public server without saying so. Then neither end of
//! its flows is local, and what it serves to others stands as sites that these visit.

use super::overheard::Ear;
use imon_common::flow::{Flow, Scope};
use imon_common::observe::Usage;
use std::net::IpAddr;

/// Servers that are followed at a time. One that has more than a seventeenth of the bytes is among
/// them, however many there are (Misra and Gries, 1982).
const MOST_SERVERS: usize = 16;

/// One that fewer clients use may as well be what a device loads from.
const LEAST_CLIENTS: usize = 3;

/// A server that nearly everything between strangers goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicServer {
    /// Its address.
    pub address: IpAddr,
    /// Percent of all bytes that are of it, at least.
    pub percent: u64,
}

#[derive(Debug)]
struct Followed {
    address: IpAddr,
    /// Bytes of it, less what others took away; never more than it has.
    bytes: u64,
    /// The first clients, no more than [`LEAST_CLIENTS`].
    clients: Vec<IpAddr>,
}

/// Adds up what goes between ends neither of which is local, by server.
#[derive(Debug, Default)]
pub struct PublicServers {
    followed: Vec<Followed>,
    between_strangers: u64,
    bytes: u64,
}

impl PublicServers {
    /// Takes in what a flow moved.
    pub fn usage(&mut self, flow: &Flow, usage: Usage) {
        let bytes = usage.bytes();
        self.bytes = self.bytes.saturating_add(bytes);
        if flow.scope != Scope::Transit {
            return;
        }
        self.between_strangers = self.between_strangers.saturating_add(bytes);
        let known = self.followed.iter().position(|followed| followed.address == flow.server);
        let place = known.or_else(|| self.follow(flow.server, bytes));
        let Some(followed) = place.and_then(|place| self.followed.get_mut(place)) else { return };
        if known.is_some() {
            followed.bytes = followed.bytes.saturating_add(bytes);
        }
        if followed.clients.len() < LEAST_CLIENTS && !followed.clients.contains(&flow.client) {
            followed.clients.push(flow.client);
        }
    }

    /// Gives a server a place if there is one, or if its bytes make one free.
    fn follow(&mut self, address: IpAddr, bytes: u64) -> Option<usize> {
        let mut left = bytes;
        if self.followed.len() >= MOST_SERVERS {
            let least = self.followed.iter().map(|followed| followed.bytes).min().unwrap_or(0).min(bytes);
            self.followed.iter_mut().for_each(|followed| followed.bytes -= least);
            self.followed.retain(|followed| followed.bytes > 0);
            left -= least;
        }
        if left == 0 {
            return None;
        }
        self.followed.push(Followed { address, bytes: left, clients: Vec::new() });
        Some(self.followed.len() - 1)
    }

    /// The server that four fifths of what goes between strangers are of, which is most of what
    /// there is.
    pub fn server(&self) -> Option<PublicServer> {
        let most = self.followed.iter().max_by_key(|followed| followed.bytes)?;
        let is_main = u128::from(most.bytes) * 5 >= u128::from(self.between_strangers) * 4;
        let is_most = u128::from(self.between_strangers) * 2 > u128::from(self.bytes);
        if !is_main || !is_most || most.clients.len() < LEAST_CLIENTS {
            return None;
        }
        let percent = u128::from(most.bytes) * 100 / u128::from(self.bytes.max(1));
        Some(PublicServer { address: most.address, percent: u64::try_from(percent).unwrap_or(100) })
    }
}

impl<L> Ear<L> for PublicServers {
    fn usage(&mut self, flow: &Flow, usage: Usage) {
        PublicServers::usage(self, flow, usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::time::UnixNanos;
    use std::net::SocketAddr;

    fn moved(servers: &mut PublicServers, scope: Scope, [client, server]: [&str; 2], bytes: u64) {
        let end = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
        let flow = Flow::outgoing(end(client, 50_000), end(server, 443), 6, UnixNanos(0));
        let flow = Flow { scope, ..flow };
        servers.usage(&flow, Usage { down_bytes: bytes, ..Usage::default() });
    }

    #[test]
    fn a_server_that_many_use_is_found_among_more_than_are_followed() {
        let mut servers = PublicServers::default();
        for n in 0..200u8 {
            moved(&mut servers, Scope::Transit, ["203.0.113.5", &format!("192.0.2.{n}")], 100);
        }
        for n in 0..200u8 {
            moved(&mut servers, Scope::Transit, [&format!("198.51.100.{n}"), "203.0.113.5"], 1_000);
        }
        assert!(servers.followed.len() <= MOST_SERVERS);
        let found = servers.server().unwrap();
        assert_eq!(found.address, "203.0.113.5".parse::<IpAddr>().unwrap());
        assert!((80..=91).contains(&found.percent), "{found:?}");
    }

    #[test]
    fn what_few_use_or_is_not_most_of_it_is_none() {
        let mut one_client = PublicServers::default();
        moved(&mut one_client, Scope::Transit, ["198.51.100.1", "203.0.113.5"], 1_000);
        assert_eq!(one_client.server(), None);

        let mut local = PublicServers::default();
        let mut two = PublicServers::default();
        for n in 1..9u8 {
            let client = format!("198.51.100.{n}");
            moved(&mut local, Scope::Transit, [&client, "203.0.113.5"], 1_000);
            moved(&mut local, Scope::Remote, ["192.168.1.2", "203.0.113.9"], 2_000);
            moved(&mut two, Scope::Transit, [&client, "203.0.113.5"], 1_000);
            moved(&mut two, Scope::Transit, [&client, "203.0.113.6"], 1_000);
        }
        assert_eq!(local.server(), None);
        assert_eq!(two.server(), None);
    }
}
