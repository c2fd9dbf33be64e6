//! Is an arbitrary token refused, and one of arbitrary claims accepted only if it keeps the rules?
#![no_main]

use chinwag_fuzz::credentials;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| credentials::verify(bytes));
