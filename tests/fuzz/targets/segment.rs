//! A segment's bytes: the whole file, or what follows a sound header.
#![no_main]

use chinwag_fuzz::log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((b'+', rest)) => log::start([&log::header(), rest].concat()),
        Some(_) | None => log::start(bytes.to_vec()),
    };
});
