//! Bounded in-order delivery of one direction of a TCP connection.
//!
//! The first copy of a byte wins, as in most receivers: a later copy with other content changes
//! nothing.

use std::mem;

/// Most gaps that may wait to be filled. A sender in normal reordering leaves one or two; 64 allows
/// that a whole initial window (10 segments, RFC 6928) arrives in any order, several times over,
/// and keeps every call short.
const MAX_PIECES: usize = 64;

/// Segments further ahead than this are not of this connection: no TCP window is larger (RFC 7323
/// section 2.3).
const MAX_WINDOW: u32 = 1 << 30;

/// How far before the first segment seen the stream may turn out to begin, in bytes. A guess: 45
/// full segments, more than the initial window of any sender, so that a capture that starts in the
/// middle of reordered packets is put right.
const MAX_START_SHIFT: u32 = 65_536;

/// Spare room kept in an emptied buffer, in bytes; more is given back, as thousands of connections
/// may be idle.
const KEPT_CAPACITY: usize = 2_048;

/// Why an [`Assembler`] delivers nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveUp {
    /// More bytes wait than the bound allows.
    Full,
    /// Bytes are missing that will not come (cut by the capture, or lost before it).
    Hole,
}

/// Bytes that arrived before those in front of them.
#[derive(Debug)]
struct Piece {
    seq: u32,
    bytes: Vec<u8>,
}

/// Puts the TCP segments of one direction in order, from the first one pushed, within a bound of
/// memory.
///
/// The stream begins after the SYN. Where no SYN was seen it begins at the first segment with
/// payload; a segment from shortly before may still move the beginning back, until the SYN is seen
/// or something is consumed. A SYN with another sequence number begins a new connection: what was
/// held is forgotten.
///
/// Memory: at most the limit, plus a list of 64 pieces, plus the slack of growing vectors (at most
/// as much again).
#[derive(Debug, Default)]
pub struct Assembler {
    limit_bytes: usize,
    /// Bytes in order; those before `consumed` are done with.
    buffer: Vec<u8>,
    consumed: usize,
    /// Sequence number of the byte after `buffer`; `None` before the first byte is known.
    next: Option<u32>,
    /// Sequence number of the SYN.
    syn: Option<u32>,
    /// The beginning is settled: by a SYN, or because bytes were consumed.
    anchored: bool,
    /// Ordered by distance from `next`, not overlapping, none empty, all ahead of `next`.
    waiting: Vec<Piece>,
    waiting_bytes: usize,
    /// From here on the wire had bytes that the capture cut; the nearest such place that is known.
    cut: Option<u32>,
    gave_up: Option<GaveUp>,
}

impl Assembler {
    /// An assembler that holds at most `limit_bytes`, waiting pieces included.
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, ..Self::default() }
    }

    /// Adds the payload of a TCP segment: the sequence number of its first byte (of one with a SYN:
    /// what [`Self::syn`] gives), what was captured of it, and its length on the wire (larger than
    /// `payload` where the capture was cut).
    ///
    /// # Errors
    /// [`GaveUp`]; from then on every call gives it again. [`Self::ready`] still gives the bytes
    /// before the fault.
    pub fn push(&mut self, seq: u32, payload: &[u8], wire_len: u32) -> Result<(), GaveUp> {
        if let Some(reason) = self.gave_up {
            return Err(reason);
        }
        let result = self.add(seq, payload, wire_len);
        self.gave_up = result.err();
        result
    }

    /// The bytes in order that were not consumed yet.
    pub fn ready(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or(&[])
    }

    /// Forgets the first `n` bytes of [`Self::ready`].
    pub fn consume(&mut self, n: usize) {
        let held = self.ready().len();
        self.anchored |= n > 0;
        self.consumed += n.min(held);
        if n >= held {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_CAPACITY);
            self.consumed = 0;
        } else if self.consumed >= held {
            // As many bytes were consumed since the last move as are moved now: constant cost for
            // each byte.
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Goes on behind missing bytes, at the first piece that waits; [`GaveUp`] is taken back. What
    /// was ready and not consumed is forgotten, as the bytes behind the gap must not join it.
    /// Without a waiting piece the stream begins anew with the next segment.
    pub fn skip_gap(&mut self) {
        self.buffer.clear();
        self.consumed = 0;
        self.gave_up = None;
        self.cut = None;
        self.next = self.waiting.first().map(|piece| piece.seq);
        self.anchored = self.next.is_some();
        self.drain();
    }

    /// Whether no byte is held, ready or waiting.
    pub fn is_idle(&self) -> bool {
        self.ready().is_empty() && self.waiting.is_empty()
    }

    /// Bytes of memory that are held, without the fixed part.
    pub fn held_bytes(&self) -> usize {
        let pieces: usize = self.waiting.iter().map(|piece| piece.bytes.capacity()).sum();
        self.buffer.capacity() + pieces + self.waiting.capacity() * mem::size_of::<Piece>()
    }

    /// Notes a SYN and gives the sequence number of the first byte after it: it takes one number
    /// (RFC 9293 section 3.4).
    pub fn syn(&mut self, syn: u32) -> u32 {
        let first = syn.wrapping_add(1);
        if self.syn == Some(syn) || self.gave_up.is_some() {
            return first; // sent again, or too late
        }
        let late = !self.anchored && self.start().is_some_and(|start| start.wrapping_sub(first) <= MAX_START_SHIFT);
        if late {
            self.move_start_back(first, &[]);
        } else {
            let limit_bytes = self.limit_bytes;
            *self = Self { next: Some(first), ..Self::new(limit_bytes) };
        }
        self.syn = Some(syn);
        self.anchored = true;
        first
    }

    fn add(&mut self, seq: u32, payload: &[u8], wire_len: u32) -> Result<(), GaveUp> {
        let captured = u32::try_from(payload.len()).map_err(|_| GaveUp::Full)?;
        if captured.max(wire_len) == 0 || self.is_probe(seq, payload) {
            return Ok(());
        }
        if let Some(start) = self.start().filter(|_| !self.anchored) {
            let back = start.wrapping_sub(seq);
            if (1..=MAX_START_SHIFT).contains(&back) {
                let before = payload.get(..back as usize).unwrap_or(payload);
                self.check_room(before.len())?;
                if self.waiting.len() >= MAX_PIECES {
                    return Err(GaveUp::Full);
                }
                self.move_start_back(seq, before);
            }
        }
        let next = *self.next.get_or_insert(seq);
        let ahead = seq.wrapping_sub(next);
        let behind = next.wrapping_sub(seq);
        if ahead.min(behind) > MAX_WINDOW {
            return Ok(()); // of another connection, or forged
        }
        if behind <= MAX_WINDOW {
            self.add_in_order(payload.get(behind as usize..).unwrap_or(&[]))?;
        } else {
            self.add_ahead(seq, payload)?;
            self.drain();
        }
        self.judge_cut(seq, captured, wire_len)
    }

    /// A keep-alive probe that carries a byte: the one before the next (RFC 9293 section 3.8.4),
    /// zero in practice. Only where it could be taken for the beginning; elsewhere its byte is a
    /// repetition.
    fn is_probe(&self, seq: u32, payload: &[u8]) -> bool {
        payload == [0] && !self.anchored && self.start().is_none_or(|start| start.wrapping_sub(seq) == 1)
    }

    /// Sequence number of the first byte held. Right only as long as nothing was consumed, that is,
    /// until anchored.
    fn start(&self) -> Option<u32> {
        // The buffer is bounded by a limit far below 4 GiB; a larger one would only make the guess
        // useless.
        self.next.map(|next| next.wrapping_sub(u32::try_from(self.buffer.len()).unwrap_or(u32::MAX)))
    }

    /// Makes `seq` the beginning, with `bytes` there. What was in order waits if there is a gap
    /// behind them.
    fn move_start_back(&mut self, seq: u32, bytes: &[u8]) {
        let Some(start) = self.start() else { return };
        let later = mem::replace(&mut self.buffer, bytes.to_vec());
        self.next = Some(seq.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        if !later.is_empty() {
            self.waiting_bytes += later.len();
            self.waiting.insert(0, Piece { seq: start, bytes: later });
        }
        self.drain();
    }

    fn add_in_order(&mut self, bytes: &[u8]) -> Result<(), GaveUp> {
        let Some(next) = self.next else { return Ok(()) };
        if !self.waiting.is_empty() {
            self.add_ahead(next, bytes)?;
            self.drain();
            return Ok(());
        }
        let room = self.limit_bytes.saturating_sub(self.ready().len());
        let fits = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(fits);
        self.next = Some(next.wrapping_add(u32::try_from(fits.len()).unwrap_or(u32::MAX)));
        if fits.len() < bytes.len() { Err(GaveUp::Full) } else { Ok(()) }
    }

    /// Keeps those of `bytes`, which begin at or after `next`, that do not wait already.
    fn add_ahead(&mut self, seq: u32, bytes: &[u8]) -> Result<(), GaveUp> {
        let Some(next) = self.next else { return Ok(()) };
        let mut at = seq.wrapping_sub(next) as usize;
        let mut rest = bytes;
        let mut index = 0;
        while !rest.is_empty() {
            let piece = self.waiting.get(index);
            let (from, to) = piece.map_or((usize::MAX, usize::MAX), |p| {
                let from = p.seq.wrapping_sub(next) as usize;
                (from, from + p.bytes.len())
            });
            if at < from {
                let (fresh, tail) = rest.split_at_checked(from - at).unwrap_or((rest, &[]));
                index = self.insert(index, at, fresh)? + 1;
                at += fresh.len();
                rest = tail;
            } else {
                if at < to {
                    rest = rest.get(to - at..).unwrap_or(&[]);
                    at = to;
                }
                index += 1;
            }
        }
        Ok(())
    }

    /// Puts `bytes`, `at` bytes after `next`, before the waiting piece `index`, or at the end of
    /// the piece before it. Gives the index at which they are.
    fn insert(&mut self, index: usize, at: usize, bytes: &[u8]) -> Result<usize, GaveUp> {
        self.check_room(bytes.len())?;
        let offset = u32::try_from(at).map_err(|_| GaveUp::Full)?;
        let seq = self.next.unwrap_or_default().wrapping_add(offset);
        let before = index.checked_sub(1);
        let neighbour = before.and_then(|i| self.waiting.get_mut(i)).filter(|piece| piece.end() == seq);
        let place = if let (Some(piece), Some(i)) = (neighbour, before) {
            piece.bytes.extend_from_slice(bytes);
            i
        } else if self.waiting.len() >= MAX_PIECES {
            return Err(GaveUp::Full);
        } else {
            self.waiting.insert(index, Piece { seq, bytes: bytes.to_vec() });
            index
        };
        self.waiting_bytes += bytes.len();
        Ok(place)
    }

    /// Moves waiting pieces that have become the next into the buffer.
    fn drain(&mut self) {
        let Some(mut next) = self.next else { return };
        let mut done = 0;
        for piece in &mut self.waiting {
            if piece.seq != next {
                break;
            }
            next = piece.end();
            self.waiting_bytes -= piece.bytes.len();
            if self.buffer.is_empty() {
                self.buffer = mem::take(&mut piece.bytes);
            } else {
                self.buffer.append(&mut piece.bytes);
            }
            done += 1;
        }
        self.waiting.drain(..done);
        self.next = Some(next);
    }

    fn check_room(&self, more: usize) -> Result<(), GaveUp> {
        let held = self.ready().len() + self.waiting_bytes;
        if held + more > self.limit_bytes { Err(GaveUp::Full) } else { Ok(()) }
    }

    /// Notes that the capture cut the segment, and says so as soon as the bytes in order reach the
    /// cut.
    fn judge_cut(&mut self, seq: u32, captured: u32, wire_len: u32) -> Result<(), GaveUp> {
        let Some(next) = self.next else { return Ok(()) };
        let distance = |to: u32| to.wrapping_sub(next) as i32;
        if wire_len > captured && distance(seq.wrapping_add(wire_len)) > 0 {
            let from = seq.wrapping_add(captured);
            let from = if distance(from) < 0 { next } else { from };
            self.cut = Some(self.cut.filter(|at| (0..distance(from)).contains(&distance(*at))).unwrap_or(from));
        }
        if self.cut == Some(next) { Err(GaveUp::Hole) } else { Ok(()) }
    }
}

impl Piece {
    fn end(&self) -> u32 {
        // Pieces are bounded by the limit, far below 4 GiB.
        self.seq.wrapping_add(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn push(a: &mut Assembler, seq: u32, bytes: &[u8]) -> Result<(), GaveUp> {
        a.push(seq, bytes, bytes.len() as u32)
    }

    /// A segment with a SYN.
    fn open(a: &mut Assembler, isn: u32, bytes: &[u8]) {
        let seq = a.syn(isn);
        push(a, seq, bytes).unwrap();
    }

    #[test]
    fn the_first_byte_is_the_one_after_the_syn() {
        let mut a = Assembler::new(100);
        open(&mut a, u32::MAX, b"");
        push(&mut a, 3, b"de").unwrap();
        assert_eq!(a.ready(), b"");
        push(&mut a, 0, b"abc").unwrap();
        assert_eq!(a.ready(), b"abcde");
        open(&mut a, u32::MAX, b""); // sent again
        assert_eq!(a.ready(), b"abcde");
    }

    #[test]
    fn a_syn_may_carry_data_and_may_come_late() {
        let mut a = Assembler::new(100); // TCP Fast Open, RFC 7413
        open(&mut a, 9, b"abc");
        push(&mut a, 13, b"d").unwrap();
        assert_eq!(a.ready(), b"abcd");

        let mut a = Assembler::new(100);
        push(&mut a, 13, b"def").unwrap();
        open(&mut a, 9, b"");
        assert_eq!(a.ready(), b"");
        push(&mut a, 10, b"abc").unwrap();
        assert_eq!(a.ready(), b"abcdef");
    }

    #[test]
    fn a_new_syn_begins_anew() {
        let mut a = Assembler::new(100);
        open(&mut a, 9, b"");
        push(&mut a, 10, b"old").unwrap();
        open(&mut a, 5_000_000, b"");
        push(&mut a, 5_000_001, b"new").unwrap();
        assert_eq!(a.ready(), b"new");
    }

    #[test]
    fn without_a_syn_reordering_at_the_start_is_put_right() {
        let mut a = Assembler::new(100);
        push(&mut a, 106, b"ghi").unwrap();
        push(&mut a, 100, b"abc").unwrap();
        assert_eq!(a.ready(), b"abc");
        push(&mut a, 103, b"def").unwrap();
        assert_eq!(a.ready(), b"abcdefghi");
        push(&mut a, 98, b"yzXX").unwrap();
        assert_eq!(a.ready(), b"yzabcdefghi");
        a.consume(2);
        push(&mut a, 90, b"tooold").unwrap();
        assert_eq!(a.ready(), b"abcdefghi");
    }

    #[test]
    fn the_first_copy_wins() {
        let mut a = Assembler::new(100);
        open(&mut a, 0, b"");
        push(&mut a, 4, b"DEF").unwrap();
        push(&mut a, 9, b"IJ").unwrap();
        push(&mut a, 1, b"abcdefghijklm").unwrap();
        assert_eq!(a.ready(), b"abcDEFghIJklm");
        push(&mut a, 12, b"XXn").unwrap();
        assert_eq!(a.ready(), b"abcDEFghIJklmn");
    }

    #[test]
    fn keep_alive_probes_change_nothing() {
        let mut a = Assembler::new(100);
        push(&mut a, 99, &[0]).unwrap(); // before anything
        push(&mut a, 100, b"ab").unwrap();
        push(&mut a, 99, &[0]).unwrap();
        push(&mut a, 101, &[0]).unwrap();
        assert_eq!(a.ready(), b"ab");
        a.consume(2);
        push(&mut a, 101, &[0]).unwrap();
        assert_eq!(a.ready(), b"");
        push(&mut a, 102, b"c").unwrap();
        assert_eq!(a.ready(), b"c");
    }

    #[test]
    fn a_cut_segment_leaves_a_hole_that_nothing_joins() {
        let mut a = Assembler::new(100);
        assert_eq!(a.push(1, b"abc", 5), Err(GaveUp::Hole));
        assert_eq!(push(&mut a, 6, b"fgh"), Err(GaveUp::Hole));
        assert_eq!(a.ready(), b"abc");

        let mut a = Assembler::new(100);
        open(&mut a, 0, b"");
        a.push(4, b"d", 2).unwrap(); // ahead and cut: known, not yet reached
        assert_eq!(push(&mut a, 1, b"abc"), Err(GaveUp::Hole));
        assert_eq!(a.ready(), b"abcd");

        let mut a = Assembler::new(100);
        open(&mut a, 0, b"");
        a.push(4, b"d", 2).unwrap();
        push(&mut a, 4, b"de").unwrap(); // another copy fills the cut
        push(&mut a, 1, b"abc").unwrap();
        a.push(1, b"a", 5).unwrap(); // repetition, cut: all is there
        assert_eq!(a.ready(), b"abcde");
        assert_eq!(a.push(6, b"", 9), Err(GaveUp::Hole)); // headers only
    }

    #[test]
    fn more_than_the_limit_is_given_up_for_good() {
        let mut a = Assembler::new(4);
        assert_eq!(push(&mut a, 1, b"abcdef"), Err(GaveUp::Full));
        assert_eq!(a.ready(), b"abcd");
        a.consume(4);
        assert_eq!(push(&mut a, 5, b"e"), Err(GaveUp::Full));

        let mut a = Assembler::new(1_000_000);
        open(&mut a, 0, b"");
        let outcomes: Vec<_> = (1..=70).map(|i| push(&mut a, 2 * i, b"x")).collect();
        assert_eq!(outcomes.iter().filter(|r| r.is_ok()).count(), MAX_PIECES);
    }

    #[test]
    fn consuming_lets_a_long_stream_through_a_small_limit() {
        let mut a = Assembler::new(10);
        let mut seq = u32::MAX - 500;
        for round in 0..1000_u32 {
            push(&mut a, seq, &round.to_be_bytes()).unwrap();
            seq = seq.wrapping_add(4);
            if round % 2 == 1 {
                assert_eq!(a.ready(), [(round - 1).to_be_bytes(), round.to_be_bytes()].concat());
                a.consume(5);
                a.consume(3);
            }
        }
        assert!(a.held_bytes() < 100);
    }

    #[test]
    fn a_gap_can_be_skipped() {
        let mut a = Assembler::new(8);
        open(&mut a, 0, b"");
        push(&mut a, 1, b"ab").unwrap();
        push(&mut a, 6, b"fghi").unwrap();
        assert_eq!(push(&mut a, 10, b"jkl"), Err(GaveUp::Full));
        a.skip_gap();
        assert_eq!(a.ready(), b"fghi");
        push(&mut a, 10, b"jkl").unwrap();
        assert_eq!(a.ready(), b"fghijkl");
    }

    #[test]
    fn segments_of_another_connection_are_passed_over() {
        let mut a = Assembler::new(100);
        push(&mut a, 1, b"ab").unwrap();
        push(&mut a, 0x6000_0000, b"zz").unwrap();
        push(&mut a, 3, b"c").unwrap();
        assert_eq!(a.ready(), b"abc");
    }

    #[test]
    fn a_start_that_moves_back_again_and_again_is_given_up() {
        let mut a = Assembler::new(1_000_000);
        let outcomes: Vec<_> = (1..=200).rev().map(|i| push(&mut a, 2 * i, b"x")).collect();
        assert!(outcomes.iter().filter(|r| r.is_ok()).count() <= MAX_PIECES + 1);
    }

    proptest! {
        /// Any segments with any content, against a map from position to the first byte that came
        /// for it.
        #[test]
        fn what_is_ready_is_what_a_map_of_first_copies_holds(
            isn: u32,
            segments in prop::collection::vec((0u32..60, prop::collection::vec(any::<u8>(), 0..20)), 0..40),
        ) {
            let mut a = Assembler::new(10_000);
            open(&mut a, isn, b"");
            let mut first = HashMap::new();
            for (at, bytes) in &segments {
                a.push(isn.wrapping_add(1).wrapping_add(*at), bytes, bytes.len() as u32).unwrap();
                for (i, byte) in bytes.iter().enumerate() {
                    first.entry(*at as usize + i).or_insert(*byte);
                }
                let expected: Vec<u8> = (0..).map_while(|i| first.get(&i).copied()).collect();
                prop_assert_eq!(a.ready(), &expected[..]);
            }
        }

        /// Whatever comes, memory stays within the bound and nothing panics.
        #[test]
        fn hostile_segments_stay_within_the_bound(
            segments in prop::collection::vec(
                (any::<u32>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..300), 0u32..400, 0usize..50), 0..60),
            near: bool,
        ) {
            let mut a = Assembler::new(1_000);
            for (seq, syn, bytes, wire, consume) in segments {
                let seq = if near { seq % 2_000 } else { seq };
                let seq = if syn && seq % 8 == 0 { a.syn(seq) } else { seq };
                _ = a.push(seq, &bytes, wire);
                prop_assert!(a.ready().len() <= 1_000);
                prop_assert!(a.held_bytes() <= 4 * 1_000 + 3 * MAX_PIECES * mem::size_of::<Piece>());
                a.consume(consume);
                if seq % 5 == 0 { a.skip_gap(); }
            }
        }
    }
}
