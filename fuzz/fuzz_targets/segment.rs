//! libFuzzer's door to `imon_fuzz::targets::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imon_fuzz::targets::segment::run(data));
