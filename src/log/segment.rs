//! Segment files: their lengths, their names and their header block.
//!
//! | bytes | content |
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
use crate::domain::Position;

/// Length of a segment, in bytes, unless another one is configured.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Minimum length of a segment, in bytes.
pub const SEGMENT_BYTES_MIN: u64 = 65_536;
/// Maximum length of a segment, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

const _: () = assert!(
    (HEADER_BYTES + FRAME_BYTES_MAX) as u64 <= SEGMENT_BYTES_MAX,
    "a frame fits a segment of its own"
);

pub(super) const HEADER_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"CHINWAG\n";
const VERSION: u32 = 1;

/// Identifies a log. Every checksum begins with it, so that the frames of another log are not sound here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogId([u8; 16]);

impl LogId {
    pub(super) fn random() -> Self {
        Self(uuid::Uuid::now_v7().into_bytes())
    }

    #[cfg(test)]
    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.0), bytes)
    }
}

/// The contents of a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) log: LogId,
    pub(super) first: Position,
}

/// The reason why a header block cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    UnknownVersion(u32),
    UnknownCodec,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        block[0..8].copy_from_slice(&MAGIC);
        block[12..16].copy_from_slice(&VERSION.to_le_bytes());
        block[16..32].copy_from_slice(&self.log.0);
        block[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        block[40..56].copy_from_slice(&codec::NAME);
        let checksum = crc32c::crc32c(&block[12..]);
        block[8..12].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        let block = bytes.first_chunk::<HEADER_BYTES>().ok_or(BadHeader::Damaged)?;
        if block[0..8] != MAGIC || block[8..12] != crc32c::crc32c(&block[12..]).to_le_bytes() {
            return Err(BadHeader::Damaged);
        }
        let version = u32::from_le_bytes(block[12..16].try_into().expect("four bytes"));
        if version != VERSION {
            return Err(BadHeader::UnknownVersion(version));
        }
        if block[40..56] != codec::NAME {
            return Err(BadHeader::UnknownCodec);
        }
        let log = LogId(block[16..32].try_into().expect("sixteen bytes"));
        let first = Position(u64::from_le_bytes(block[32..40].try_into().expect("eight bytes")));
        Ok(Self { log, first })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { log: LogId::from_bytes([9; 16]), first: Position(42) }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn a_flipped_bit_in_a_header_is_damage() {
        let block = header().encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), Err(BadHeader::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn another_version_or_codec_is_not_damage() {
        let with = |offset: usize, byte| {
            let mut block = header().encode();
            block[offset] = byte;
            let checksum = crc32c::crc32c(&block[12..]);
            block[8..12].copy_from_slice(&checksum.to_le_bytes());
            Header::decode(&block)
        };
        assert_eq!(with(12, 2), Err(BadHeader::UnknownVersion(2)));
        assert_eq!(with(40, b'B'), Err(BadHeader::UnknownCodec));
    }

    #[test]
    fn only_positions_are_names_of_segments() {
        assert_eq!(first_in_name(&file_name(Position(17))), Some(Position(17)));
        for foreign in
            ["LOCK", "spare", "17.log", "0000000000000000001x.log", "00000000000000000017.log.torn-4096"]
        {
            assert_eq!(first_in_name(foreign), None, "{foreign}");
        }
    }
}
