//! Segment bytes put right by the harness: mutations never hit a checksum.

/// Bytes of a block's header before format 5.
const BLOCK: usize = 40;

/// Fewest bytes of a block since format 5: magic, flags, three integers, checksum.
const SHORT: usize = 12;

/// Longest payload that is made: lengths that lie are the other mode's.
const MOST: u64 = 0xffff;

/// Gives a file a header and blocks whose lengths and checksums are right, as far as their
/// structure goes. `order`: number the blocks, and make each the head of a group or a member of the
/// last one by its flag.
pub fn put_right(bytes: &[u8], order: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(len) = header(&mut bytes) else { return bytes };
    if bytes[8] >= 5 {
        return short_blocks(&bytes, len, order);
    }
    long_blocks(&mut bytes, len, order);
    bytes
}

/// Blocks since format 5, whose integers have no fixed length.
fn short_blocks(bytes: &[u8], len: usize, order: bool) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(len);
    let (mut out, mut number) = (head.to_vec(), 0);
    while rest.len() >= SHORT {
        let kind = if rest[4] & 3 == 2 { 2 } else { 1 };
        let fresh = if order && number == 0 { 4 } else { rest[4] & 4 };
        let mut block = [&b"IMBK"[..], &[kind | fresh | rest[4] & 8]].concat();
        rest = &rest[5..];
        let (stored, sequence, intervals) = (varint(&mut rest), varint(&mut rest), varint(&mut rest));
        rest = rest.get(4..).unwrap_or_default();
        let stored = (stored & MOST).min(rest.len() as u64);
        for value in [stored, if order { number } else { sequence }, intervals] {
            put_varint(&mut block, value);
        }
        let (payload, after) = rest.split_at(stored as usize);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[16..32]), &block);
        out.extend(&block);
        out.extend(crc32c::crc32c_append(crc, payload).to_le_bytes());
        out.extend(payload);
        rest = after;
        number += 1;
    }
    out.extend(rest);
    out
}

/// An integer of variable length; what is too long is cut.
fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let Some((byte, after)) = rest.split_first() else { break };
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    value
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Blocks before format 5.
fn long_blocks(bytes: &mut [u8], len: usize, order: bool) {
    let id: [u8; 16] = bytes[16..32].try_into().expect("16 bytes");
    let (mut at, mut sequence, mut group) = (len, 0u32, 0);
    while at + BLOCK <= bytes.len() {
        let left = bytes.len() - at - BLOCK;
        let block = &mut bytes[at..];
        block[..4].copy_from_slice(b"IMBK");
        block[4] = if block[4] == 2 { 2 } else { 1 };
        block[5] = 0;
        let stored = usize::from(u16::from_le_bytes([block[8], block[9]])).min(left);
        block[8..12].copy_from_slice(&(stored as u32).to_le_bytes());
        block[12..16].copy_from_slice(&(stored as u32).to_le_bytes());
        if order {
            if sequence == 0 || block[6] & 1 != 0 {
                (block[6], group) = (1, sequence);
            }
            block[28..32].copy_from_slice(&sequence.to_le_bytes());
            block[32..36].copy_from_slice(&group.to_le_bytes());
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&id), &block[..36]);
        let crc = crc32c::crc32c_append(crc, &block[BLOCK..BLOCK + stored]);
        block[36..40].copy_from_slice(&crc.to_le_bytes());
        at += BLOCK + stored;
        sequence += 1;
    }
}

fn header(bytes: &mut [u8]) -> Option<usize> {
    bytes.get_mut(..8)?.copy_from_slice(b"IMONSEG\0");
    // One of the versions that can be read, and the same as the oldest reader's.
    let version = bytes.get_mut(8..12)?;
    version[0] %= 6;
    version.copy_from_slice(&[version[0].max(1), 0, version[0].max(1), 0]);
    let len = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?) as usize;
    let body = len.checked_sub(4).filter(|n| (32..5000).contains(n))?;
    let crc = crc32c::crc32c(bytes.get(..body)?);
    bytes.get_mut(body..len)?.copy_from_slice(&crc.to_le_bytes());
    Some(len)
}
