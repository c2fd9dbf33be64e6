//! Are arbitrary bytes of a segment handled, as the whole file or after a valid header?
#![no_main]

use chinwag_fuzz::log::{self, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'+', rest)) => log::start([&log::header(Version::One), rest].concat()),
        Some(_) | None => log::start(bytes.to_vec()),
    };
});
