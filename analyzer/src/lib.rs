//! The analyzer: segments and capture files → attribution → store → report.
//!
//! ```text
//! segment ─┐
//!          ├─► ingest ─► attribution ─► store ─► books::Books ─► report ─► table, JSON, CSV
//! capture ─┘                 └── in memory, for FILE arguments ──┘
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

pub mod alert;
pub mod archive;
pub mod attribution;
pub mod books;
pub mod calibration;
pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod exported;
pub mod files;
pub mod idn;
pub mod imported;
pub mod ingest;
pub mod input;
pub mod output;
pub mod owners;
pub mod page;
pub mod plan;
pub mod progress;
pub mod punycode;
pub mod question;
pub mod range;
pub mod reach;
pub mod recorders;
pub mod removal;
pub mod report;
pub mod resolve;
pub mod rollup;
pub mod sandbox;
pub mod say;
pub mod score;
pub mod site;
pub mod start;
pub mod store;
pub mod table;
pub mod threads;
pub mod timeline;
pub mod top;
pub mod version;
