//! An alert on its way from the process that reads to the one that runs a program: values in a
//! fixed order, so that the other one has nothing to understand.

use super::Event;
use crate::error::shown;
use std::io::{self, ErrorKind, Read, Write};

/// Longest message: a line, and names of sites of at most 255 characters.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// Longest single value.
const MAX_VALUE_BYTES: usize = 1_000;

/// What the values are called in the environment of the program, in their order.
pub const VARIABLES: [&str; 7] = [
    "IMON_ALERT",
    "IMON_ALERT_KIND",
    "IMON_ALERT_SUBJECT",
    "IMON_ALERT_PERIOD",
    "IMON_ALERT_THRESHOLD",
    "IMON_ALERT_VALUE",
    "IMON_ALERT_LIMIT",
];

/// The values of an alert, one for each of [`VARIABLES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(pub [String; VARIABLES.len()]);

impl Message {
    /// The values of an event.
    pub fn of(event: &Event) -> Self {
        let Event { kind, subject, period, threshold, value, limit, line } = event;
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        let values = [
            line.clone(),
            kind.word().to_owned(),
            subject.clone(),
            period.clone(),
            threshold.clone(),
            value.to_string(),
            limit,
        ];
        // What moves a cursor or ends a value is in none.
        Self(values.map(|value| {
            let value = shown(&value);
            let end = (0..=MAX_VALUE_BYTES.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
            value.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
        }))
    }

    /// Writes it: its length, then the values with a NUL between.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let bytes = self.0.join("\0").into_bytes();
        let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(&bytes)?;
        out.flush()
    }

    /// Reads one; `None` at the end.
    ///
    /// # Errors
    /// It is longer than allowed, has other values, or those of `input`.
    pub fn read(input: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut len = [0; 4];
        match input.read_exact(&mut len) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
        let refused = || io::Error::new(ErrorKind::InvalidData, "it is no alert");
        if len > MAX_MESSAGE_BYTES {
            return Err(refused());
        }
        let mut bytes = vec![0; len];
        input.read_exact(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| refused())?;
        let values: Vec<String> = text.split('\0').map(shown).collect();
        values.try_into().map(|values| Some(Self(values))).map_err(|_| refused())
    }
}
