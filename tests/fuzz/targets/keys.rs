//! Are arbitrary files of keys and secrets handled? Those that are refused are not quoted at length, and a key that
//! signs also verifies.
#![no_main]

use chinwag_fuzz::credentials;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| credentials::parse(bytes));
