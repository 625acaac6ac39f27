//! What the first bytes of a stream turn out to be.

use super::host::Host;
use super::{Name, NameKind};

/// The result of looking at bytes that start where a message may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing that could hold a name starts here.
    No,
    /// The sign of a name-bearing message, but it goes on behind the bytes at hand.
    More {
        /// Length of the whole message if its header states it.
        need: Option<usize>,
    },
    /// A complete message without a name, after which none can come (a hello without SNI: the rest
    /// is encrypted).
    Nameless,
    /// A complete message whose name is none that a host can have; no other can come.
    NotAHost,
    /// The name.
    Name(NameKind, Name),
    /// A wrapper of `len` bytes around what comes next: a proxy's or database's opening.
    Wrapper {
        /// Bytes to pass over.
        len: usize,
        /// The host that the proxy is asked for: weaker than a name inside. Of a request that names
        /// none: whether its field for it holds something else.
        host: Host,
        /// It asks a relay for another host: names behind it say nothing about the address that the
        /// stream goes to.
        relay: bool,
    },
    /// The host in the absolute target of an HTTP request: proxies are asked so (RFC 9112 section
    /// 3.2.2).
    Absolute(Name),
}

impl Look {
    /// More is needed, nobody says how much.
    pub(super) const MORE: Self = Self::More { need: None };
}
