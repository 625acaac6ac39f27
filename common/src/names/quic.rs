//! The server name in QUIC Initial packets.
//!
//! A client's first packets are protected with keys that follow from the connection id it chose
//! (RFC 9001 section 5.2), so any observer can read its TLS hello. Only the client's keys are
//! derived: a server's Initial does not open.

mod suites;

use super::gather::{Full, Gather};
use super::look::Look;
use super::{NameKind, gquic, tls};
use crate::cursor::Cursor;
use crate::wire::Udp;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use suites::{Suite, is_known, suites};

/// Most packets looked at in one datagram. A client coalesces two or three; with segmentation
/// offload a capture shows several datagrams as one.
const MAX_COALESCED: usize = 8;
/// Largest Initial opened, in bytes. Senders keep to the 1,200 to 1,500 that any path takes, on
/// faster ones too; a larger one would cost more time than one packet may where no instructions for
/// AES help.
const MAX_INITIAL: usize = 4 * 1024;
/// Most Initials opened in a flow. A hello fits two or three; resends, probes and a Retry make it a
/// dozen.
const MAX_OPENED: u8 = 48;
/// Most Initials that do not open before the flow is given up: a server's, before the client's was
/// seen.
const MAX_FAILED: u8 = 12;
/// Most bytes of CRYPTO data kept. Post-quantum hellos have 2 KiB, session tickets and oddities a
/// few more.
pub(super) const MAX_CRYPTO: usize = 32 * 1024;
/// Most frames read in one packet. Chrome shuffles a hello into some 30 pieces; padding is passed
/// over in one go.
const MAX_FRAMES: usize = 256;
/// Smallest datagram that carries a client's Initial (RFC 9000 section 14.1).
const MIN_CLIENT_DATAGRAM: u32 = 1200;
/// Shortest connection id that a client chooses for the server (RFC 9000 section 7.2).
const MIN_CLIENT_ID: usize = 8;
/// Longest connection id of the versions decoded here (RFC 9000 section 17.2).
const MAX_CID: usize = 20;

/// A long header packet of a datagram, captured perhaps in part (RFC 9000 section 17.2).
#[derive(Debug, Clone, Copy)]
struct Packet<'a> {
    version: u32,
    /// The client chose it, in its first flight.
    dcid: &'a [u8],
    /// From the first byte of the header to the end of the packet or of what was captured.
    bytes: &'a [u8],
    /// Where the packet number starts.
    number_at: usize,
    /// Length of the packet on the wire.
    len: usize,
    is_initial: bool,
}

/// Reads a variable-length integer (RFC 9000 section 16).
fn varint(at: &mut Cursor<'_>) -> Option<u64> {
    let first = at.u8()?;
    let mut value = u64::from(first & 0x3f);
    for _ in 1..1_u32 << (first >> 6) {
        value = value << 8 | u64::from(at.u8()?);
    }
    Some(value)
}

fn length(at: &mut Cursor<'_>) -> Option<usize> {
    usize::try_from(varint(at)?).ok()
}

/// Reads the packet at the start of `bytes`. `None` for short headers, version negotiation, Retry,
/// and what is no QUIC.
fn packet(bytes: &[u8], wire_len: usize) -> Option<Packet<'_>> {
    let mut at = Cursor::new(bytes);
    let first = at.u8()?;
    let version = at.be_u32()?;
    if first & 0x80 == 0 || version == 0 {
        return None;
    }
    let dcid_len = at.u8()?.into();
    let dcid = at.take(dcid_len)?;
    let scid_len = at.u8()?.into();
    at.skip(scid_len)?;
    if dcid_len > MAX_CID || scid_len > MAX_CID {
        return None;
    }
    let initial_type = suites(version).first()?.initial_type;
    // The four types are numbered in a circle that begins at Initial: 0-RTT, Handshake, Retry
    // follow.
    let kind = ((first >> 4) & 3).wrapping_sub(initial_type) & 3;
    match kind {
        0 => {
            let token_len = length(&mut at)?;
            at.skip(token_len)?;
        }
        1 | 2 => {}
        _ => return None,
    }
    let rest_len = length(&mut at)?;
    let number_at = bytes.len() - at.remaining();
    let len = number_at.checked_add(rest_len)?;
    if len > wire_len {
        return None;
    }
    let bytes = bytes.get(..len).unwrap_or(bytes);
    Some(Packet { version, dcid, bytes, number_at, len, is_initial: kind == 0 })
}

/// The long header packets of a datagram of `wire_len` bytes, in order. Zeros between packets are
/// passed over: padding outside of packets, which some senders use to fill a datagram.
fn packets(datagram: &[u8], wire_len: usize) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = datagram;
    let mut left = wire_len;
    std::iter::from_fn(move || {
        let zeros = rest.iter().take_while(|b| **b == 0).count();
        let packet = packet(rest.get(zeros..)?, left.checked_sub(zeros)?)?;
        rest = rest.get(zeros + packet.len..).unwrap_or_default();
        left -= zeros + packet.len;
        Some(packet)
    })
    .take(MAX_COALESCED)
}

/// Whether a datagram begins like a client's QUIC packet of a version whose hello we may be able to
/// read.
pub(super) fn is_sign(datagram: &[u8], wire_len: u32) -> bool {
    let [first, v0, v1, v2, v3, ..] = *datagram else {
        return false;
    };
    if first & 0x80 == 0 {
        return false;
    }
    let version = u32::from_be_bytes([v0, v1, v2, v3]);
    if is_known(version) {
        return true;
    }
    let Some(packet) = packet(datagram, wire_len as usize) else {
        return false;
    };
    packet.is_initial && wire_len >= MIN_CLIENT_DATAGRAM && first & 0x40 != 0 && packet.dcid.len() >= MIN_CLIENT_ID
}

/// The connection id that a client's Initial is sent to, and a number for it other than 0. In its
/// first flight the client has chosen the id, 8 bytes or more (RFC 9000 section 7.2); later it is
/// the server's.
pub(crate) fn connection_of<'a>(udp: &Udp<'a>) -> Option<(&'a [u8], u32)> {
    if udp.payload_len < MIN_CLIENT_DATAGRAM || udp.payload.first()? & 0xc0 != 0xc0 {
        return None;
    }
    let packet = packet(udp.payload, udp.payload_len as usize)?;
    // FNV-1a: what an attacker gains by a collision is that his own connections stay one flow.
    let number = packet.dcid.iter().fold(0x811c_9dc5, |n: u32, b| (n ^ u32::from(*b)).wrapping_mul(0x0100_0193));
    (packet.is_initial && packet.dcid.len() >= MIN_CLIENT_ID).then_some((packet.dcid, number.max(1)))
}

/// The client's Initial keys (RFC 9001 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Keys {
    key: [u8; 16],
    iv: [u8; 12],
    hp: [u8; 16],
    google_frames: bool,
}

impl Keys {
    fn new(suite: &Suite, dcid: &[u8]) -> Option<Self> {
        let (_, initial) = Hkdf::<Sha256>::extract(Some(&suite.salt), dcid);
        let secret: [u8; 32] = expand(&initial, "client in", "")?;
        let client = Hkdf::<Sha256>::from_prk(&secret).ok()?;
        Some(Self {
            key: expand(&client, suite.label, " key")?,
            iv: expand(&client, suite.label, " iv")?,
            hp: expand(&client, suite.label, " hp")?,
            google_frames: suite.google_frames,
        })
    }

    /// Takes the protection off an Initial and leaves its frames in `plain`, as far as they were
    /// captured.
    ///
    /// A packet captured whole must carry the right tag. Of a cut one the bytes are decrypted
    /// without that proof; the caller must find them sensible.
    fn open(&self, packet: &Packet<'_>, plain: &mut Vec<u8>) -> Option<Proof> {
        if packet.len > MAX_INITIAL {
            return None;
        }
        let sample: [u8; 16] = *packet.bytes.get(packet.number_at + 4..)?.first_chunk()?;
        let mut mask = Block::from(sample);
        Aes128::new(&self.hp.into()).encrypt_block(&mut mask);
        let [mask_first, mask_number @ .., _, _, _, _, _, _, _, _, _, _, _] = mask.0;
        // RFC 9001 section 5.4.1: four bits of the first byte, then the packet number, whose length
        // they hold.
        let first = packet.bytes.first()? ^ (mask_first & 0x0f);
        let number_len = usize::from(first & 3) + 1;
        if first & 0x0c != 0 {
            return None; // reserved bits: the wrong key in three of four cases
        }
        let body_at = packet.number_at + number_len;
        let number = packet.bytes.get(packet.number_at..body_at)?.iter().zip(mask_number).map(|(b, m)| b ^ m);
        // Initials are the first packets of their number space, so the low bytes are the whole
        // number.
        let nonce = self.nonce(number.clone().fold(0, |n, b| n << 8 | u64::from(b)));
        let body = packet.bytes.get(body_at..)?;
        let text_len = packet.len.checked_sub(body_at + 16)?;
        plain.clear();
        plain.extend_from_slice(body.get(..text_len).unwrap_or(body));
        if let Some(tag) = body.get(text_len..).and_then(|t| t.first_chunk::<16>()) {
            let mut header = Vec::with_capacity(body_at);
            header.push(first);
            header.extend_from_slice(packet.bytes.get(1..packet.number_at)?);
            header.extend(number);
            let cipher = Aes128Gcm::new(&self.key.into());
            let tag = Tag::from(*tag);
            cipher.decrypt_inout_detached(&Nonce::from(nonce), &header, plain.as_mut_slice().into(), &tag).ok()?;
            return Some(Proof::Tag);
        }
        self.count(nonce, plain);
        Some(Proof::None)
    }

    /// RFC 9001 section 5.3.
    fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(n, b)| *n ^= b);
        nonce
    }

    /// Decrypts a prefix as GCM does, without its tag: counter mode from 2 on (NIST SP 800-38D
    /// section 7.1).
    fn count(&self, nonce: [u8; 12], text: &mut [u8]) {
        let cipher = Aes128::new(&self.key.into());
        for (block, counter) in text.chunks_mut(16).zip(2_u32..) {
            let mut stream = [0; 16];
            let bytes = nonce.into_iter().chain(counter.to_be_bytes());
            stream.iter_mut().zip(bytes).for_each(|(to, b)| *to = b);
            let mut stream = Block::from(stream);
            cipher.encrypt_block(&mut stream);
            block.iter_mut().zip(stream.0).for_each(|(b, s)| *b ^= s);
        }
    }
}

/// HKDF-Expand-Label (RFC 8446 section 7.1) without context; the label in two parts.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str, end: &str) -> Option<[u8; N]> {
    let label_len = u8::try_from("tls13 ".len() + label.len() + end.len()).ok()?;
    let out_len = u16::try_from(N).ok()?.to_be_bytes();
    let mut out = [0; N];
    let info = [&out_len[..], &[label_len], b"tls13 ", label.as_bytes(), end.as_bytes(), &[0]];
    secret.expand_multi_info(&info, &mut out).ok()?;
    Some(out)
}

/// How sure it is that a packet was decrypted with the right key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Tag,
    None,
}

/// Gathers the CRYPTO frames of an Initial (RFC 9000 sections 12.4 and 19). `Ok(false)` where the
/// bytes are no frames that an Initial may have.
fn gather_frames(plain: &[u8], google: bool, into: &mut Gather) -> Result<bool, Full> {
    let mut at = Cursor::new(plain);
    for _ in 0..MAX_FRAMES {
        let padding = at.rest().iter().take_while(|b| **b == 0).count();
        _ = at.skip(padding);
        let Some(kind) = at.u8() else { return Ok(true) };
        match (kind, google) {
            (0x06, false) | (0x08, true) => {
                let (Some(offset), Some(len)) = (length(&mut at), length(&mut at)) else {
                    return Ok(true);
                };
                into.insert(offset, at.up_to(len), MAX_CRYPTO)?;
            }
            (0x01, false) | (0x07, true) => {}
            (0x02 | 0x03, false) => {
                if skip_ack(&mut at, kind == 0x03).is_none() {
                    return Ok(true);
                }
            }
            // CONNECTION_CLOSE ends what can be of interest; gQUIC's other frames are not in a
            // client's first packets.
            (0x1c | 0x1d, false) => return Ok(true),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Passes over an ACK frame behind its type (RFC 9000 section 19.3).
fn skip_ack(at: &mut Cursor<'_>, ecn: bool) -> Option<()> {
    let (_largest, _delay, ranges) = (varint(at)?, varint(at)?, varint(at)?);
    let numbers = 1 + ranges.min(64) * 2 + if ecn { 3 } else { 0 };
    (0..numbers).try_for_each(|_| varint(at).map(|_| ()))
}

/// What is known of the client's first flight in one flow.
#[derive(Debug, Default)]
pub(super) struct Session {
    keys: Option<Keys>,
    /// The version and connection id that they come from.
    origin: Option<(u32, Box<[u8]>)>,
    /// The version and connection id that were tried last, so that they are not derived from again.
    tried: Option<(u32, Box<[u8]>)>,
    /// The side whose Initials open, as the flow names sides.
    client: Option<bool>,
    crypto: Gather,
    opened: u8,
    failed: u8,
}

impl Session {
    /// Looks at a datagram of `wire_len` bytes. [`Look::More`] while the hello is not complete,
    /// [`Look::No`] as long as no packet of the client was read. `plain` is working space.
    ///
    /// # Errors
    /// [`Full`] if the client sends more than is kept, or more packets than are opened.
    pub(super) fn datagram(
        &mut self,
        from_client: bool,
        bytes: &[u8],
        wire_len: u32,
        plain: &mut Vec<u8>,
    ) -> Result<Look, Full> {
        for packet in packets(bytes, wire_len as usize).filter(|p| p.is_initial) {
            if self.client.is_some_and(|side| side != from_client) {
                continue;
            }
            if self.failed >= MAX_FAILED {
                return Ok(Look::Nameless);
            }
            if self.opened >= MAX_OPENED {
                return Err(Full);
            }
            self.initial(&packet, plain)?;
            if self.keys.is_some() {
                self.client = Some(from_client);
            }
        }
        Ok(self.look())
    }

    /// Opens one Initial and keeps its CRYPTO frames.
    fn initial(&mut self, packet: &Packet<'_>, plain: &mut Vec<u8>) -> Result<(), Full> {
        let is_same_version = self.origin.as_ref().is_some_and(|(version, _)| *version == packet.version);
        if let Some(keys) = &self.keys
            && keys.open(packet, plain).is_some_and(|proof| is_same_version || proof == Proof::Tag)
        {
            self.opened += 1;
            return gather_frames(plain, keys.google_frames, &mut self.crypto).map(|_| ());
        }
        if let Some(keys) = self.keys_of_another_version(packet, plain) {
            self.opened += 1;
            let outcome = gather_frames(plain, keys.google_frames, &mut self.crypto).map(|_| ());
            self.keys = Some(keys);
            return outcome;
        }
        let same = |(version, dcid): &(u32, Box<[u8]>)| *version == packet.version && **dcid == *packet.dcid;
        if self.tried.as_ref().is_some_and(same) && self.keys.is_some() {
            self.failed += 1;
            return Ok(());
        }
        self.tried = Some((packet.version, packet.dcid.into()));
        for suite in suites(packet.version) {
            let Some(keys) = Keys::new(suite, packet.dcid) else {
                continue;
            };
            let Some(proof) = keys.open(packet, plain) else {
                continue;
            };
            let mut crypto = Gather::default();
            if !gather_frames(plain, keys.google_frames, &mut crypto)? && proof == Proof::None {
                continue;
            }
            // A new connection id with keys of its own: after a Retry, or another connection. The
            // client starts over.
            (self.keys, self.crypto) = (Some(keys), crypto);
            self.origin = Some((packet.version, packet.dcid.into()));
            self.opened += 1;
            return Ok(());
        }
        self.failed += 1;
        Ok(())
    }

    /// The keys of a packet, which they open, after a change of versions that both ends can make
    /// within one connection (RFC 9368 section 2.3): the client goes on in the server's version,
    /// with its own first connection id (RFC 9369 section 4), and where it was in its hello.
    /// What was sent in the first version may still come.
    fn keys_of_another_version(&mut self, packet: &Packet<'_>, plain: &mut Vec<u8>) -> Option<Keys> {
        let (version, first_id) = self.origin.as_mut().filter(|(version, _)| *version != packet.version)?;
        let [suite] = suites(packet.version) else { return None };
        let keys = Keys::new(suite, first_id)?;
        // Only with the tag: a change is told by nothing else.
        (keys.open(packet, plain)? == Proof::Tag).then_some(())?;
        *version = packet.version;
        Some(keys)
    }

    fn look(&self) -> Look {
        if self.keys.is_none() {
            return Look::No;
        }
        let prefix = self.crypto.prefix();
        let look = if prefix.starts_with(b"CHLO") {
            gquic::client_hello(prefix)
        } else {
            tls::client_hello(prefix, NameKind::Quic)
        };
        if let Look::More { .. } = look {
            let found = self.crypto.islands().find_map(|bytes| tls::name_in_stretch(bytes, NameKind::Quic));
            if let Some((kind, name)) = found {
                return Look::Name(kind, name);
            }
        }
        look
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + 2 * MAX_CID + self.crypto.memory()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Name;
    use super::suites::{V1, V2};
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
    }

    const DCID: &str = "8394c8f03e515708";
    /// RFC 9001 appendix A.2: the CRYPTO frame of the client's Initial.
    const CRYPTO_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
        04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017
        001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce1
        5d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffff
        ffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";

    /// Protects `frames` as a client does: `header` up to and including the packet number, whose
    /// length it states.
    fn protect(keys: &Keys, header: &[u8], frames: &[u8]) -> Vec<u8> {
        let number_len = usize::from(header[0] & 3) + 1;
        let number_at = header.len() - number_len;
        let number = header[number_at..].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let mut text = frames.to_vec();
        let cipher = Aes128Gcm::new(&keys.key.into());
        let nonce = Nonce::from(keys.nonce(number));
        let tag = cipher.encrypt_inout_detached(&nonce, header, text.as_mut_slice().into()).unwrap();
        let mut packet = [header, &text, &tag].concat();
        let sample: [u8; 16] = packet[number_at + 4..number_at + 20].try_into().unwrap();
        let mut mask = Block::from(sample);
        Aes128::new(&keys.hp.into()).encrypt_block(&mut mask);
        packet[0] ^= mask[0] & 0x0f;
        (0..number_len).for_each(|i| packet[number_at + i] ^= mask[i + 1]);
        packet
    }

    /// A client's Initial of `version` with this connection id, padded to 1,200 bytes.
    pub(in crate::names) fn initial(version: u32, dcid: &[u8], token: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
        let suite = suites(version)[0];
        let keys = Keys::new(suite, dcid).unwrap();
        let mut header = vec![0xc0 | suite.initial_type << 4];
        header.extend(version.to_be_bytes());
        header.push(dcid.len() as u8);
        header.extend(dcid);
        header.extend([0, token.len() as u8]);
        header.extend(token);
        let room = 1200 - header.len() - 3 - 16;
        let mut frames = frames.to_vec();
        frames.resize(room.max(frames.len()), 0);
        header.extend((0x4000 | (1 + frames.len() as u16 + 16)).to_be_bytes());
        header.push(number);
        protect(&keys, &header, &frames)
    }

    /// A client's Initial whose hello is that of RFC 9001 appendix A.2.
    pub(crate) fn initial_for_example_com() -> Vec<u8> {
        initial(1, b"12345678", b"", 1, &crypto(0, &example_hello()))
    }

    /// What a client sends as its first datagrams, one for each part of its hello for this host:
    /// sent to `dcid`.
    pub(crate) fn initials_for(host: &str, dcid: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let hello = tls::tests::hello_with(&[(43, vec![2, 3, 4]), tls::tests::sni(host), (51, vec![9; 900])]);
        let ends = cuts.iter().copied().chain([hello.len()]);
        let parts = [0].into_iter().chain(cuts.iter().copied()).zip(ends);
        (0..).zip(parts).map(|(n, (from, to))| initial(1, dcid, b"", n, &crypto(from, &hello[from..to]))).collect()
    }

    /// A CRYPTO frame.
    pub(in crate::names) fn crypto(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut frame = vec![6];
        frame.extend((0x4000 | offset as u16).to_be_bytes());
        frame.extend((0x4000 | bytes.len() as u16).to_be_bytes());
        frame.extend(bytes);
        frame
    }

    fn named(host: &str) -> Look {
        Look::Name(NameKind::Quic, Name::from_host(host.as_bytes()).unwrap())
    }

    fn read(session: &mut Session, datagram: &[u8]) -> Look {
        session.datagram(true, datagram, datagram.len() as u32, &mut Vec::new()).unwrap()
    }

    /// The client's Initial of RFC 9001 appendix A.2 and RFC 9369 appendix A.2: same frames,
    /// different header.
    fn rfc_initial(suite: &Suite, header: &str) -> Vec<u8> {
        let mut frames = hex(CRYPTO_FRAME);
        frames.resize(1162, 0);
        protect(&Keys::new(suite, &hex(DCID)).unwrap(), &hex(header), &frames)
    }

    #[test]
    fn keys_of_rfc_9001_appendix_a1_and_rfc_9369_appendix_a1() {
        let keys = Keys::new(&V1, &hex(DCID)).unwrap();
        assert_eq!(keys.key[..], hex("1f369613dd76d5467730efcbe3b1a22d"));
        assert_eq!(keys.iv[..], hex("fa044b2f42a3fd3b46fb255c"));
        assert_eq!(keys.hp[..], hex("9f50449e04a0e810283a1e9933adedd2"));
        let keys = Keys::new(&V2, &hex(DCID)).unwrap();
        assert_eq!(keys.key[..], hex("8b1a0bc121284290a29e0971b5cd045d"));
        assert_eq!(keys.iv[..], hex("91f73e2351d8fa91660e909f"));
        assert_eq!(keys.hp[..], hex("45b95e15235d6f45a6b19cbcb0294ba9"));
    }

    #[test]
    fn the_client_initial_of_rfc_9001_appendix_a2_yields_its_name() {
        let packet = rfc_initial(&V1, "c300000001088394c8f03e5157080000449e00000002");
        // Start and end of the packet as printed there.
        let start = "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b";
        assert_eq!(packet[..38], hex(start));
        assert_eq!(packet[1184..], hex("e221af44860018ab0856972e194cd934"));
        assert!(is_sign(&packet, 1200));
        assert_eq!(read(&mut Session::default(), &packet), named("example.com"));
    }

    #[test]
    fn the_client_initial_of_rfc_9369_appendix_a2_yields_its_name() {
        let packet = rfc_initial(&V2, "d36b3343cf088394c8f03e5157080000449e00000002");
        let start = "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071";
        assert_eq!(packet[..38], hex(start));
        assert_eq!(packet[1184..], hex("a18b2faa745b6fe189cf772a9f84cbfc"));
        assert_eq!(read(&mut Session::default(), &packet), named("example.com"));
    }

    #[test]
    fn a_servers_initial_does_not_open() {
        // RFC 9001 appendix A.3.
        let packet = hex("cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5
            a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77
            d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
        assert_eq!(packet.len(), 135);
        assert_eq!(read(&mut Session::default(), &packet), Look::No);
        assert_eq!(read(&mut Session::default(), &packet[..100]), Look::No);
    }

    fn example_hello() -> Vec<u8> {
        hex(CRYPTO_FRAME)[4..].to_vec()
    }

    #[test]
    fn every_version_with_a_public_salt_yields_its_name() {
        let frames = crypto(0, &example_hello());
        for version in [
            1,
            0x6b33_43cf,
            0x709a_50c4,
            0xff00_0016,
            0xff00_0017,
            0xff00_001b,
            0xff00_001d,
            0xff00_0020,
            0xff00_0022,
            0xface_b001,
            0xface_b002,
            0xface_b00e,
            0x1a2a_3a4a,
        ] {
            let datagram = initial(version, b"12345678", b"", 1, &frames);
            assert!(is_sign(&datagram, 1200), "{version:#x}");
            assert_eq!(read(&mut Session::default(), &datagram), named("example.com"), "{version:#x}");
        }
        let google = [&[8][..], &frames[1..]].concat();
        for version in [0x5130_3530, 0x5430_3530, 0x5430_3531] {
            let datagram = initial(version, b"12345678", b"", 1, &google);
            assert_eq!(read(&mut Session::default(), &datagram), named("example.com"), "{version:#x}");
        }
    }

    #[test]
    fn a_cut_datagram_still_yields_a_name_before_the_cut() {
        let datagram = initial(1, b"12345678", b"", 1, &crypto(0, &example_hello()));
        for cut in [200, 500, 1199] {
            let look = Session::default().datagram(true, &datagram[..cut], 1200, &mut Vec::new()).unwrap();
            assert_eq!(look, named("example.com"), "cut at {cut}");
        }
        for cut in 0..92 {
            let look = Session::default().datagram(true, &datagram[..cut], 1200, &mut Vec::new()).unwrap();
            assert!(!matches!(look, Look::Name(..)), "cut at {cut}");
        }
    }

    #[test]
    fn shuffled_frames_over_several_datagrams_make_the_hello() {
        let hello = example_hello();
        let mut session = Session::default();
        let first = [crypto(20, &hello[20..50]), vec![1, 0, 0], crypto(90, &hello[90..])].concat();
        assert!(matches!(read(&mut session, &initial(1, b"12345678", b"", 1, &first)), Look::More { .. }));
        // A server's Initial between them, under the connection id that the client chose for
        // itself.
        let server = initial(1, b"", b"", 1, &[]);
        let look = session.datagram(false, &server, 1200, &mut Vec::new()).unwrap();
        assert!(matches!(look, Look::More { .. }));
        // The client goes on under the server's connection id, with the first one's keys; behind it
        // a 0-RTT packet.
        let keys = Keys::new(&V1, b"12345678").unwrap();
        let second = [crypto(45, &hello[45..100]), crypto(0, &hello[..25])].concat();
        let mut header = vec![0xc0, 0, 0, 0, 1, 4, 9, 9, 9, 9, 0, 0];
        header.extend((0x4000 | (1 + second.len() as u16 + 16)).to_be_bytes());
        header.push(2);
        let mut datagram = vec![0xd0, 0, 0, 0, 1, 4, 9, 9, 9, 9, 0, 3, 1, 2, 3];
        datagram.extend(protect(&keys, &header, &second));
        assert_eq!(read(&mut session, &datagram), named("example.com"));
    }

    /// An Initial of a version with the keys of this first connection id, sent to another one.
    fn initial_to(version: u32, first_id: &[u8], dcid: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
        let suite = suites(version)[0];
        let mut header = vec![0xc0 | suite.initial_type << 4];
        header.extend(version.to_be_bytes());
        header.extend([&[dcid.len() as u8][..], dcid, &[0, 0]].concat());
        let mut frames = frames.to_vec();
        frames.resize(1_150, 0);
        header.extend((0x4000 | (1 + frames.len() as u16 + 16)).to_be_bytes());
        header.push(number);
        protect(&Keys::new(suite, first_id).unwrap(), &header, &frames)
    }

    #[test]
    fn a_hello_may_go_on_in_another_version() {
        let (v1, v2) = (1, 0x6b33_43cf);
        let hello = example_hello();
        let parts = [crypto(0, &hello[..30]), crypto(30, &hello[30..60]), crypto(60, &hello[60..])];
        for (from, to) in [(v1, v2), (v2, v1), (0xff00_001d, v1), (v1, 0x709a_50c4)] {
            for dcid in [&b"SERVERID"[..], b"12345678", b""] {
                let mut session = Session::default();
                let first = initial(from, b"12345678", b"", 0, &parts[0]);
                assert!(matches!(read(&mut session, &first), Look::More { .. }));
                let later = initial_to(to, b"12345678", dcid, 1, &parts[2]);
                let look = read(&mut session, &later);
                assert!(matches!(look, Look::More { .. }), "{from:#x} to {to:#x}: {look:?}");
                // What was on its way before comes late, in the first version.
                let late = initial_to(from, b"12345678", b"12345678", 2, &parts[1]);
                assert_eq!(read(&mut session, &late), named("example.com"), "{from:#x} to {to:#x}");
            }
        }
    }

    #[test]
    fn a_cut_packet_of_another_version_is_of_a_connection_of_its_own() {
        let hello = example_hello();
        for n in 0..64 {
            let mut session = Session::default();
            let first = initial(1, b"12345678", b"", 0, &crypto(0, &hello[..30]));
            assert!(matches!(read(&mut session, &first), Look::More { .. }));
            let other = initial(0x6b33_43cf, &[n; 8], b"", 0, &crypto(0, &hello));
            let look = session.datagram(true, &other[..1_000], other.len() as u32, &mut Vec::new());
            assert_eq!(look.unwrap(), named("example.com"), "{n}");
        }
    }

    #[test]
    fn versions_that_do_not_agree_begin_the_hello_anew() {
        let hello = example_hello();
        let mut session = Session::default();
        let first = initial(0x6b33_43cf, b"12345678", b"", 0, &crypto(0, &hello[..30]));
        assert!(matches!(read(&mut session, &first), Look::More { .. }));
        let negotiation = [&[0x80, 0, 0, 0, 0, 0, 8][..], b"12345678", &[0, 0, 0, 1]].concat();
        assert!(session.datagram(false, &negotiation, 19, &mut Vec::new()).is_ok());
        let second = initial(1, b"87654321", b"", 0, &crypto(0, &hello));
        assert_eq!(read(&mut session, &second), named("example.com"));
    }

    #[test]
    fn after_a_retry_the_new_connection_id_gives_the_keys() {
        let hello = example_hello();
        let mut session = Session::default();
        let lost_part = initial(1, b"12345678", b"", 0, &crypto(0, &hello[..40]));
        assert!(matches!(read(&mut session, &lost_part), Look::More { .. }));
        let retry = [&[0xf0, 0, 0, 0, 1, 0, 4][..], b"abcd", &[7; 40]].concat();
        assert!(matches!(session.datagram(false, &retry, 51, &mut Vec::new()), Ok(Look::More { .. })));
        let again = initial(1, b"abcd", b"token", 1, &crypto(0, &hello));
        assert_eq!(read(&mut session, &again), named("example.com"));
    }

    #[test]
    fn a_name_shows_although_the_part_before_it_is_missing() {
        let hello = example_hello();
        let datagram = initial(1, b"12345678", b"", 1, &crypto(30, &hello[30..]));
        assert_eq!(read(&mut Session::default(), &datagram), named("example.com"));
    }

    #[test]
    fn the_flow_is_given_up_after_some_packets_that_do_not_open() {
        let mut session = Session::default();
        let noise = [&[0xc0, 0, 0, 0, 1, 8][..], &[5; 8], &[0, 0, 0x44, 0xd0], &[0x55; 1500]].concat();
        let looks: Vec<_> = (0..20).map(|_| read(&mut session, &noise)).collect();
        assert_eq!(looks[0], Look::No);
        assert_eq!(looks[19], Look::Nameless);
    }

    #[test]
    fn other_datagrams_are_no_quic() {
        for bytes in [&b""[..], &[0x80, 0, 0, 0], &[0x40; 1300], &[0xc0, 0, 0, 0, 0, 8], &[0x80; 1300]] {
            assert!(!is_sign(bytes, bytes.len() as u32));
        }
    }
}
