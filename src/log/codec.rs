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

/// The table of a frame whose records were written by nobody known.
pub(super) const NO_WRITERS: u8 = 0;
/// Stands before a record that was written by nobody known.
pub(super) const BY_NOBODY_KNOWN: u8 = 0;
/// The largest number before a record that does not name an entry of the table.
const BY_DOER: u8 = 1;

/// An entry of the table of those who wrote the records of a frame.
#[derive(Debug, BorrowDecode)]
enum Writer<'a> {
    /// A server key, by its name.
    #[expect(dead_code, reason = "decoded to be checked; who wrote a record has no reader")]
    Key(&'a str),
    /// A user who is not the doer that the event names.
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
    /// The largest number that may stand before a record; `None` before the table is read.
    by_max: Option<u8>,
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
        Self { decoder, version, by_max: None, left: count }
    }

    fn record(&mut self) -> Result<Record<'a>, DecodeError> {
        match self.version {
            Version::One => {}
            Version::Two => self.check_by()?,
        }
        Record::borrow_decode(&mut self.decoder)
    }

    /// Reads who wrote the next record, which must be known.
    fn check_by(&mut self) -> Result<(), DecodeError> {
        let by_max = match self.by_max {
            Some(by_max) => by_max,
            None => self.read_table()?,
        };
        self.by_max = Some(by_max);
        if u8::decode(&mut self.decoder)? > by_max {
            return Err(DecodeError::Other("a record written by nobody in the table"));
        }
        Ok(())
    }

    /// Reads the table of writers. Returns the largest number that may stand before a record.
    fn read_table(&mut self) -> Result<u8, DecodeError> {
        let entries = u8::decode(&mut self.decoder)?;
        for _ in 0..entries {
            Writer::borrow_decode(&mut self.decoder)?;
        }
        BY_DOER.checked_add(entries).ok_or(DecodeError::Other("a table of over 254 writers"))
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
