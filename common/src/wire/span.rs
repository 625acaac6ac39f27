//! Bytes of one layer together with their length on the wire.

use super::Fault;

/// What was captured of a layer, and how long it was on the wire. A `Copy` value: reading gives the
/// rest back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    /// Captured bytes, never more than `wire`.
    pub(super) bytes: &'a [u8],
    /// Length on the wire in bytes. Below the outermost IP header nothing states it that could be
    /// believed, so there it only means "no bound".
    pub(super) wire: u32,
}

/// Where in a frame the bytes of a later layer begin, which are a part of it.
#[inline]
pub(super) fn offset(frame: &[u8], layer: &[u8]) -> u32 {
    layer.as_ptr().addr().wrapping_sub(frame.as_ptr().addr()) as u32 // frames are shorter than 4 GiB
}

impl<'a> Span<'a> {
    /// The span of a frame, in front of any IP header.
    pub(super) fn unbounded(bytes: &'a [u8]) -> Self {
        Self { bytes, wire: u32::MAX }
    }

    /// The first `wire` bytes of this span, as far as they were captured.
    #[inline]
    pub(super) fn with_length(self, wire: u32) -> Self {
        let end = usize::try_from(wire).unwrap_or(usize::MAX);
        Self { bytes: self.bytes.get(..end).unwrap_or(self.bytes), wire }
    }

    /// The next `N` bytes and what follows them.
    ///
    /// # Errors
    /// As [`Span::skip`].
    #[inline]
    pub(super) fn split<const N: usize>(self) -> Result<(&'a [u8; N], Self), Fault> {
        let (head, bytes) = self.bytes.split_first_chunk::<N>().ok_or(self.shortage(N))?;
        Ok((head, Self { bytes, wire: self.wire.saturating_sub(N as u32) }))
    }

    /// What follows the next `n` bytes.
    ///
    /// # Errors
    /// `Malformed` where the packet itself ends earlier, `Truncated` where only the capture does.
    #[inline]
    pub(super) fn skip(self, n: usize) -> Result<Self, Fault> {
        let bytes = self.bytes.get(n..).ok_or(self.shortage(n))?;
        Ok(Self { bytes, wire: self.wire.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX)) })
    }

    /// The big-endian number at `offset`.
    #[inline]
    pub(super) fn be_u16_at(self, offset: usize) -> Option<u16> {
        self.bytes.get(offset..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// The byte at `offset`.
    #[inline]
    pub(super) fn u8_at(self, offset: usize) -> Option<u8> {
        self.bytes.get(offset).copied()
    }

    /// Why `n` bytes could not be read.
    #[inline]
    fn shortage(self, n: usize) -> Fault {
        if u32::try_from(n).is_ok_and(|n| n <= self.wire) { Fault::Truncated } else { Fault::Malformed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_blamed_on_the_capture_or_on_the_sender() {
        let span = Span { bytes: &[1, 2, 3], wire: 4 };
        assert_eq!(span.split::<4>().unwrap_err(), Fault::Truncated);
        assert_eq!(span.split::<5>().unwrap_err(), Fault::Malformed);
        assert_eq!(span.skip(4).unwrap_err(), Fault::Truncated);
        let (head, rest) = span.split::<2>().unwrap();
        assert_eq!((head, rest.bytes, rest.wire), (&[1, 2], &[3][..], 2));
        assert_eq!(span.with_length(2).bytes, &[1, 2]);
    }
}
