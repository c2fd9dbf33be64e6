//! The codec of records: bincode 2.0.1 in its `legacy` configuration (little endian, fixed width).

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::read::{Reader, SliceReader};
use bincode::de::{Decoder, DecoderImpl};
pub use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use super::actors::{self, ReadActors};
use super::segment::Version;
use crate::domain::{Actor, Record};

/// Maximum length of a frame, in bytes. No batch that the writer gathers comes near it.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The codec's name in the segment header.
pub(super) const NAME: [u8; 16] = *b"bincode-2-legacy";

type Config = Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>>;
const CONFIG: Config = bincode::config::legacy().with_limit::<FRAME_BYTES_MAX>();

pub(super) fn encode(value: &impl Encode, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, CONFIG).expect("it encodes into memory");
}

/// The records of a frame, in order. Their texts are borrowed from the frame's bytes.
///
/// After an error there are no more records. If bytes are left over after the last record, an error takes its
/// place.
pub struct Records<'a> {
    decoder: DecoderImpl<SliceReader<'a>, Config, ()>,
    version: Version,
    /// The table of actors; `None` before it is read.
    actors: Option<ReadActors<'a>>,
    left: u32,
}

impl<'a> Records<'a> {
    /// Reads `count` records from `bytes`.
    ///
    /// **Invariant:** whatever lengths the bytes claim, decoding allocates at most as much memory as the
    /// bytes themselves take, and a table of 254 actors. So the decoder's limit is the length of `bytes`.
    pub(super) fn new(bytes: &'a [u8], count: u32, version: Version) -> Self {
        let mut decoder = DecoderImpl::new(SliceReader::new(bytes), CONFIG, ());
        let beyond =
            FRAME_BYTES_MAX.checked_sub(bytes.len()).expect("no frame is longer than FRAME_BYTES_MAX");
        decoder.claim_bytes_read(beyond).expect("within the limit");
        Self { decoder, version, actors: None, left: count }
    }

    #[inline]
    fn record(&mut self) -> Result<Record<'a>, DecodeError> {
        let number = match self.version {
            Version::One => actors::UNKNOWN,
            Version::Two => {
                if self.actors.is_none() {
                    self.actors = Some(ReadActors::decode(&mut self.decoder)?);
                }
                u8::decode(&mut self.decoder)?
            }
        };
        let actors = self.actors.as_ref();
        Record::decode(&mut self.decoder, |event| match number {
            actors::UNKNOWN => Ok(Actor::Unknown),
            _ => actors.expect("a number stands behind a table").named(number, event),
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
        } else if self.left == 0 && self.decoder.reader().peek_read(1).is_some() {
            return Some(Err(DecodeError::Other("bytes left over after the last event")));
        }
        Some(record)
    }
}
