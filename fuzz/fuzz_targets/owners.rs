//! libFuzzer's door to `imon_fuzz::targets::owners`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imon_fuzz::targets::owners::run(data));
