//! One direction of a TCP flow, put back in order.

use super::super::gather::Gather;
use super::super::look::Look;
use super::super::tls::LongHello;

/// Most bytes kept of one direction of a TCP flow: a hello with many tickets and key shares, a
/// request with cookies.
pub(super) const MAX_STREAM: usize = 32 * 1024;

/// What is kept of one direction of a TCP flow.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Sequence number of the stream's offset 0.
    pub(super) base: u32,
    pub(super) stream: Gather,
    /// The stream starts like a message with a name.
    pub(super) signed: bool,
    /// The first place where the capture cut a segment short: bytes from there on are missing for
    /// good.
    cut_at: Option<usize>,
    /// Segments put in while not signed.
    pub(super) waiting: u8,
    /// A hello that is longer than what is kept: what was read of it is dropped.
    pub(super) long: Option<Box<LongHello>>,
}

impl Lane {
    pub(super) fn at(base: u32) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds a segment. `false` if it does not fit.
    pub(super) fn add(&mut self, segment: &Segment<'_>) -> bool {
        let offset = segment.seq.wrapping_sub(self.base).cast_signed();
        let before = usize::try_from(offset.saturating_neg()).unwrap_or(0);
        let (Some(at), Some(bytes)) = (usize::try_from(offset.max(0)).ok(), segment.payload.get(before..)) else {
            return true; // all of it lies before what is of interest
        };
        if segment.is_cut() {
            let end = at + bytes.len();
            self.cut_at = Some(self.cut_at.map_or(end, |c| c.min(end)));
        }
        // With offload a segment may be longer than all that is kept.
        let bytes = bytes.get(..MAX_STREAM.saturating_sub(at)).unwrap_or(bytes);
        self.stream.insert(at, bytes, MAX_STREAM).is_ok()
    }

    /// Makes `seq` the start of the stream. `false` if that is too far away.
    pub(super) fn restart(&mut self, seq: u32) -> bool {
        let by = seq.wrapping_sub(self.base).cast_signed();
        self.base = seq;
        self.cut_at = None;
        self.stream.rebase(by.into(), MAX_STREAM).is_ok()
    }

    /// Reads a hello that is longer than what is kept as far as it is there, and drops that; then
    /// what the last segment has behind it.
    pub(super) fn read_long(&mut self, last: &Segment<'_>) -> Look {
        let hello = self.long.get_or_insert_default();
        loop {
            let prefix = self.stream.prefix();
            let passed = prefix.len();
            let look = hello.read(prefix);
            if passed == 0 || look != Look::MORE {
                return look;
            }
            self.base = self.base.wrapping_add(u32::try_from(passed).unwrap_or(0)); // below `MAX_STREAM`
            self.cut_at = self.cut_at.map(|at| at.saturating_sub(passed));
            // It cannot fail: only going back needs room.
            _ = self.stream.rebase(i64::try_from(passed).unwrap_or(0), MAX_STREAM);
            let behind = self.base.wrapping_sub(last.seq) as usize;
            if let Some(rest) = last.payload.get(behind..).and_then(|rest| rest.get(..MAX_STREAM.min(rest.len()))) {
                _ = self.stream.insert(0, rest, MAX_STREAM);
            }
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.stream.memory() + self.long.as_ref().map_or(0, |hello| hello.memory())
    }

    /// The stream cannot grow at its first hole, because the capture does not have the bytes.
    pub(super) fn is_stuck(&self) -> bool {
        self.cut_at == Some(self.stream.prefix().len())
    }
}

/// A TCP segment with payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) seq: u32,
    pub(super) payload: &'a [u8],
    pub(super) wire_len: u32,
}

impl Segment<'_> {
    fn is_cut(&self) -> bool {
        self.wire_len as usize > self.payload.len()
    }

    pub(super) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.wire_len)
    }

    pub(super) fn from(&self, passed: usize) -> Option<Self> {
        let n = u32::try_from(passed).ok()?;
        Some(Self {
            seq: self.seq.wrapping_add(n),
            payload: self.payload.get(passed..)?,
            wire_len: self.wire_len.saturating_sub(n),
        })
    }
}
