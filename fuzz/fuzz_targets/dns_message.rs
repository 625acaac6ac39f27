//! One DNS message: bounded, and the strict reader gives what the other gives or nothing.
#![no_main]

use imon_common::names::dns::{parse, parse_strict};
use imon_fuzz::dns::check_message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let message = parse(data);
    if let Some(message) = &message {
        check_message(message, data);
    }
    let strict = parse_strict(data);
    assert!(strict.is_none() || strict == message);
});
