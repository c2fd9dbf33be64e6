//! The codec of records: bincode 2.0.1 in its `legacy` configuration (little endian, fixed width).

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::read::{Reader, SliceReader};
use bincode::de::{Decoder, DecoderImpl};
pub use bincode::error::DecodeError;
use bincode::{BorrowDecode, Decode};

use super::segment::Version;
use crate::domain::{Record, UserId};

/// Maximum length of a frame, in bytes. No batch that the writer gathers comes near it.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The codec's name in the segment header.
pub(super) const NAME: [u8; 16] = *b"bincode-2-legacy";

type Config = Configuration<LittleEndian, Fixint, Limit<FRAME_BYTES_MAX>>;
const CONFIG: Config = bincode::config::legacy().with_limit::<FRAME_BYTES_MAX>();

pub(super) fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(record, out, CONFIG).expect("a record encodes into memory");
}

/// A table of actors without an entry.
pub(super) const NO_ACTORS: u8 = 0;
/// Number before a record whose actor is unknown.
pub(super) const UNKNOWN_ACTOR: u8 = 0;
/// Number before a record whose actor is the user whom the event names. Greater numbers name the table's
/// entries.
const OWN_ACTOR: u8 = 1;

/// An entry of the table of actors: the one who caused an event.
#[derive(Debug, BorrowDecode)]
enum Actor<'a> {
    /// A server key, by its name.
    #[expect(dead_code, reason = "decoded to be checked; no reader asks for actors")]
    Key(&'a str),
    /// A user other than the one whom the event names.
    #[expect(dead_code, reason = "as above")]
    User(UserId),
}

/// The records of a frame, in order. Their texts are borrowed from the frame's bytes.
///
/// After an error there are no more records. If bytes are left over after the last record, an error takes its
/// place.
pub struct Records<'a> {
    decoder: DecoderImpl<SliceReader<'a>, Config, ()>,
    version: Version,
    /// The largest number of an actor; `None` before the table is read.
    actor_max: Option<u8>,
    left: u32,
}

impl<'a> Records<'a> {
    /// Reads `count` records from `bytes`.
    ///
    /// **Invariant:** whatever lengths the bytes claim, decoding allocates at most as much memory as the
    /// bytes themselves take. So the decoder's limit is the length of `bytes`.
    pub(super) fn new(bytes: &'a [u8], count: u32, version: Version) -> Self {
        let mut decoder = DecoderImpl::new(SliceReader::new(bytes), CONFIG, ());
        let beyond =
            FRAME_BYTES_MAX.checked_sub(bytes.len()).expect("no frame is longer than FRAME_BYTES_MAX");
        decoder.claim_bytes_read(beyond).expect("within the limit");
        Self { decoder, version, actor_max: None, left: count }
    }

    fn record(&mut self) -> Result<Record<'a>, DecodeError> {
        match self.version {
            Version::One => {}
            Version::Two => self.check_actor()?,
        }
        Record::borrow_decode(&mut self.decoder)
    }

    /// Reads the number of the next record's actor, and checks that the table has it.
    fn check_actor(&mut self) -> Result<(), DecodeError> {
        let actor_max = match self.actor_max {
            Some(actor_max) => actor_max,
            None => self.read_table()?,
        };
        self.actor_max = Some(actor_max);
        if u8::decode(&mut self.decoder)? > actor_max {
            return Err(DecodeError::Other("a record of an actor who is not in the table"));
        }
        Ok(())
    }

    /// Reads the table of actors. Returns the largest number that names one.
    fn read_table(&mut self) -> Result<u8, DecodeError> {
        let entries = u8::decode(&mut self.decoder)?;
        for _ in 0..entries {
            Actor::borrow_decode(&mut self.decoder)?;
        }
        OWN_ACTOR.checked_add(entries).ok_or(DecodeError::Other("a table of over 254 actors"))
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
