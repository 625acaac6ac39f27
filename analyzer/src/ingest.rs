//! Inputs → observations. Segments and capture files go through one corridor: a capture is turned into the bytes of a
//! segment first, so that the same packets give the same books through either door.

mod book;
pub mod corridor;
mod find;
mod order;
mod run;

pub use book::{Ingest, IngestOutcome};
pub use find::{CAPTURES_FOLDER, find};
pub use order::in_order;
pub use run::{IngestError, Read, ReadOptions, Taker, read, read_into};
