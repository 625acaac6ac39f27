//! Names for files that are no capture, by their first bytes, so that an error can say what was
//! found.

use super::{pcap, pcapng};

/// Bytes from the start of a file that are enough for [`is_capture`] and [`describe`]: the length
/// of pcap's file header, so that a pipe from a program that has not captured anything yet is
/// recognised.
pub const HEAD_BYTES: usize = 24;

/// First bytes of files that people hand over by mistake, and what they are called.
const KNOWN: &[(&[u8], &str)] = &[
    (b"snoop\0\0\0", "a Solaris snoop capture"),
    (b"RTSS", "a Microsoft Network Monitor 1 capture"),
    (b"GMBU", "a Microsoft Network Monitor 2 capture"),
    (b"TRSNIFF data    \x1a", "a Sniffer capture"),
    (b"XCP\0", "a NetXRay capture"),
    (b"ObserverPktBuffe", "a Network Instruments Observer capture"),
    (b"\x1c\x00\x01\xac", "an Ixia capture"),
    (b"\x1c\x00\x01\xab", "an Ixia capture"),
    (b"\xac\x01\x00\x1c", "an Ixia capture"),
    (b"\xab\x01\x00\x1c", "an Ixia capture"),
    (b"btsnoop\0", "a Bluetooth HCI log"),
    (b"IMONSEG\0", "an imon segment"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data"),
    (b"\x02\x21\x4c\x18", "lz4-compressed data in the legacy format"),
    (b"BZh", "bzip2-compressed data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x7fELF", "an ELF program or library"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG", "a PNG picture"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<!doctype", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
];

/// Whether a file that begins with `head` ([`HEAD_BYTES`], fewer if it is shorter) is a pcap or
/// pcapng file.
pub fn is_capture(head: &[u8]) -> bool {
    pcap::is_magic(head) || pcapng::is_magic(head)
}

/// What a file that begins with `head` is, with an article: "an HTML page". Safe to print: contains
/// none of its bytes.
pub fn describe(head: &[u8]) -> String {
    if head.is_empty() {
        return "an empty file".to_owned();
    }
    if is_capture(head) {
        return if pcapng::is_magic(head) { "a pcapng capture" } else { "a pcap capture" }.to_owned();
    }
    if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*name).to_owned();
    }
    let head = head.get(..HEAD_BYTES).unwrap_or(head);
    if head.iter().all(|&byte| byte == 0) {
        return "a file of zeros".to_owned();
    }
    if is_text(head) {
        return "a text file".to_owned();
    }
    let first: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("a file of unknown kind (it begins with {})", first.join(" "))
}

/// Whether `head` reads as UTF-8 text; a character cut at its end does not count against it.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistaken_file_is_called_by_its_name() {
        assert_eq!(describe(b""), "an empty file");
        assert_eq!(describe(b"snoop\0\0\0\0\0\0\x02"), "a Solaris snoop capture");
        assert_eq!(describe(b"<!DOCTYPE html>"), "an HTML page");
        assert_eq!(describe(b"No. Time Source\n"), "a text file");
        assert_eq!(describe(&[0; 64]), "a file of zeros");
        assert_eq!(describe(&[0xde, 0xad, 0xbe, 0xef, 1]), "a file of unknown kind (it begins with de ad be ef)");
    }

    #[test]
    fn a_character_cut_at_the_end_of_the_head_is_still_text() {
        assert_eq!(describe(&"größer".as_bytes()[..3]), "a text file");
        assert!(!is_text(b"\x1b[2J"));
    }
}
