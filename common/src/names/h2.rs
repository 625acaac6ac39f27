//! Requests of a clear-text connection of HTTP/2 (RFC 9113 section 3.3): its client's side is read
//! from the preface on, frame by frame. Of a frame only a header block is kept.

use super::host::Host;
use super::hpack::{Broken, Table};
use crate::names::Name;

/// Longest header block kept; servers allow 16 KiB mostly.
const MAX_BLOCK: usize = 32 * 1024;

/// Header of a frame (RFC 9113 section 4.1).
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A request that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Bytes of this piece before its first frame; 0 if that began in an earlier piece.
    pub(crate) at: usize,
    pub(crate) host: Name,
    /// It asks a relay for that host.
    pub(crate) relayed: bool,
}

/// The client's side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    table: Table,
    /// The header of a frame, while it is not complete.
    head: Vec<u8>,
    /// Bytes of the frame that are to come.
    left: usize,
    kind: u8,
    flags: u8,
    block: Vec<u8>,
}

impl Requests {
    /// Reads what comes next behind the preface.
    ///
    /// # Errors
    /// [`Broken`] where the rest cannot be read.
    pub(crate) fn read(&mut self, piece: &[u8]) -> Result<Vec<Request>, Broken> {
        let (mut rest, mut found, mut begins) = (piece, Vec::new(), 0);
        loop {
            if self.left > 0 {
                let (body, behind) = rest.split_at(rest.len().min(self.left));
                self.left -= body.len();
                rest = behind;
                if matches!(self.kind, HEADERS | CONTINUATION) {
                    if self.block.len() + body.len() > MAX_BLOCK {
                        return Err(Broken);
                    }
                    self.block.extend_from_slice(body);
                }
                if self.left > 0 {
                    return Ok(found);
                }
                self.end_frame(begins, &mut found)?;
            }
            if rest.is_empty() {
                return Ok(found);
            }
            // Between frames of one block nothing else may come.
            if self.head.is_empty() && self.block.is_empty() {
                begins = piece.len() - rest.len();
            }
            let (head, behind) = rest.split_at(rest.len().min(FRAME_HEAD - self.head.len()));
            self.head.extend_from_slice(head);
            rest = behind;
            let Some([high, mid, low, kind, flags, ..]) = self.head.first_chunk::<FRAME_HEAD>().copied() else {
                return Ok(found);
            };
            self.head.clear();
            self.left = u32::from_be_bytes([0, high, mid, low]) as usize;
            (self.kind, self.flags) = (kind, flags);
            if self.left == 0 {
                self.end_frame(begins, &mut found)?;
            }
        }
    }

    fn end_frame(&mut self, at: usize, found: &mut Vec<Request>) -> Result<(), Broken> {
        if self.kind == HEADERS {
            let fragment = super::http::header_fragment(&self.block, self.flags).ok_or(Broken)?;
            self.block = fragment.to_vec();
        }
        if !matches!(self.kind, HEADERS | CONTINUATION) || self.flags & END_HEADERS == 0 {
            return Ok(());
        }
        let asked = self.table.read(&std::mem::take(&mut self.block))?;
        if let Some(asked) = asked
            && let Host::Name(host) = Host::of_authority(&asked.value)
        {
            found.push(Request { at, host, relayed: asked.connect });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn of_a_header_block_no_more_is_kept_than_servers_take() {
        // Fields without an index, with an empty name and an empty value.
        let begin = frame(HEADERS, 0, &[0; 3 * 5_000]);
        let more = frame(CONTINUATION, 0, &[0; 3 * 5_000]);
        let mut requests = Requests::default();
        assert_eq!(requests.read(&begin), Ok(vec![]));
        assert_eq!(requests.read(&more), Ok(vec![]));
        assert_eq!(requests.read(&more), Err(Broken));
        assert!(requests.block.capacity() <= 2 * MAX_BLOCK);
        // Of a body nothing is.
        let mut requests = Requests::default();
        assert_eq!(requests.read(&frame(0, 0, &[0; 4 * MAX_BLOCK])), Ok(vec![]));
        assert_eq!(requests.block.capacity(), 0);
    }
}
