//! Segment bytes put right by the harness: mutations never hit a checksum.

/// Bytes of a block's header.
const BLOCK: usize = 40;

/// Gives `bytes` a header and blocks whose lengths and checksums are right, as far as their
/// structure goes. `order`: number the blocks, and make each the head of a group or a member of the
/// last one by its flag.
pub fn put_right(bytes: &mut [u8], order: bool) {
    let Some(len) = header(bytes) else { return };
    let id: [u8; 16] = bytes[16..32].try_into().expect("16 bytes");
    let (mut at, mut sequence, mut group) = (len, 0u32, 0);
    while at + BLOCK <= bytes.len() {
        let left = bytes.len() - at - BLOCK;
        let block = &mut bytes[at..];
        block[..4].copy_from_slice(b"IMBK");
        block[4] = if block[4] == 2 { 2 } else { 1 };
        block[5] = 0;
        // At most 64 KiB, and within the file: lengths that lie are the other mode's.
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
    version[0] %= 4;
    version.copy_from_slice(&[version[0].max(1), 0, version[0].max(1), 0]);
    let len = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?) as usize;
    let body = len.checked_sub(4).filter(|n| (32..5000).contains(n))?;
    let crc = crc32c::crc32c(bytes.get(..body)?);
    bytes.get_mut(body..len)?.copy_from_slice(&crc.to_le_bytes());
    Some(len)
}
