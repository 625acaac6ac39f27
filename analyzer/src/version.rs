//! What made a document: versions of the program, its rules, and the lists that sites are made
//! with.

use crate::site::{Sites, suffix_list_date};
use crate::table::Field;
use serde_json::json;

/// Version of the rules of attribution: raised when the same facts may be booked otherwise.
pub const RULES: u32 = 1;

/// The fields that every JSON document begins with.
pub fn fields(sites: &Sites) -> Vec<Field> {
    vec![
        ("imon", json!(env!("CARGO_PKG_VERSION"))),
        ("rules", json!(RULES)),
        ("suffix_list", json!(suffix_list_date())),
        ("families", json!(sites.families_used())),
    ]
}
