//! Segment files: their lengths, their names and their headers.
//!
//! A header is one block in version 1 of the format, and two equal blocks in version 2: one sound block is
//! enough.
//!
//! | bytes of a block | content |
//! | --- | --- |
//! | 0..8 | `CHINWAG\n` |
//! | 8..12 | CRC-32C of bytes 12..4096 |
//! | 12..16 | format version |
//! | 16..32 | the log's id, random, the same in all its segments |
//! | 32..40 | position of the segment's first event |
//! | 40..56 | codec: `bincode-2-legacy` |
//! | 56..4096 | zeros |
//!
//! Numbers are little endian. The first sixteen bytes keep their meaning in every later version.

use super::codec::{self, FRAME_BYTES_MAX};
use crate::domain::{Epoch, Position};
use crate::system_clock;

/// Length of a segment of a log that has grown, in bytes, unless another one is configured.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Length of the first segment of a log, in bytes, unless the configured length is shorter.
pub(super) const SEGMENT_BYTES_FIRST: u64 = 2 * 1024 * 1024;
/// Minimum length of a segment, in bytes.
pub const SEGMENT_BYTES_MIN: u64 = 65_536;
/// Maximum length of a segment, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

const _: () = assert!(
    (HEADER_BYTES + FRAME_BYTES_MAX) as u64 <= SEGMENT_BYTES_MAX,
    "a frame fits a segment of its own"
);

/// Length of one block of a header, in bytes.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Length of the header of a segment that this release writes, in bytes.
pub(super) const HEADER_BYTES: usize = Version::Two.header_bytes();
const MAGIC: [u8; 8] = *b"CHINWAG\n";

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One = 1,
    /// A segment has its header twice, a frame has its epoch, and a record has its actor.
    Two = 2,
}

impl Version {
    /// Every version, the latest first.
    pub(super) const ALL: [Self; 2] = [Self::Two, Self::One];

    /// Returns the length of a segment's header, in bytes. The frames follow it.
    pub(super) const fn header_bytes(self) -> usize {
        match self {
            Self::One => BLOCK_BYTES,
            Self::Two => 2 * BLOCK_BYTES,
        }
    }

    fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&version| version as u32 == number)
    }
}

/// Identifies a log. Every checksum begins with it, so that the frames of another log are not sound here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogId([u8; 16]);

impl LogId {
    pub(super) fn random() -> Self {
        Self(system_clock::uuid().into_bytes())
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the id with one bit flipped.
    pub(super) fn with_flipped_bit(self, bit: usize) -> Self {
        let mut id = self;
        id.0[bit / 8] ^= 1 << (bit % 8);
        id
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0), bytes)
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

/// Returns a random epoch, which is never [unknown](Epoch::UNKNOWN).
pub(super) fn random_epoch() -> Epoch {
    // The lower half of a UUID has two fixed bits, which are not both 0, and 62 random ones.
    Epoch(system_clock::uuid().as_u64_pair().1)
}

/// The format of the frames of a segment. A frame of another log or version is not sound in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameFormat {
    pub(super) log: LogId,
    pub(super) version: Version,
}

/// The contents of a segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: FrameFormat,
    pub(super) first: Position,
}

/// The reason why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    UnknownVersion(u32),
    UnknownCodec,
}

impl Header {
    /// Returns the header of a new segment.
    pub(super) fn new(log: LogId, first: Position) -> Self {
        Self { format: FrameFormat { log, version: Version::Two }, first }
    }

    /// Returns the length of the header, in bytes. The frames follow it.
    pub(super) fn bytes(self) -> usize {
        self.format.version.header_bytes()
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut block = [0; BLOCK_BYTES];
        block[0..8].copy_from_slice(&MAGIC);
        block[12..16].copy_from_slice(&(self.format.version as u32).to_le_bytes());
        block[16..32].copy_from_slice(&self.format.log.0);
        block[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        block[40..56].copy_from_slice(&codec::NAME);
        let checksum = crc32c::crc32c(&block[12..]);
        block[8..12].copy_from_slice(&checksum.to_le_bytes());
        block.repeat(self.bytes() / BLOCK_BYTES)
    }

    /// Returns the header at the start of a segment's bytes. One sound block is enough.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        match Self::decode_block(bytes) {
            Err(BadHeader::Damaged) => {
                Self::decode_block(bytes.get(BLOCK_BYTES..).ok_or(BadHeader::Damaged)?)
            }
            first => first,
        }
    }

    /// Returns whether a segment's bytes begin with this header, each copy of it sound.
    pub(super) fn is_whole(self, bytes: &[u8]) -> bool {
        bytes.starts_with(&self.encode())
    }

    /// Returns the id in a header block that may be damaged.
    pub(super) fn unchecked_id(bytes: &[u8]) -> Option<LogId> {
        Some(LogId(bytes.get(16..32)?.try_into().expect("sixteen bytes")))
    }

    fn decode_block(bytes: &[u8]) -> Result<Self, BadHeader> {
        let block = bytes.first_chunk::<BLOCK_BYTES>().ok_or(BadHeader::Damaged)?;
        if block[0..8] != MAGIC || block[8..12] != crc32c::crc32c(&block[12..]).to_le_bytes() {
            return Err(BadHeader::Damaged);
        }
        let number = u32::from_le_bytes(block[12..16].try_into().expect("four bytes"));
        let version = Version::numbered(number).ok_or(BadHeader::UnknownVersion(number))?;
        if block[40..56] != codec::NAME {
            return Err(BadHeader::UnknownCodec);
        }
        let log = LogId(block[16..32].try_into().expect("sixteen bytes"));
        let first = Position(u64::from_le_bytes(block[32..40].try_into().expect("eight bytes")));
        Ok(Self { format: FrameFormat { log, version }, first })
    }
}

const DIGITS: usize = 20;
const SUFFIX: &str = ".log";

/// Returns the file name of the segment that begins at this position. Names sort as positions do.
pub(super) fn file_name(first: Position) -> String {
    format!("{:0DIGITS$}{SUFFIX}", first.0)
}

/// Returns the position in a segment's file name, or `None` if it is not the name of a segment.
pub(super) fn first_in_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(SUFFIX)?;
    let all_digits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok().map(Position) } else { None }
}

/// Returns the first event of a segment whose name was changed, as it seems. Programs that copy files make such
/// names: `00000000000000000001 (1).log`, or `00000000000000000001.LOG`.
pub(super) fn first_in_changed_name(name: &str) -> Option<Position> {
    let is_log = name.to_ascii_lowercase().ends_with(SUFFIX);
    let mut numbers = name.split(|char: char| !char.is_ascii_digit());
    let digits = numbers.find(|digits| digits.len() == DIGITS).filter(|_| is_log)?;
    digits.parse().ok().map(Position).filter(|_| first_in_name(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId::from_bytes([9; 16]);

    fn headers() -> [Header; 2] {
        Version::ALL.map(|version| Header { format: FrameFormat { log: LOG, version }, first: Position(42) })
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        for header in headers() {
            let bytes = header.encode();
            assert_eq!((Header::decode(&bytes), bytes.len()), (Ok(header), header.bytes()));
            assert!(header.is_whole(&bytes));
        }
    }

    #[test]
    fn a_flipped_bit_damages_one_copy_of_a_header() {
        let [two, one] = headers();
        for (header, expected) in [(two, Ok(two)), (one, Err(BadHeader::Damaged))] {
            let mut bytes = header.encode();
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(&bytes), expected, "bit {bit}");
                assert!(!header.is_whole(&bytes), "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_header_without_a_sound_copy_is_damaged() {
        let [two, _] = headers();
        let mut bytes = two.encode();
        (bytes[20], bytes[BLOCK_BYTES + 20]) = (1, 1);
        assert_eq!(Header::decode(&bytes), Err(BadHeader::Damaged));
        assert_eq!(Header::decode(&bytes[..BLOCK_BYTES]), Err(BadHeader::Damaged));
    }

    #[test]
    fn another_version_or_codec_is_not_damage() {
        let with = |offset: usize, byte| {
            let mut bytes = headers()[0].encode();
            bytes[offset] = byte;
            let checksum = crc32c::crc32c(&bytes[12..BLOCK_BYTES]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
            Header::decode(&bytes)
        };
        assert_eq!(with(12, 3), Err(BadHeader::UnknownVersion(3)));
        assert_eq!(with(40, b'B'), Err(BadHeader::UnknownCodec));
    }

    #[test]
    fn only_positions_are_names_of_segments() {
        assert_eq!(first_in_name(&file_name(Position(17))), Some(Position(17)));
        for foreign in
            ["LOCK", "spare", "17.log", "0000000000000000001x.log", "00000000000000000017.log.torn-4096"]
        {
            assert_eq!(first_in_name(foreign), None, "{foreign}");
            assert_eq!(first_in_changed_name(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_changed_name_of_a_segment_is_recognised() {
        for misnamed in
            ["00000000000000000001 (1).log", "00000000000000000001.LOG", "Copy of 00000000000000000001.log"]
        {
            assert_eq!(first_in_changed_name(misnamed), Some(Position(1)), "{misnamed}");
        }
        assert_eq!(first_in_changed_name(&file_name(Position(1))), None);
    }
}
