//! IPFIX files (RFC 5655): messages one behind the other, read as a capture of messages.
//!
//! So that a file of messages goes the way of every capture: it has an identity by what it holds,
//! is known again when it was compressed or has grown, and is kept as a segment.

use std::io::{self, Cursor, ErrorKind, Read};

/// Bytes of a message's header (RFC 7011 section 3.1).
const HEADER_BYTES: usize = 16;

/// Bytes by which a file of messages is recognised: the header of the first and of its first set.
pub const HEAD_BYTES: usize = HEADER_BYTES + 4;

/// The header of a capture file: times in nanoseconds, messages up to what their length can say,
/// link type [`super::EXPORTED`] (draft-ietf-opsawg-pcap section 4).
const FILE_HEADER: [u8; 24] =
    [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0];

/// Whether a file that begins with `head` ([`HEAD_BYTES`], fewer if it is shorter) holds messages
/// of IPFIX.
pub fn is_message(head: &[u8]) -> bool {
    let word = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let (Some(10), Some(len)) = (word(0), word(2).map(usize::from)) else { return false };
    match (len, word(HEADER_BYTES), word(HEADER_BYTES + 2)) {
        (HEADER_BYTES, next, _) => head.len() >= HEADER_BYTES && matches!(next, None | Some(10)),
        (_, Some(set), Some(set_len)) => {
            (set == 2 || set == 3 || set >= 256) && set_len >= 4 && HEADER_BYTES + usize::from(set_len) <= len
        }
        _ => false,
    }
}

/// Turns messages into the bytes of a capture file, as they are asked for.
#[derive(Debug)]
pub struct Messages {
    /// The first bytes of the file, which were read to recognise it.
    head: Cursor<Vec<u8>>,
    /// Bytes that wait.
    out: Vec<u8>,
    taken: usize,
    /// Bytes read so far.
    at: u64,
}

impl Messages {
    /// Messages of a file that begins with `head`.
    pub fn new(head: Cursor<Vec<u8>>) -> Self {
        Self { head, out: FILE_HEADER.to_vec(), taken: 0, at: 0 }
    }

    /// Reads on from `from`, which stands behind the head or where the last call left it.
    ///
    /// # Errors
    /// Those of `from`; invalid data where a message should begin and does not.
    pub fn read(&mut self, into: &mut [u8], from: &mut dyn Read) -> io::Result<usize> {
        if self.taken >= self.out.len() {
            let mut head = std::mem::take(&mut self.head);
            self.next(&mut head.by_ref().chain(from))?;
            self.head = head;
        }
        let waiting = self.out.get(self.taken..).unwrap_or_default();
        let len = waiting.len().min(into.len());
        if let (Some(into), Some(waiting)) = (into.get_mut(..len), waiting.get(..len)) {
            into.copy_from_slice(waiting);
        }
        self.taken += len;
        Ok(len)
    }

    /// The next message, behind the header of a packet. Of one that is cut as much as is there: who
    /// reads captures says so.
    fn next(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.out.clear();
        self.taken = 0;
        let mut header = [0; HEADER_BYTES];
        let read = fill(from, &mut header)?;
        if read == 0 {
            return Ok(());
        }
        let [version_high, version_low, len_high, len_low, s0, s1, s2, s3, ..] = header;
        let len = u16::from_be_bytes([len_high, len_low]);
        if read >= 4 && (u16::from_be_bytes([version_high, version_low]) != 10 || usize::from(len) < HEADER_BYTES) {
            let text = format!("at byte {} no message of IPFIX begins, though one ended there", self.at);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        self.at += u64::from(len);
        let seconds = u32::from_be_bytes([s0, s1, s2, s3]);
        for value in [seconds, 0, len.into(), len.into()] {
            self.out.extend(value.to_le_bytes());
        }
        self.out.extend(header.get(..read).unwrap_or_default());
        let begun = self.out.len();
        self.out.resize(begun + usize::from(len).saturating_sub(read), 0);
        let rest = fill(from, self.out.get_mut(begun..).unwrap_or_default())?;
        self.out.truncate(begun + rest);
        Ok(())
    }
}

/// Reads as much as is there and fits; gives how much that was.
fn fill(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exported::EXPORTED;
    use imon_common::capture_file::CaptureReader;

    struct All<'a>(Messages, &'a [u8]);

    impl Read for All<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into, &mut self.1)
        }
    }

    fn message(seconds: u32, sets: &[u8]) -> Vec<u8> {
        let len = (HEADER_BYTES + sets.len()) as u16;
        let mut message = vec![0, 10];
        message.extend(len.to_be_bytes());
        message.extend(seconds.to_be_bytes());
        message.extend([0; 8]);
        message.extend(sets);
        message
    }

    #[test]
    fn messages_are_packets_with_the_time_of_their_export() {
        let file = [message(1_793_491_200, &[1, 0, 0, 4]), message(1_793_491_260, &[1, 1, 0, 6, 9, 9])].concat();
        assert!(is_message(&file));
        let mut reader = CaptureReader::new(All(Messages::new(Cursor::default()), &file)).unwrap();
        for (seconds, len) in [(1_793_491_200, 20), (1_793_491_260, 22)] {
            let packet = reader.next_packet().unwrap().unwrap();
            assert_eq!((packet.ts.0, packet.link_type), (seconds * 1_000_000_000, EXPORTED));
            assert_eq!((packet.data.len(), packet.orig_len), (len, len as u32));
        }
        assert!(reader.next_packet().unwrap().is_none());
    }

    #[test]
    fn a_cut_file_gives_a_prefix_and_an_error_and_so_does_one_that_goes_on_with_something_else() {
        let file = [message(1, &[1, 0, 0, 4]), message(2, &[1, 1, 0, 6, 9, 9])].concat();
        for cut in 1..file.len() {
            let mut reader = CaptureReader::new(All(Messages::new(Cursor::default()), &file[..cut])).unwrap();
            let mut read = 0;
            let end = loop {
                match reader.next_packet() {
                    Ok(Some(_)) => read += 1,
                    other => break other.map(|_| ()),
                }
            };
            assert_eq!(read, usize::from(cut >= 20), "cut at {cut}");
            assert_eq!(end.is_ok(), cut == 20, "cut at {cut}");
        }
        let other = [&file[..20], b"something else"].concat();
        let mut reader = CaptureReader::new(All(Messages::new(Cursor::default()), &other)).unwrap();
        assert!(reader.next_packet().unwrap().is_some());
        assert!(reader.next_packet().is_err());
    }

    #[test]
    fn other_files_are_no_messages() {
        for other in [&b""[..], b"\0\x0a", &[0; 24], &[0, 9, 0, 20, 0, 0, 0, 0], &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]]
        {
            assert!(!is_message(other), "{other:02x?}");
        }
        assert!(!is_message(&message(1, &[0, 1, 0, 4])), "a set of NetFlow v9");
        assert!(!is_message(&message(1, &[1, 0, 0, 9])), "a set that is longer than its message");
        assert!(is_message(&message(1, &[])));
    }
}
