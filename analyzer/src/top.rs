//! A live view: what passes now, by site, device, host and page, while the recorder writes it.
//!
//! ```text
//! open segments ─► follow ─► attribution ─► live ─► snapshot ─► screen ─► terminal
//!                                            ▲                     ▲
//!                           the store's sums ┘              keys ──┘
//! ```
//! Nothing is written: segments are followed as they grow, and the store is only read. What is
//! shown is the verdict so far ([`crate::attribution::SoFar`]), by the same rules as in a report.

pub mod cells;
pub mod draw;
pub mod follow;
pub mod live;
pub mod once;
pub mod paged;
pub mod screen;
pub mod snapshot;
pub mod terminal;
