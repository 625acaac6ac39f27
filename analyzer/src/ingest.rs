//! Inputs → observations. Segments and capture files go through one corridor: a capture is turned into the bytes of a
//! segment first, so that the same packets give the same books through either door.

pub mod corridor;
mod find;
mod run;

pub use find::{Found, FoundKind, find};
pub use run::{Ingest, IngestError, IngestOutcome, Read, ReadOptions, read, read_into};
