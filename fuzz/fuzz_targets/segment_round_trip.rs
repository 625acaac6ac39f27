//! libFuzzer's door to `imon_fuzz::targets::segment_round_trip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imon_fuzz::targets::segment_round_trip::run(data));
