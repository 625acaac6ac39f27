//! What made a document: versions of the program, its rules, and the lists that sites are made
//! with.

use crate::site::{Sites, suffix_list_date};
use crate::table::Field;
use serde_json::json;

/// Version of the rules of attribution: raised when the same facts may be booked otherwise.
pub const RULES: u32 = 1;

/// The fields that every JSON document begins with.
pub fn fields(sites: &Sites) -> Vec<Field> {
    let mut fields = vec![
        ("imon", json!(env!("CARGO_PKG_VERSION"))),
        ("rules", json!(RULES)),
        ("suffix_list", json!(suffix_list_date())),
        ("families", json!(sites.families_used())),
    ];
    if let Some(owners) = sites.owners() {
        let day = |epoch| jiff::Timestamp::from_second(i64::try_from(epoch).ok()?).ok().map(|at| at.strftime("%F"));
        let files: Vec<_> = owners.about();
        let texts = files.into_iter().map(|(name, epoch)| match day(epoch) {
            Some(day) => format!("{name} of {day}"),
            None => name,
        });
        fields.push(("owners", json!(texts.collect::<Vec<_>>())));
    }
    fields
}
