//! libFuzzer's door to `imon_fuzz::targets::dns_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| imon_fuzz::targets::dns_stream::run(data));
