//! One DNS message: bounded, and the strict reader gives what the other gives or nothing.

use crate::dns::check_message;
use imon_common::names::dns::{parse, parse_strict};

/// One input.
pub fn run(data: &[u8]) {
    let message = parse(data);
    if let Some(message) = &message {
        check_message(message, data);
    }
    let strict = parse_strict(data);
    assert!(strict.is_none() || strict == message);
}
