//! Bytes of a stream that arrive in pieces, at known offsets and in any order.
//!
//! TCP segments, QUIC CRYPTO frames and DTLS fragments all end here. The first piece to bring a
//! byte wins: what was looked at once cannot be changed by a later overlap.

use std::ops::Range;

/// Most separate stretches held at a time. Chrome cuts a QUIC hello into a few dozen shuffled
/// frames; a sender that leaves more holes than this is not one whose name can be read, and each
/// stretch costs time on each insertion.
const MAX_STRETCHES: usize = 128;

/// A piece did not fit within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// The pieces so far.
#[derive(Debug, Default)]
pub(super) struct Gather {
    bytes: Vec<u8>,
    /// Sorted, disjoint, not adjacent, not empty; all within `bytes`.
    known: Vec<Range<usize>>,
}

impl Gather {
    /// Adds `piece` at offset `at`; `limit` bounds the end of the stream.
    ///
    /// # Errors
    /// [`Full`] if the piece ends beyond `limit` or would be one stretch too many; nothing is added
    /// then.
    pub(super) fn insert(&mut self, at: usize, piece: &[u8], limit: usize) -> Result<(), Full> {
        let end = at.checked_add(piece.len()).filter(|end| *end <= limit).ok_or(Full)?;
        if piece.is_empty() {
            return Ok(());
        }
        let first = self.known.partition_point(|r| r.end < at);
        let past = self.known.partition_point(|r| r.start <= end);
        if first == past && self.known.len() >= MAX_STRETCHES {
            return Err(Full);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut from = at;
        let mut joined = at..end;
        for old in self.known.get(first..past).unwrap_or_default() {
            copy(&mut self.bytes, from..old.start.min(end), piece, at);
            from = from.max(old.end);
            joined = joined.start.min(old.start)..joined.end.max(old.end);
        }
        copy(&mut self.bytes, from..end, piece, at);
        self.known.splice(first..past, [joined]);
        Ok(())
    }

    /// The bytes from offset 0 up to the first hole.
    pub(super) fn prefix(&self) -> &[u8] {
        let len = self.known.first().filter(|r| r.start == 0).map_or(0, |r| r.end);
        self.bytes.get(..len).unwrap_or_default()
    }

    /// The stretches behind the first hole, in order.
    pub(super) fn islands(&self) -> impl Iterator<Item = &[u8]> {
        self.known.iter().filter(|r| r.start > 0).filter_map(|r| self.bytes.get(r.clone()))
    }

    /// Moves offset 0 by `by` bytes: back (negative; the new room is a hole) or forward (the bytes
    /// before are dropped).
    ///
    /// # Errors
    /// [`Full`] if the stream would end beyond `limit` then; nothing is moved.
    pub(super) fn rebase(&mut self, by: i64, limit: usize) -> Result<(), Full> {
        let n = usize::try_from(by.unsigned_abs()).map_err(|_| Full)?;
        if by < 0 {
            if self.bytes.len().saturating_add(n) > limit {
                return Err(Full);
            }
            self.bytes.splice(..0, std::iter::repeat_n(0, n));
            self.known.iter_mut().for_each(|r| *r = r.start + n..r.end + n);
        } else {
            self.bytes.drain(..n.min(self.bytes.len()));
            self.known.retain_mut(|r| {
                *r = r.start.saturating_sub(n)..r.end.saturating_sub(n);
                r.start < r.end
            });
        }
        Ok(())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.known.capacity() * size_of::<Range<usize>>()
    }
}

/// Copies the part `range` (of the stream) out of `piece`, which starts at offset `at` of it.
fn copy(bytes: &mut [u8], range: Range<usize>, piece: &[u8], at: usize) {
    if range.start >= range.end || range.start < at {
        return;
    }
    let source = piece.get(range.start - at..range.end - at);
    if let (Some(to), Some(from)) = (bytes.get_mut(range), source) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_in_any_order_make_the_stream() {
        let mut g = Gather::default();
        g.insert(4, b"ef", 99).unwrap();
        assert_eq!(g.prefix(), b"");
        assert_eq!(g.islands().collect::<Vec<_>>(), [b"ef"]);
        g.insert(0, b"ab", 99).unwrap();
        assert_eq!(g.prefix(), b"ab");
        g.insert(1, b"XcdXX", 99).unwrap();
        assert_eq!(g.prefix(), b"abcdef");
        assert_eq!(g.islands().count(), 0);
    }

    #[test]
    fn a_piece_beyond_the_limit_changes_nothing() {
        let mut g = Gather::default();
        g.insert(0, b"ab", 4).unwrap();
        assert_eq!(g.insert(2, b"cde", 4), Err(Full));
        assert_eq!(g.insert(usize::MAX, b"c", 4), Err(Full));
        assert_eq!(g.prefix(), b"ab");
    }

    #[test]
    fn moving_the_start_keeps_the_bytes() {
        let mut g = Gather::default();
        g.insert(0, b"cd", 9).unwrap();
        g.rebase(-2, 9).unwrap();
        g.insert(0, b"ab", 9).unwrap();
        assert_eq!(g.prefix(), b"abcd");
        g.rebase(3, 9).unwrap();
        assert_eq!(g.prefix(), b"d");
        assert_eq!(g.rebase(-9, 9), Err(Full));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map_of_bytes(pieces in prop::collection::vec((0usize..80, prop::collection::vec(any::<u8>(), 0..12)), 0..40)) {
            let mut g = Gather::default();
            let mut map = std::collections::BTreeMap::new();
            for (at, piece) in &pieces {
                g.insert(*at, piece, 200).unwrap();
                for (i, b) in piece.iter().enumerate() {
                    map.entry(at + i).or_insert(*b);
                }
            }
            let prefix: Vec<u8> = (0..).map_while(|i| map.get(&i).copied()).collect();
            prop_assert_eq!(g.prefix(), &prefix[..]);
            let islands: usize = g.islands().map(<[u8]>::len).sum();
            prop_assert_eq!(islands + prefix.len(), map.len());
        }
    }
}
