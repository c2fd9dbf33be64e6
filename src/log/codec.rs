//! Records to bytes and back: bincode 2.0.1 in its `legacy` configuration (little endian, fixed width).

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
pub use bincode::error::DecodeError;

use super::frame::FRAME_BYTES_MAX;
use crate::domain::Record;

/// The codec's name in the segment header.
pub(super) const NAME: [u8; 16] = *b"bincode-2-legacy";

/// **Invariant:** no decode takes or allocates more than a frame can hold.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>> =
    bincode::config::legacy().with_limit::<FRAME_BYTES_MAX>();

pub(super) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(record, out, CONFIG).expect("a record encodes into memory");
}

/// Decodes exactly `count` records that use up all of `bytes`; texts are borrowed from it.
pub(super) fn decode_all<'b>(
    mut bytes: &'b [u8],
    count: u32,
    mut visit: impl FnMut(Record<'b>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    for _ in 0..count {
        let (record, used) = bincode::borrow_decode_from_slice(bytes, CONFIG)?;
        bytes = &bytes[used..];
        visit(record)?;
    }
    if bytes.is_empty() { Ok(()) } else { Err(DecodeError::Other("bytes left over after the last event")) }
}
