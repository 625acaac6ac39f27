//! Bounded in-order delivery of one direction of a TCP connection.

/// Why an [`Assembler`] delivers nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveUp {
    /// More bytes wait than the bound allows.
    Full,
    /// Bytes are missing that will not come (cut by the capture, or lost before it).
    Hole,
}

/// Puts the TCP segments of one direction in order, from the first one pushed, within a bound of memory.
#[derive(Debug, Default)]
pub struct Assembler {}

impl Assembler {
    /// An assembler that holds at most `limit_bytes`, waiting pieces included.
    pub fn new(limit_bytes: usize) -> Self {
        _ = limit_bytes;
        Self {}
    }

    /// Adds a TCP segment: its sequence number, whether it carries SYN (which takes one number), the captured payload,
    /// and the payload's length on the wire (larger than `payload` where the capture was cut).
    ///
    /// # Errors
    /// [`GaveUp`]; from then on every call gives it again.
    pub fn push(
        &mut self,
        seq: u32,
        syn: bool,
        payload: &[u8],
        wire_len: u32,
    ) -> Result<(), GaveUp> {
        _ = (seq, syn, payload, wire_len);
        Ok(())
    }

    /// The bytes in order that were not consumed yet.
    pub fn ready(&self) -> &[u8] {
        &[]
    }

    /// Forgets the first `n` bytes of [`Self::ready`].
    pub fn consume(&mut self, n: usize) {
        _ = n;
    }
}
