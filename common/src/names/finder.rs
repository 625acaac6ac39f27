//! Finds the name inside a flow: TLS, QUIC, HTTP.

use super::{Name, NameKind};
use crate::wire::{Tcp, Udp};

/// Per-flow state of the search; small, lives in the flow table's entry.
#[derive(Debug, Default)]
pub struct Search {
    done: bool,
}

impl Search {
    /// Nothing more will be found in this flow: packets need not be shown.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// The searches of all flows, within a bound of memory.
#[derive(Debug, Default)]
pub struct Finder {}

impl Finder {
    /// A finder that holds reassembly state for at most `limit_flows` flows at a time.
    pub fn new(limit_flows: usize) -> Self {
        _ = limit_flows;
        Self {}
    }

    /// Shows the search a TCP segment. `from_client`: it came from the side taken for the client.
    pub fn tcp(
        &mut self,
        search: &mut Search,
        from_client: bool,
        tcp: &Tcp<'_>,
    ) -> Option<(NameKind, Name)> {
        _ = (search, from_client, tcp);
        None
    }

    /// Shows the search a UDP datagram.
    pub fn udp(
        &mut self,
        search: &mut Search,
        from_client: bool,
        udp: &Udp<'_>,
    ) -> Option<(NameKind, Name)> {
        _ = (search, from_client, udp);
        None
    }

    /// Frees what `search` holds; to be called when its flow ends.
    pub fn release(&mut self, search: &mut Search) {
        search.done = true;
    }

    /// Searches given up because a bound was reached, since the last call.
    pub fn take_given_up(&mut self) -> u64 {
        0
    }
}
