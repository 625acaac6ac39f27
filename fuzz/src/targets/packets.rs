//! Many frames, in any order of time, through the meter and a segment: the books balance.

use crate::books::Books;
use crate::frames::frames;

/// One input.
pub fn run(data: &[u8]) {
    let mut books = Books::default();
    frames(data).for_each(|packet| books.packet(&packet));
    books.close();
}
