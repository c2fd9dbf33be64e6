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

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriterId([u8; 16]);

impl WriterId {
    pub(super) fn random() -> Self {
        Self(system_clock::uuid().into_bytes())
    }
}

/// A number that stands for all frames up to one of them. It tells histories apart, but not those of a forger: it holds
/// the checksum of each frame, not a hash of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChainValue([u8; 16]);

impl ChainValue {
    /// Returns the value after a frame with this header that follows.
    pub(super) fn after(self, header: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(header);
        Self(*context.finish().as_ref().first_chunk().expect("32 bytes"))
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
