//! Many frames, in any order of time, through the meter and a segment: the books balance.
#![no_main]

use imon_fuzz::books::Books;
use imon_fuzz::frames::frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut books = Books::default();
    frames(data).for_each(|packet| books.packet(&packet));
    books.close();
});
