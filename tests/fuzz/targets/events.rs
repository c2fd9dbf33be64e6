//! Are arbitrary events in a frame with a correct checksum handled? The first byte is their number, the rest
//! their bytes.
#![no_main]

use chinwag_fuzz::log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&count, payload)) = bytes.split_first() else { return };
    let frame = log::frame(1, count.into(), payload);
    if let Some(position) = log::start([log::header(), frame].concat()) {
        assert!(count == 0 || position.0 == u64::from(count), "{count} events come to {position}");
    }
});
