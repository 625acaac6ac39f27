//! What stands where a message may start, behind openings of proxies.

use super::super::host::Host;
use super::super::look::Look;
use super::super::tls::HANDSHAKE;
use super::super::{Name, NameKind, http, proxy, tls};
use super::search::Search;

/// Openings passed over in one go: PROXY line, SOCKS greeting, SOCKS request, and one to spare.
const MAX_OPENINGS: usize = 4;

/// What stands at the start of some bytes, behind openings.
pub(super) struct Through {
    /// Bytes that the openings take.
    pub(super) passed: usize,
    /// The host that one of them asked for.
    pub(super) asked: Option<Name>,
    /// One of them, or what follows, asks a relay for another host.
    relay: bool,
    /// A field of one of them should hold a host and does not.
    pub(super) no_host: bool,
    pub(super) look: Look,
}

impl Through {
    /// Notes for the search what was passed.
    pub(super) fn note(&self, search: &mut Search) {
        search.note_relay(self.relay);
        search.note_no_host(self.no_host);
    }
}

/// Looks at bytes where a message may start, passing over openings.
pub(super) fn look_through(bytes: &[u8]) -> Through {
    let mut through = Through { passed: 0, asked: None, relay: false, no_host: false, look: Look::No };
    for _ in 0..MAX_OPENINGS {
        let rest = bytes.get(through.passed..).unwrap_or_default();
        match look_once(rest) {
            Look::Wrapper { len, host, relay } if len > 0 => {
                through.passed += len;
                through.no_host |= host == Host::Not;
                // Only what asks a relay names the flow.
                through.asked = host.name().or(through.asked);
                through.relay |= relay;
            }
            Look::Absolute(name) => {
                return Through { relay: true, look: Look::Name(NameKind::Http, name), ..through };
            }
            Look::NotAHost => return Through { no_host: true, look: Look::Nameless, ..through },
            look => return Through { look, ..through },
        }
    }
    through
}

fn look_once(bytes: &[u8]) -> Look {
    match bytes.first() {
        None => Look::No,
        Some(&(HANDSHAKE | 0x80..)) => tls::look(bytes),
        Some(0x0d | b'A'..=b'Z') => match http::look(bytes) {
            Look::No => proxy::look(bytes),
            // `P` begins a method as well as the PROXY line, which has the shape of a request line
            // that goes on.
            Look::More { .. } if bytes.starts_with(b"PROXY ") => proxy::look(bytes),
            look => look,
        },
        Some(b'\n') => http::look(bytes),
        Some(_) => proxy::look(bytes),
    }
}
