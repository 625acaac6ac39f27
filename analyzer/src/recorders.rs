//! Who recorded: recorders by their ids, and by the names that the configuration gives them.

use crate::table::units::{from_hex, hex, uuid};
use std::collections::BTreeMap;

/// What stands for who recorded what was not recorded live: captures.
const CAPTURES: &str = "captures";

/// Fewest digits that stand for an id: as many as names of segments have.
const MIN_DIGITS: usize = 8;

/// Names of recorders by their UUIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorders(BTreeMap<[u8; 16], String>);

/// A recorder as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderName {
    /// As typed.
    pub typed: String,
    which: Which,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    /// First digits of its id, at least [`MIN_DIGITS`] of them.
    Digits(String),
    /// None: captures.
    Captures,
}

impl Recorders {
    /// Gives a recorder a name; gives the id of another one that has it already, in any case: who
    /// asks for one would get the other.
    pub fn name(&mut self, id: [u8; 16], name: String) -> Option<[u8; 16]> {
        let lower = name.to_lowercase();
        let is_same = |called: &str| called.chars().flat_map(char::to_lowercase).eq(lower.chars());
        let is_twin = |(other, called): &(&[u8; 16], &String)| **other != id && is_same(called);
        let twin = self.0.iter().find(is_twin).map(|(other, _)| *other);
        self.0.insert(id, name);
        twin
    }

    /// How many have names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What people call a recorder: its name, else its id; `None` is that of captures.
    pub fn called(&self, id: Option<[u8; 16]>) -> String {
        match id {
            None => format!("({CAPTURES})"),
            Some(id) => self.0.get(&id).cloned().unwrap_or_else(|| uuid(id)),
        }
    }

    /// The recorder that is meant: by its name in any case, by its id, by the first eight digits of
    /// it or more, or `captures`. `None`: nobody is called so.
    pub fn meant(&self, typed: &str) -> Option<RecorderName> {
        let of = |which| Some(RecorderName { typed: typed.to_owned(), which });
        let lower = typed.to_lowercase();
        if let Some((id, _)) = self.0.iter().find(|(_, name)| name.to_lowercase() == lower) {
            return of(Which::Digits(hex(id)));
        }
        if lower.trim_start_matches('(').trim_end_matches(')') == CAPTURES {
            return of(Which::Captures);
        }
        let digits = lower.replace('-', "");
        let is_id = (MIN_DIGITS..=32).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_id { of(Which::Digits(digits)) } else { None }
    }
}

impl RecorderName {
    /// Whether it is the recorder with this id; `None` is that of captures.
    pub fn is(&self, id: Option<[u8; 16]>) -> bool {
        match (&self.which, id) {
            (Which::Captures, id) => id.is_none(),
            (Which::Digits(digits), Some(id)) => hex(&id).starts_with(digits),
            (Which::Digits(_), None) => false,
        }
    }
}

/// The id that a text is: a UUID, with or without its dashes.
pub fn parse_id(text: &str) -> Option<[u8; 16]> {
    from_hex(&text.replace('-', ""))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_is_meant_by_name_by_id_and_by_its_first_digits() {
        let (attic, cellar) = ([0xab; 16], [0xcd; 16]);
        let mut recorders = Recorders::default();
        assert_eq!(recorders.name(attic, "Attic".into()), None);
        for typed in ["attic", "ATTIC", "abababab", &uuid(attic), &hex(&attic)] {
            let meant = recorders.meant(typed).unwrap();
            assert_eq!(
                (meant.is(Some(attic)), meant.is(Some(cellar)), meant.is(None)),
                (true, false, false),
                "{typed}"
            );
        }
        let captures = recorders.meant("captures").unwrap();
        assert_eq!((captures.is(None), captures.is(Some(attic))), (true, false));
        for typed in ["cellar", "abababa", "", "ab", &"a".repeat(33)] {
            assert_eq!(recorders.meant(typed), None, "{typed}");
        }
        let labels = [Some(attic), Some(cellar), None].map(|id| recorders.called(id));
        assert_eq!(labels, ["Attic".to_owned(), uuid(cellar), "(captures)".to_owned()]);
        assert_eq!(recorders.name(cellar, "Attic".into()), Some(attic), "two of one name");
        assert_eq!((parse_id(&uuid(attic)), parse_id(&hex(&attic))), (Some(attic), Some(attic)));
        assert_eq!((parse_id("abab"), parse_id(&"\u{e9}".repeat(16))), (None, None));
    }
}
