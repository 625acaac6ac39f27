//! A sliding window over the input: the only place that holds bytes of the file.

use super::MAX_RECORD_BYTES;
use std::io::{self, ErrorKind, Read};

/// Size of the window: as measured, larger gains nothing and leaves the second-level cache.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes of the input that are not yet consumed, contiguous.
///
/// Grows beyond [`WINDOW_BYTES`] only when it is full of real bytes, so a length field alone never
/// takes memory.
pub(super) struct Window<R> {
    input: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes consumed: the place of `start` in the input.
    consumed: u64,
    /// Bytes given away by [`Self::skip`] since [`Self::settle`], for saying where a record began.
    passed_over: u64,
}

impl<R> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, bytes: vec![0; WINDOW_BYTES], start: 0, end: 0, consumed: 0, passed_over: 0 }
    }

    /// The bytes that are here and not consumed.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The place of the first unread byte in the input; while a skip is not settled, the place
    /// where it began.
    pub(super) fn offset(&self) -> u64 {
        self.consumed - self.passed_over
    }

    /// Bytes behind [`Self::offset`] that an unsettled skip has already given away.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Consumes the first `n` unread bytes (which must be there) and gives them back until the
    /// window is used again.
    #[inline]
    pub(super) fn lend(&mut self, n: usize) -> &[u8] {
        let from = self.start;
        self.start = self.end.min(from + n);
        self.consumed += (self.start - from) as u64;
        self.bytes.get(from..self.start).unwrap_or_default()
    }

    /// Forgets where the last skip began: what it passed over is a complete record.
    pub(super) fn settle(&mut self) {
        self.passed_over = 0;
    }

    pub(super) fn into_inner(self) -> R {
        self.input
    }

    pub(super) fn get_ref(&self) -> &R {
        &self.input
    }
}

impl<R: Read> Window<R> {
    /// Reads until at least `n` bytes (at most [`MAX_RECORD_BYTES`]) are unread; `false` where the
    /// input ends before.
    ///
    /// # Errors
    /// What the input gives; an interrupted read is repeated.
    #[inline]
    pub(super) fn fill_to(&mut self, n: usize) -> io::Result<bool> {
        if self.end - self.start >= n {
            return Ok(true);
        }
        self.fill_slowly(n.min(MAX_RECORD_BYTES))
    }

    fn fill_slowly(&mut self, n: usize) -> io::Result<bool> {
        while self.end - self.start < n {
            self.make_room();
            if self.read_once()? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves the unread bytes to the front, or, where they fill the window, doubles it.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    fn read_once(&mut self) -> io::Result<usize> {
        let free = self.bytes.get_mut(self.end..).unwrap_or_default();
        let room = free.len();
        loop {
            match self.input.read(free) {
                // A reader that claims more than it was offered is not believed.
                Ok(got) => {
                    let got = got.min(room);
                    self.end += got;
                    return Ok(got);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Consumes `n` bytes, however many, without holding them; `false` where the input ends before.
    /// Until [`Self::settle`], [`Self::offset`] names the place where the skip began.
    ///
    /// # Errors
    /// What the input gives.
    pub(super) fn skip(&mut self, n: u64) -> io::Result<bool> {
        let mut left = n;
        while left > 0 {
            if !self.fill_to(1)? {
                return Ok(false);
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread().len());
            self.lend(step);
            left -= step as u64;
            self.passed_over += step as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut window = Window::new(&[7_u8; 100][..]);
        assert!(!window.fill_to(MAX_RECORD_BYTES).unwrap());
        assert_eq!(window.unread().len(), 100);
        assert_eq!(window.bytes.len(), WINDOW_BYTES);
    }

    #[test]
    fn a_skip_past_the_end_says_where_it_began() {
        let input = vec![1_u8; 3 * WINDOW_BYTES];
        let mut window = Window::new(&input[..]);
        assert!(window.skip(10).unwrap());
        window.settle();
        assert!(!window.skip(u64::MAX).unwrap());
        assert_eq!(window.offset(), 10);
        assert_eq!(window.passed_over(), 3 * WINDOW_BYTES as u64 - 10);
    }

    #[test]
    fn it_grows_while_a_record_fills_it_and_no_further() {
        let input = vec![1_u8; 3 * WINDOW_BYTES];
        let mut window = Window::new(&input[..]);
        assert!(window.fill_to(2 * WINDOW_BYTES + 1).unwrap());
        assert_eq!(window.bytes.len(), 4 * WINDOW_BYTES);
        assert_eq!(window.lend(3 * WINDOW_BYTES).len(), 3 * WINDOW_BYTES);
        assert_eq!(window.offset(), 3 * WINDOW_BYTES as u64);
    }
}
