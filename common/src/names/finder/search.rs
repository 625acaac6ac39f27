//! What a flow keeps of its search.

/// Per-flow state of the search; small, lives in the flow table's entry.
#[derive(Debug, Default)]
pub struct Search {
    /// Names what the [`super::Finder`] keeps for this flow; 0 is nothing.
    pub(super) serial: u32,
    /// The sequence number that each side is expected to go on with: client, server.
    next: [u32; 2],
    /// Packets with payload seen: of the client, of the server.
    pub(super) packets: [u8; 2],
    pub(super) flags: u8,
}

const DONE: u8 = 1;
/// `next` of the client is known; shifted by one, of the server.
const NEXT_KNOWN: u8 = 2;
/// A relay was asked for another host.
pub(super) const RELAYED: u8 = 8;
/// A field that should hold a host held something else, and that was counted.
pub(super) const NOT_A_HOST: u8 = 16;
pub(super) const COUNTED: u8 = 32;

impl Search {
    /// Nothing more will be found in this flow: packets need not be shown.
    pub fn is_done(&self) -> bool {
        self.flags & DONE != 0
    }

    /// A relay was asked for another host: the name that was found says nothing about the address
    /// that the flow goes to.
    pub fn is_relayed(&self) -> bool {
        self.flags & RELAYED != 0
    }

    /// A search that is over, because it is known whom the flow asks for.
    pub(crate) fn of_asked(is_relay: bool) -> Self {
        let mut search = Self::default();
        search.note_relay(is_relay);
        search.finish();
        search
    }

    /// A search for what follows in the flow of this one: what holds no host there is of the same
    /// flow, and was counted.
    pub(crate) fn behind(&self) -> Self {
        Self { flags: self.flags & (NOT_A_HOST | COUNTED), ..Self::default() }
    }

    /// It waits for more of what it has seen the beginning of.
    pub(crate) fn holds(&self) -> bool {
        self.serial != 0 && !self.is_done()
    }

    pub(super) fn finish(&mut self) {
        self.flags |= DONE;
    }

    pub(super) fn note_no_host(&mut self, no_host: bool) {
        self.flags |= if no_host { NOT_A_HOST } else { 0 };
    }

    pub(super) fn note_relay(&mut self, relay: bool) {
        self.flags |= if relay { RELAYED } else { 0 };
    }

    pub(super) fn next(&self, side: FromClient) -> Option<u32> {
        let known = self.flags & side.flag() != 0;
        let [client, server] = self.next;
        known.then_some(if side.0 { client } else { server })
    }

    pub(super) fn expect(&mut self, side: FromClient, seq: u32) {
        self.flags |= side.flag();
        let [client, server] = &mut self.next;
        *(if side.0 { client } else { server }) = seq;
    }
}

/// Whether something came from the side that is taken for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FromClient(pub bool);

impl FromClient {
    fn flag(self) -> u8 {
        if self.0 { NEXT_KNOWN } else { NEXT_KNOWN << 1 }
    }
}
