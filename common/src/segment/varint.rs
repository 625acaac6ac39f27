//! LEB128 integers: seven bits a byte, lowest first; signed values in zigzag order.

use crate::cursor::Cursor;

/// Bytes of the longest 64-bit value.
const MAX_LEN: usize = 10;

/// Appends `value`.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value`, small for small distances from 0 in either direction.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Reads a value; `None` where the bytes end or it exceeds 64 bits.
#[inline]
pub fn get(at: &mut Cursor<'_>) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..MAX_LEN {
        let byte = at.u8()?;
        let bits = u64::from(byte & 0x7f);
        if i == MAX_LEN - 1 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Reads a value written by [`put_signed`].
#[inline]
pub fn get_signed(at: &mut Cursor<'_>) -> Option<i64> {
    get(at).map(|v| (v >> 1) as i64 ^ -((v & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_read_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put(&mut out, value);
            put_signed(&mut out, signed);
            let mut at = Cursor::new(&out);
            prop_assert_eq!(get(&mut at), Some(value));
            prop_assert_eq!(get_signed(&mut at), Some(signed));
            prop_assert!(at.is_empty());
        }
    }

    #[test]
    fn an_endless_or_oversized_value_is_refused() {
        assert_eq!(get(&mut Cursor::new(&[0xff; 20])), None);
        assert_eq!(get(&mut Cursor::new(&[0x80])), None);
        assert_eq!(get(&mut Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])), None);
    }
}
