//! Records to bytes and back: bincode 2.0.1 in its `legacy` configuration (little endian, fixed width).

use bincode::BorrowDecode;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::read::{Reader, SliceReader};
use bincode::de::{Decoder, DecoderImpl};
pub use bincode::error::DecodeError;

use super::frame::FRAME_BYTES_MAX;
use crate::domain::Record;

/// The codec's name in the segment header.
pub(super) const NAME: [u8; 16] = *b"bincode-2-legacy";

const CONFIG: Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>> =
    bincode::config::legacy().with_limit::<FRAME_BYTES_MAX>();

pub(super) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(record, out, CONFIG).expect("a record encodes into memory");
}

/// Decodes exactly `count` records that use up all of `bytes`, which are at most [`FRAME_BYTES_MAX`]; texts are
/// borrowed from them.
///
/// **Invariant:** whatever the bytes say of their lengths, no more memory is asked for than they take themselves.
pub(super) fn decode_all<'b>(
    bytes: &'b [u8],
    count: u32,
    mut visit: impl FnMut(Record<'b>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut decoder = DecoderImpl::new(SliceReader::new(bytes), CONFIG, ());
    decoder.claim_bytes_read(FRAME_BYTES_MAX.checked_sub(bytes.len()).ok_or(DecodeError::LimitExceeded)?)?;
    for _ in 0..count {
        visit(Record::borrow_decode(&mut decoder)?)?;
    }
    match decoder.reader().peek_read(1) {
        None => Ok(()),
        Some(_) => Err(DecodeError::Other("bytes left over after the last event")),
    }
}
