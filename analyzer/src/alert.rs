//! What asks for somebody's attention: rules, and what of it was told already. Plain values; what
//! is told, and how, is the business of the command and of `start`.

mod memory;
mod message;

pub use memory::{MAX_TRIES, Memory, Tried};
pub use message::{MAX_MESSAGE_BYTES, Message, VARIABLES};

use std::path::PathBuf;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// A program that is run for each alert.
    pub exec: Option<PathBuf>,
    /// Parts of a plan's allowance, in percent.
    pub percent: Vec<u32>,
    /// Whether a plan will be passed, by the low end of its projection.
    pub projection: bool,
    /// Seconds for which a recorder may be silent.
    pub silent_s: Option<u32>,
    /// A site that was not there before, with so many bytes.
    pub new_site: Option<u64>,
    /// A device that was not there before.
    pub new_device: bool,
    /// Bytes of a site or device in an hour or a day.
    pub rates: Vec<Rate>,
}

/// Bytes of a site or device in an hour or a day.
#[derive(Debug, Clone)]
pub struct Rate {
    /// What it is called.
    pub name: String,
    /// The site, family or host; `None`: all.
    pub site: Option<String>,
    /// The device as typed; `None`: all.
    pub device: Option<String>,
    /// More than so many bytes.
    pub above: u64,
    /// In which stretch of time.
    pub per: Per,
}

/// A stretch of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Rules {
    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        let Self { exec: _, percent, projection, silent_s, new_site, new_device, rates } = self;
        percent.is_empty() && !projection && silent_s.is_none() && new_site.is_none() && !new_device && rates.is_empty()
    }
}

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Part of a plan is used.
    Percent,
    /// A plan will be passed.
    Projection,
    /// A site or device moved more than it should.
    Rate,
    /// A site that was not there before.
    NewSite,
    /// A device that was not there before.
    NewDevice,
    /// Nothing is recorded.
    Silent,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Projection => "projection",
            Self::Rate => "rate",
            Self::NewSite => "new-site",
            Self::NewDevice => "new-device",
            Self::Silent => "silent",
        }
    }
}

/// Something that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Why.
    pub kind: Kind,
    /// What it is about: a plan, a rate, a site, a device, an interface. Safe to show.
    pub subject: String,
    /// The period, day, hour or instant in which it counts once.
    pub period: String,
    /// The threshold that was passed, where there are several.
    pub threshold: String,
    /// What was measured, in bytes or seconds.
    pub value: u64,
    /// What it is held against.
    pub limit: Option<u64>,
    /// In words, one line. Safe to show.
    pub line: String,
}

impl Event {
    /// What is remembered of it: the same in each run in which it holds.
    pub fn key(&self) -> String {
        let Self { kind, subject, period, threshold, .. } = self;
        format!("{} {period} {threshold} {subject}", kind.word())
    }
}

#[cfg(test)]
mod tests;
