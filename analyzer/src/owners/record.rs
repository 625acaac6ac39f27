//! A record of a file: the fields that makers of such files have for networks and countries
//! (`GeoLite2` and `DB-IP`, `IPinfo`, and tables made of these), whatever their types.

use super::{Owner, clean};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What is read of a record. Of several fields for one thing the first of the list counts.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Number of the autonomous system.
    number: Option<u32>,
    /// Who has it, by rank: names before domains.
    holders: [Option<String>; HOLDERS.len()],
    /// Country, by rank.
    countries: [Option<String>; COUNTRIES.len()],
}

/// Fields with the number of the autonomous system.
const NUMBERS: [&str; 3] = ["autonomous_system_number", "asn", "as_number"];

/// Fields with its holder, the best first.
const HOLDERS: [&str; 8] = [
    "autonomous_system_organization",
    "as_name",
    "as_organization",
    "organization",
    "org",
    "name",
    "as_domain",
    "domain",
];

/// Fields with the country, the best first: where the address is used, then where it is registered.
const COUNTRIES: [&str; 4] = ["country_code", "country", "country_name", "registered_country"];

/// Most fields of a record: those of cities have 20. The crate bounds what is in them, and how
/// deep.
const MAX_FIELDS: usize = 256;

/// A field that holds further ones.
const NESTED: &str = "traits";

impl Record {
    /// Whose the addresses of the record are.
    pub(super) fn owner(self) -> Owner {
        let holder = self.holders.iter().flatten().find_map(|text| clean(text));
        let network = match (self.number, holder) {
            (Some(number), Some(holder)) => Some(format!("AS{number} {holder}")),
            (Some(number), None) => Some(format!("AS{number}")),
            (None, holder) => holder,
        };
        let texts: Vec<String> = self.countries.iter().flatten().filter_map(|text| clean(text)).collect();
        let is_code = |text: &&String| text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
        let country = texts.iter().find(is_code).map(|code| code.to_ascii_uppercase());
        Owner { network, country: country.or_else(|| texts.into_iter().next()) }
    }

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let place = |list: &[&str]| list.iter().position(|known| *known == key);
        if NUMBERS.contains(&key) {
            self.number = map.next_value::<Loose>()?.number().or(self.number);
        } else if let Some(slot) = place(&HOLDERS).and_then(|at| self.holders.get_mut(at)) {
            *slot = map.next_value::<Loose>()?.text;
        } else if let Some(slot) = place(&COUNTRIES).and_then(|at| self.countries.get_mut(at)) {
            *slot = map.next_value::<Loose>()?.text;
        } else if key == NESTED {
            self.add(map.next_value()?);
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        let Self { number, holders, countries } = other;
        self.number = self.number.or(number);
        self.holders.iter_mut().zip(holders).for_each(|(own, other)| *own = own.take().or(other));
        self.countries.iter_mut().zip(countries).for_each(|(own, other)| *own = own.take().or(other));
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields)
    }
}

/// Takes the fields that are known.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record with fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Record::default();
        for _ in 0..MAX_FIELDS {
            let Some(key) = map.next_key::<&str>()? else { return Ok(record) };
            record.take(key, &mut map)?;
        }
        Err(A::Error::custom(format_args!("it has more than {MAX_FIELDS} fields")))
    }
}

/// A value of whatever type: its text if it has one. Of a map that of `iso_code`, as the country of
/// `GeoLite2`, else of `code`.
#[derive(Default)]
struct Loose {
    text: Option<String>,
}

impl Loose {
    fn of(text: impl fmt::Display) -> Self {
        Self { text: Some(text.to_string()) }
    }

    /// The number of an autonomous system: `64500`, or `AS64500`.
    fn number(&self) -> Option<u32> {
        let text = self.text.as_deref()?.trim();
        let is_prefixed = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("as"));
        let digits = if is_prefixed { text.get(2..)? } else { text };
        // RFC 7607: nothing has the number 0.
        digits.parse().ok().filter(|number| *number > 0)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Loose, E> {
        // Longer texts are cut when they are shown; nothing is compared with more than this.
        const MOST: usize = 256;
        Ok(Loose { text: Some(text.chars().take(MOST).collect()) })
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Loose, E> {
        Ok(Loose::of(n))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Loose, E> {
        Ok(Loose::of(n))
    }

    fn visit_u128<E: Error>(self, n: u128) -> Result<Loose, E> {
        Ok(Loose::of(n))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Loose, E> {
        Ok(Loose::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut code = Loose::default();
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "iso_code" | "code" => code = map.next_value()?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(code)
    }
}
