//! UDP datagrams from an input. Mutations never hit the tag of a protected packet, so the harness
//! protects: an input holds the frames of QUIC Initials in clear.

use crate::Feed;
use aes::Aes128;
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// Most datagrams taken from one input.
const MAX_DATAGRAMS: usize = 100;

/// Bits of a record's first byte. Bits 4 and 5 choose the version of an Initial, 6 another
/// connection id.
pub const SERVER: u8 = 1;
/// The payload is the frames of an Initial.
pub const PROTECT: u8 = 2;
/// The capture cut the datagram: a byte follows, sixteen times which is missing.
pub const CUT: u8 = 4;
/// Joined with the datagram before.
pub const JOIN: u8 = 8;

/// Version, salt, key label: QUIC 1 (RFC 9001), 2 (RFC 9369), draft 29, and Google's Q050.
const VERSIONS: [(u32, [u8; 20], &str); 4] = [
    (
        1,
        [
            0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
            0x7f, 0x0a,
        ],
        "quic",
    ),
    (
        0x6b33_43cf,
        [
            0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd,
            0x2e, 0xd9,
        ],
        "quicv2",
    ),
    (
        0xff00_001d,
        [
            0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90,
            0xa8, 0x99,
        ],
        "quic",
    ),
    (
        0x5130_3530,
        [
            0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94, 0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0, 0xd3, 0xb5,
            0x6b, 0x45,
        ],
        "quic",
    ),
];

/// The datagrams of an input: control byte, [missing], length, payload. Gives the side, the
/// captured bytes, and the length on the wire.
pub fn datagrams(input: &[u8]) -> impl Iterator<Item = (bool, Vec<u8>, u32)> {
    let mut feed = Feed(input);
    let mut number = 0;
    let mut before = Vec::new();
    std::iter::from_fn(move || {
        let control = feed.u8()?;
        let missing = if control & CUT != 0 { usize::from(feed.u8()?) * 16 } else { 0 };
        let len = feed.u16()?;
        let payload = feed.bytes(len.into());
        let mut datagram = if control & JOIN != 0 { std::mem::take(&mut before) } else { Vec::new() };
        if control & PROTECT != 0 {
            datagram.extend(protect(control, number, payload));
            number += 1;
        } else {
            datagram.extend(payload);
        }
        datagram.truncate(65_000);
        let wire_len = datagram.len() as u32;
        before.clone_from(&datagram);
        datagram.truncate(datagram.len().saturating_sub(missing));
        Some((control & SERVER == 0, datagram, wire_len))
    })
    .take(MAX_DATAGRAMS)
}

/// Adds a record for [`datagrams`].
pub fn put(input: &mut Vec<u8>, control: u8, payload: &[u8]) {
    input.push(control & !CUT);
    input.extend((payload.len() as u16).to_le_bytes());
    input.extend(payload);
}

fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> [u8; N] {
    let mut info = vec![0, N as u8, (6 + label.len()) as u8];
    info.extend(b"tls13 ");
    info.extend(label.as_bytes());
    info.push(0);
    let mut out = [0; N];
    secret.expand(&info, &mut out).expect("short enough");
    out
}

/// A client's Initial with these frames (RFC 9001 section 5).
fn protect(control: u8, number: u8, frames: &[u8]) -> Vec<u8> {
    let (version, salt, label) = VERSIONS[usize::from(control >> 4 & 3)];
    let dcid = if control & 0x40 != 0 { *b"another!" } else { *b"12345678" };
    let (_, initial) = Hkdf::<Sha256>::extract(Some(&salt), &dcid);
    let secret: [u8; 32] = expand(&initial, "client in");
    let client = Hkdf::<Sha256>::from_prk(&secret).expect("32 bytes");
    let key: [u8; 16] = expand(&client, &format!("{label} key"));
    let mut iv: [u8; 12] = expand(&client, &format!("{label} iv"));
    let hp: [u8; 16] = expand(&client, &format!("{label} hp"));

    let mut header = vec![if label == "quicv2" { 0xd0 } else { 0xc0 }];
    header.extend(version.to_be_bytes());
    header.push(8);
    header.extend(dcid);
    header.extend([0, 0]); // no id of its own, no token
    let mut text = frames.to_vec();
    text.truncate(16_000);
    text.resize(text.len().max(3), 0); // enough for the sample
    header.extend((0x4000 | (1 + text.len() as u16 + 16)).to_be_bytes());
    header.push(number);
    iv[11] ^= number;
    let cipher = Aes128Gcm::new(&key.into());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(iv), &header, text.as_mut_slice().into()).expect("short");
    let number_at = header.len() - 1;
    let mut packet = [&header[..], &text, &tag].concat();
    let sample: [u8; 16] = packet[number_at + 4..number_at + 20].try_into().expect("16 bytes");
    let mut mask = Block::<Aes128>::from(sample);
    Aes128::new(&hp.into()).encrypt_block(&mut mask);
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at] ^= mask[1];
    packet
}
