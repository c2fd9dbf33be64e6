//! Does the router handle an arbitrary request: its path, its headers, its body?
#![no_main]

use chinwag_fuzz::request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| request::send(bytes));
