//! The messages of a stream. A message holds one frame, as it stands in a segment, and says on which message it was
//! decided. The first message is the genesis, which gives the log its id.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0..4 | `FF 'c' 'w' 'm'` |
//! | 4..8 | CRC-32C, begun with the log's id, of all that follows |
//! | 8..10 | version: 1 |
//! | 10..12 | kind: 0 for the genesis, 1 for a frame |
//! | 12..16 | zeros |
//! | 16..32 | writer: random, another one for each start of a process |
//! | 32..40 | number of the message among those of its writer, from 1 on |
//! | 40..48 | `prev`: sequence of the message that it was decided on |
//! | 48..64 | the [chain value](ChainValue) after that message |
//! | 64.. | the frame; of the genesis, see [`Genesis`] |
//!
//! Numbers are little endian.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use crate::domain::Epoch;
use crate::log::codec;
use crate::log::segment::{LogId, random_epoch};
use crate::system_clock;

const MAGIC: [u8; 4] = *b"\xffcwm";
const VERSION: u16 = 1;
/// Length of what stands before the frame, in bytes.
pub(super) const HEADER_BYTES: usize = 64;
const ID: Range<usize> = HEADER_BYTES..HEADER_BYTES + 16;

/// A writer of messages: one start of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriterId([u8; 16]);

impl WriterId {
    /// Returns a new id.
    #[must_use]
    pub fn random() -> Self {
        Self(system_clock::uuid().into_bytes())
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).simple().fmt(f)
    }
}

/// A number that stands for all frames up to one of them. It tells histories apart, but not those of a forger: it holds
/// the checksum of each frame, not a hash of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChainValue([u8; 16]);

impl ChainValue {
    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the value after a frame with this header that follows.
    pub(super) fn after(self, header: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(header);
        Self(*context.finish().as_ref().first_chunk().expect("32 bytes"))
    }
}

/// Tells a message from others that may stand in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum {
    bytes: usize,
    crc: u32,
}

impl Checksum {
    pub(super) fn of(message: &[u8]) -> Self {
        Self { bytes: message.len(), crc: crc32c::crc32c(message) }
    }
}

/// The content of the first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Genesis {
    /// The id of the log, the same on all servers.
    pub(super) log: LogId,
    /// The epoch of all its frames, so that positions are good on all servers.
    pub(super) epoch: Epoch,
}

impl Genesis {
    const BYTES: usize = 16 + 8 + codec::NAME.len();

    pub(super) fn random() -> Self {
        Self { log: LogId::random(), epoch: random_epoch() }
    }

    /// Returns the log's id, the epoch and the name of the codec, one after the other.
    fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..16].copy_from_slice(&self.log.to_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[24..].copy_from_slice(&codec::NAME);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = bytes.try_into().ok()?;
        let log = LogId::from_bytes(*bytes.first_chunk()?);
        let epoch = Epoch(u64::from_le_bytes(bytes[16..24].try_into().ok()?));
        (bytes[24..] == codec::NAME).then_some(Self { log, epoch })
    }

    /// Returns the genesis as a message.
    pub(super) fn message(&self, writer: WriterId) -> Vec<u8> {
        let head = Head { writer, number: 1, prev: 0, chain: ChainValue::default() };
        let mut message = Vec::new();
        head.write(KIND_GENESIS, self.log, &self.encode(), &mut message);
        message
    }
}

const KIND_GENESIS: u16 = 0;
const KIND_FRAME: u16 = 1;

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) writer: WriterId,
    pub(super) number: u64,
    /// The sequence of the message that it was decided on.
    pub(super) prev: u64,
    /// The chain value after that message.
    pub(super) chain: ChainValue,
}

impl Head {
    /// Writes the message of a frame.
    pub(super) fn write_frame(self, log: LogId, frame: &[u8], message: &mut Vec<u8>) {
        self.write(KIND_FRAME, log, frame, message);
    }

    fn write(self, kind: u16, log: LogId, content: &[u8], message: &mut Vec<u8>) {
        message.clear();
        message.extend_from_slice(&MAGIC);
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&VERSION.to_le_bytes());
        message.extend_from_slice(&kind.to_le_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&self.writer.0);
        message.extend_from_slice(&self.number.to_le_bytes());
        message.extend_from_slice(&self.prev.to_le_bytes());
        message.extend_from_slice(&self.chain.0);
        message.extend_from_slice(content);
        let checksum = log.checksum(&message[8..]);
        message[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The reason why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not a message of this log: somebody else has published it, or it was changed.
    Stray,
    /// It is sound, and of a version or kind that this release does not know.
    Unknown,
}

/// Returns the genesis that a message holds.
pub(super) fn read_genesis(message: &[u8]) -> Result<Genesis, Unreadable> {
    let id = message.get(ID).and_then(|id| id.try_into().ok()).ok_or(Unreadable::Stray)?;
    match read(message, LogId::from_bytes(id))? {
        (_, KIND_GENESIS, content) => Genesis::decode(content).ok_or(Unreadable::Unknown),
        _ => Err(Unreadable::Stray),
    }
}

/// Returns the head and the frame of a message of this log.
pub(super) fn read_frame(message: &[u8], log: LogId) -> Result<(Head, &[u8]), Unreadable> {
    match read(message, log)? {
        (head, KIND_FRAME, frame) => Ok((head, frame)),
        // A genesis that is not the first message.
        (_, KIND_GENESIS, _) => Err(Unreadable::Stray),
        _ => Err(Unreadable::Unknown),
    }
}

fn read(message: &[u8], log: LogId) -> Result<(Head, u16, &[u8]), Unreadable> {
    let (header, content) = message.split_at_checked(HEADER_BYTES).ok_or(Unreadable::Stray)?;
    if header[0..4] != MAGIC || header[4..8] != log.checksum(&message[8..]).to_le_bytes() {
        return Err(Unreadable::Stray);
    }
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let u64_at = |at: usize| u64::from_le_bytes(*header[at..].first_chunk().expect("eight bytes"));
    let bytes_at = |at: usize| *header[at..].first_chunk::<16>().expect("sixteen bytes");
    if u16_at(8) != VERSION || header[12..16] != [0; 4] {
        return Err(Unreadable::Unknown);
    }
    let head = Head {
        writer: WriterId(bytes_at(16)),
        number: u64_at(32),
        prev: u64_at(40),
        chain: ChainValue(bytes_at(48)),
    };
    Ok((head, u16_at(10), content))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId::from_bytes([1; 16]);
    const HEAD: Head = Head { writer: WriterId([2; 16]), number: 3, prev: 4, chain: ChainValue([5; 16]) };

    fn message(kind: u16) -> Vec<u8> {
        let mut message = vec![0xaa; 10];
        HEAD.write(kind, LOG, b"frame", &mut message);
        message
    }

    /// Returns the message with another byte, and a checksum that is right.
    fn with(at: usize, byte: u8) -> Vec<u8> {
        let mut message = message(KIND_FRAME);
        message[at] = byte;
        let checksum = LOG.checksum(&message[8..]);
        message[4..8].copy_from_slice(&checksum.to_le_bytes());
        message
    }

    #[test]
    fn a_message_has_these_bytes() {
        let message = message(KIND_FRAME);
        assert_eq!(message[0..4], *b"\xffcwm");
        assert_eq!(message[4..8], LOG.checksum(&message[8..]).to_le_bytes());
        let words = [[2_u8; 8], [2; 8], 3_u64.to_le_bytes(), 4_u64.to_le_bytes(), [5; 8], [5; 8]].concat();
        assert_eq!(message[8..], [&[1, 0, 1, 0, 0, 0, 0, 0], &words[..], b"frame"].concat());
        assert_eq!(read_frame(&message, LOG), Ok((HEAD, &b"frame"[..])));
    }

    #[test]
    fn a_genesis_gives_the_log_its_id() {
        let genesis = Genesis { log: LOG, epoch: Epoch(7) };
        let message = genesis.message(WriterId([2; 16]));
        assert_eq!(message[HEADER_BYTES..], [&[1; 16][..], &[7, 0, 0, 0, 0, 0, 0, 0], &codec::NAME].concat());
        assert_eq!(read_genesis(&message), Ok(genesis));
        assert_eq!(read_frame(&message, LOG), Err(Unreadable::Stray), "it is no frame");
        assert_eq!(read_genesis(&self::message(KIND_FRAME)), Err(Unreadable::Stray), "a frame is no genesis");
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_makes_a_stray() {
        for message in [message(KIND_FRAME), Genesis { log: LOG, epoch: Epoch(7) }.message(WriterId([2; 16]))]
        {
            let is_stray = |message: &[u8]| {
                read_frame(message, LOG) == Err(Unreadable::Stray)
                    && read_genesis(message) == Err(Unreadable::Stray)
            };
            for bit in 0..message.len() * 8 {
                let mut flipped = message.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(is_stray(&flipped), "bit {bit}");
            }
            assert!((0..message.len()).all(|length| is_stray(&message[..length])));
        }
        assert_eq!(read_frame(&message(KIND_FRAME), LogId::from_bytes([9; 16])), Err(Unreadable::Stray));
    }

    #[test]
    fn what_a_later_release_writes_is_not_passed_over() {
        for later in [with(8, 2), with(10, 2), with(11, 1), with(12, 1), with(15, 1)] {
            assert_eq!(read_frame(&later, LOG), Err(Unreadable::Unknown));
        }
    }
}
