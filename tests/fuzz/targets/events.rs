//! Are arbitrary events in a frame with a correct checksum handled? The first byte is their number, and its highest
//! bit is set for version 2 of the format. The rest are their bytes.
#![no_main]

use chinwag_fuzz::log::{self, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, payload)) = bytes.split_first() else { return };
    let (version, count) = (if first & 0x80 == 0 { Version::One } else { Version::Two }, first & 0x7f);
    let frame = log::frame(version, 1, count.into(), payload);
    if let Some(position) = log::start([log::header(version), frame].concat()) {
        assert!(count == 0 || position.0 == u64::from(count), "{count} events come to {position}");
    }
});
