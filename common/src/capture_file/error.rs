//! What can be wrong with a capture file.

use super::Stop;
use super::window::Window;
use std::io;

/// What is wrong with a capture file, and where. The variant lets a caller choose its hint.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFileError {
    /// The first bytes are those of something else.
    #[error("this is {found}, not a capture file; pcap and pcapng are read")]
    NotACapture {
        /// What it is instead, as far as its first bytes tell, with an article. Safe to print.
        found: String,
    },
    /// The file ends inside a record. Everything before it was delivered.
    #[error(
        "the file ends inside {part} {number} at byte {end}: it begins at byte {offset} and has {have} of {need} bytes"
    )]
    Cut {
        /// What is cut: `packet`, `block` or `file header`.
        part: &'static str,
        /// Which packet (from 1) is cut or would have come next.
        number: u64,
        /// Where the file ends.
        end: u64,
        /// Where the cut record begins in the (decompressed) file.
        offset: u64,
        /// Bytes of the record that are there.
        have: u64,
        /// Bytes that it should have, as far as known.
        need: u64,
        /// Packets delivered before.
        packets: u64,
    },
    /// A record that does not fit the format. Nothing behind it can be trusted.
    #[error("damaged at byte {offset}, after {packets} packets: {what}")]
    Damaged {
        /// What was found, and what was expected.
        what: String,
        /// Where the record begins in the (decompressed) file.
        offset: u64,
        /// Packets delivered before.
        packets: u64,
    },
    /// The input failed: a disk, a pipe, or compressed data that is cut or damaged.
    #[error("reading stopped at byte {offset}, after {packets} packets: {source}")]
    Io {
        /// Where in the (decompressed) file.
        offset: u64,
        /// Packets delivered before.
        packets: u64,
        /// What the input said.
        source: io::Error,
    },
}

impl CaptureFileError {
    /// Adds to `stop` where the reader stands.
    pub(super) fn at<R>(stop: Stop, window: &Window<R>, packets: u64) -> Self {
        let offset = window.offset();
        match stop {
            Stop::Damaged(what) => Self::Damaged { what, offset, packets },
            Stop::Io(source) => {
                Self::Io { offset: offset + window.passed_over() + window.unread().len() as u64, packets, source }
            }
            Stop::Cut { part, need } => {
                let have = window.passed_over() + window.unread().len() as u64;
                Self::Cut { part, number: packets + 1, end: offset + have, offset, have, need, packets }
            }
        }
    }

    /// Packets delivered before the error.
    pub fn packets(&self) -> u64 {
        match self {
            Self::NotACapture { .. } => 0,
            Self::Cut { packets, .. } | Self::Damaged { packets, .. } | Self::Io { packets, .. } => *packets,
        }
    }
}
