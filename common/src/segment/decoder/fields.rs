//! Fields of a payload, each judged as it is read.

use crate::cursor::Cursor;
use crate::segment::block::BlockError;
use crate::segment::{MAX_AMOUNT, varint};
use crate::time::UnixNanos;

pub(super) fn content(what: &'static str) -> BlockError {
    BlockError::Content { what }
}

pub(super) fn from_micros(us: i64) -> UnixNanos {
    UnixNanos(us.saturating_mul(1_000))
}

pub(super) fn get(at: &mut Cursor<'_>) -> Result<u64, BlockError> {
    varint::get(at).ok_or(content("cut, or an integer of more than 64 bits"))
}

pub(super) fn get_signed(at: &mut Cursor<'_>) -> Result<i64, BlockError> {
    varint::get_signed(at).ok_or(content("cut, or an integer of more than 64 bits"))
}

pub(super) fn index(at: &mut Cursor<'_>) -> Result<usize, BlockError> {
    usize::try_from(get(at)?).map_err(|_| content("index"))
}

pub(super) fn port(at: &mut Cursor<'_>) -> Result<u16, BlockError> {
    u16::try_from(get(at)?).map_err(|_| content("port"))
}

pub(super) fn amount(at: &mut Cursor<'_>) -> Result<u64, BlockError> {
    get(at).and_then(|v| if v <= MAX_AMOUNT { Ok(v) } else { Err(content("an amount beyond any link")) })
}
