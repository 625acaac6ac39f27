//! Inputs → observations. Segments and capture files go through one corridor: a capture that is
//! kept is turned into the bytes of a segment first, and one that is not gives what these would, so
//! that the same packets give the same books through either door.

mod beside;
mod book;
mod corridor;
mod find;
mod follow;
mod interval;
mod keep;
mod merge;
mod metered;
mod order;
mod overheard;
mod pass;
mod plan;
mod run;
mod same;
mod servers;
mod times;

pub use book::{Ingest, IngestOutcome, Outcomes, Rebuilt};
pub use corridor::CaptureRun;
pub use find::{CAPTURES_FOLDER, Inputs, captures_of, find, find_to_book, inputs, is_segment_name};
pub use keep::{is_kept, remove_doomed};
pub use merge::read_all;
pub use order::{Found, in_order, twins};
pub use overheard::{Ear, Overheard};
pub use run::{IngestError, Read, ReadOptions, Taker};
pub use same::{Copied, leave_out_copies};
pub use servers::{PublicServer, PublicServers};
pub use times::TimeKeeper;
