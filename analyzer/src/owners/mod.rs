//! Whose an address is, by a file that the user has (`--owners`, MaxMind DB format 2): its network
//! (autonomous system) and its country.
//!
//! Labels, and never evidence: nothing in here reaches attribution, names or sums. Such files come
//! from strangers, so their size is bounded, the crate bounds what a record can expand to, and
//! texts are made safe to show here. This room uses nothing else of the analyzer: a fuzz target has
//! it by its path.

mod record;

use maxminddb::{MaxMindDbError, Reader};
use record::Record;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

/// Largest file: those of networks and countries have 5 to 60 MB, those of cities up to 140 MB. It
/// is held in memory.
pub const MAX_OWNERS_BYTES: u64 = 256 << 20;

/// Most files: networks and countries often come apart, and some have one for each kind of address.
pub const MAX_OWNERS_FILES: usize = 4;

/// What the file says of an address, safe to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The network: `AS64500 Example Net`, or what of it is known.
    pub network: Option<String>,
    /// The country: two capital letters (ISO 3166-1), or its name where the file has no letters.
    pub country: Option<String>,
}

impl Owner {
    /// Both, for people; `None` where nothing is known.
    pub fn text(&self) -> Option<String> {
        match (&self.network, &self.country) {
            (Some(network), Some(country)) => Some(format!("{network}, {country}")),
            (one, other) => one.clone().or_else(|| other.clone()),
        }
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnersError {
    /// It is no such file, or damaged: what was found, and at which byte where that is known.
    #[error("{0}")]
    Damaged(String),
    /// There are too many.
    #[error("{MAX_OWNERS_FILES} files are the most")]
    TooMany,
}

impl OwnersError {
    fn of(error: &MaxMindDbError) -> Self {
        Self::Damaged(words(error))
    }
}

/// What the crate says, bounded and safe to show: it repeats what stands in the file.
fn words(error: &MaxMindDbError) -> String {
    const MOST: usize = 200;
    shortened(&imon_common::shown::shown(&error.to_string()), MOST)
}

/// At most so many characters, the last one a sign that there were more.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Files that say whose an address is. Of each thing the first file that knows it counts.
#[derive(Debug, Default)]
pub struct Owners {
    files: Vec<Reader<Vec<u8>>>,
    /// The first record that could not be read.
    damage: OnceLock<String>,
}

impl Owners {
    /// The same with one more file, whose bytes these are.
    ///
    /// # Errors
    /// It is none, or damaged; or there are too many.
    pub fn with(mut self, bytes: Vec<u8>) -> Result<Self, OwnersError> {
        if self.files.len() >= MAX_OWNERS_FILES {
            return Err(OwnersError::TooMany);
        }
        self.files.push(Reader::from_source(bytes).map_err(|e| OwnersError::of(&e))?);
        Ok(self)
    }

    /// Whose `address` is; a record that cannot be read says nothing, and [`Owners::damage`] tells.
    pub fn of(&self, address: IpAddr) -> Owner {
        let mut owner = Owner::default();
        for file in &self.files {
            match one(file, address) {
                Ok(found) => {
                    owner.network = owner.network.or(found.network);
                    owner.country = owner.country.or(found.country);
                }
                Err(error) => _ = self.damage.set(format!("the record of {address}: {}", words(&error))),
            }
        }
        owner
    }

    /// The first record that was asked for and could not be read, in words.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// What the files call themselves, and the days on which they were made (Unix seconds).
    pub fn about(&self) -> Vec<(String, u64)> {
        let about = |file: &Reader<Vec<u8>>| (clean(&file.metadata().database_type), file.metadata().build_epoch);
        self.files.iter().map(about).map(|(name, epoch)| (name.unwrap_or_default(), epoch)).collect()
    }
}

/// What one file says.
fn one(file: &Reader<Vec<u8>>, address: IpAddr) -> Result<Owner, MaxMindDbError> {
    // A file of IPv4 knows an IPv6 address by what stands inside it, if it is a mapped one.
    let address = match file.metadata().ip_version {
        4 => address.to_canonical(),
        _ => address,
    };
    if address.is_ipv6() && file.metadata().ip_version == 4 {
        return Ok(Owner::default());
    }
    let record: Option<Record> = file.lookup(address)?.decode()?;
    Ok(record.map(Record::owner).unwrap_or_default())
}

/// A text of a file, safe to show and bounded; `None` if nothing is left.
fn clean(text: &str) -> Option<String> {
    /// Names of networks have 80 characters at most, nearly all 40; a table has no room for more.
    const MOST: usize = 64;
    // Parentheses at the beginning are the sign of keys that stand for no network.
    let text = shortened(&imon_common::shown::shown(shortened(text.trim(), MOST).trim_start_matches('(')), MOST);
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
