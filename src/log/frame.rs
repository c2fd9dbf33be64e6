//! Frames: one commit each.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0..4 | magic; holds 0xFF, which no client's text can, so that no text passes for a frame |
//! | 4..8 | CRC-32C, begun with the log's id, of everything that follows, padding included |
//! | 8..12 | payload length, bytes |
//! | 12..16 | number of events, at least 1 |
//! | 16..24 | position of the first event |
//! | 24.. | payload: that many encoded records; zeros up to a multiple of 8 bytes |
//!
//! Numbers are little endian. A frame begins at a multiple of 8 bytes in its segment.

use super::codec::{self, DecodeError};
use super::segment::LogId;
use crate::domain::{Position, Record};

/// No frame is longer than this, in bytes. Larger than any batch that the writer gathers.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(super) const ALIGNMENT_BYTES: usize = 8;
const MAGIC: [u8; 4] = [0xFF, b'c', b'w', 0xFE];
const HEADER_BYTES: usize = 24;

/// A frame being written: records are added, then the log seals it.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    first: Position,
    count: u32,
}

impl Frame {
    /// An empty frame whose first record will stand at this position.
    #[must_use]
    pub fn new(first: Position) -> Self {
        Self { bytes: vec![0; HEADER_BYTES], first, count: 0 }
    }

    /// Empties it, keeping its memory, to begin again at this position.
    pub fn restart(&mut self, first: Position) {
        self.bytes.truncate(HEADER_BYTES);
        self.first = first;
        self.count = 0;
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record<'_>) {
        codec::encode(record, &mut self.bytes);
        self.count += 1;
    }

    /// Whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of encoded records.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len() - HEADER_BYTES
    }

    /// The position of its first record.
    #[must_use]
    pub fn first(&self) -> Position {
        self.first
    }

    /// The position of its last record; of an empty frame, the one before the first.
    #[must_use]
    pub fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }

    pub(super) fn end(&self) -> Position {
        self.last().next()
    }

    /// Its length on disk, padding included.
    pub(super) fn sealed_bytes(&self) -> usize {
        self.bytes.len().next_multiple_of(ALIGNMENT_BYTES)
    }

    /// Completes header and padding; the result is what goes to disk.
    pub(super) fn seal(&mut self, log: LogId) -> &[u8] {
        assert!(self.count > 0, "a frame holds at least one event");
        let padded = self.sealed_bytes();
        assert!(padded <= FRAME_BYTES_MAX, "a frame of {padded} bytes is over the limit");
        let payload = u32::try_from(self.payload_bytes()).expect("FRAME_BYTES_MAX fits");
        self.bytes.resize(padded, 0);
        self.bytes[0..4].copy_from_slice(&MAGIC);
        self.bytes[8..12].copy_from_slice(&payload.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        let checksum = log.checksum(&self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        &self.bytes
    }
}

/// A frame whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub struct SealedFrame<'a> {
    /// The position of its first event.
    pub first: Position,
    /// How many events it holds.
    pub count: u32,
    payload: &'a [u8],
    /// Its length on disk, padding included.
    pub(super) bytes: usize,
}

impl<'a> SealedFrame<'a> {
    /// The frame at the start of `bytes`, if a sound one of this log stands there.
    pub(super) fn read(bytes: &'a [u8], log: LogId) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        if header[0..4] != MAGIC {
            return None;
        }
        let payload_bytes = usize::try_from(u32_at(header, 8)).ok()?;
        let sealed = HEADER_BYTES.checked_add(payload_bytes)?.next_multiple_of(ALIGNMENT_BYTES);
        let count = u32_at(header, 12);
        if sealed > FRAME_BYTES_MAX || sealed > bytes.len() || count == 0 {
            return None;
        }
        #[cfg(not(without = "checksum"))]
        if log.checksum(&bytes[8..sealed]) != u32_at(header, 4) {
            return None;
        }
        let first = Position(u64_at(header, 16));
        Some(Self { first, count, payload: &rest[..payload_bytes], bytes: sealed })
    }

    /// The position after its last event.
    #[must_use]
    pub fn end(&self) -> Position {
        Position(self.first.0.saturating_add(u64::from(self.count)))
    }

    /// Shows its records to the visitor, in order.
    ///
    /// # Errors
    ///
    /// The payload is not just so many records, or the visitor refused one; some may have been shown.
    pub fn records(
        &self,
        visit: impl FnMut(Record<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        codec::decode_all(self.payload, self.count, visit)
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; HEADER_BYTES], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Event, Timestamp};

    pub(in crate::log) fn user_added(number: u64) -> Record<'static> {
        let id = Uuid::from_u128(u128::from(number));
        Record {
            time: Timestamp::from_micros(number).expect("small"),
            key: None,
            event: Event::UserAdded { id: id.into(), username: format!("user {number}").into() },
        }
    }

    fn sealed(log: LogId) -> Vec<u8> {
        let mut frame = Frame::new(Position(7));
        frame.push(&user_added(7));
        frame.push(&user_added(8));
        frame.seal(log).to_vec()
    }

    #[test]
    fn a_sealed_frame_gives_its_records_back() {
        let log = LogId::from_bytes([1; 16]);
        let bytes = sealed(log);
        let frame = SealedFrame::read(&bytes, log).expect("sound");
        assert_eq!((frame.first, frame.end(), frame.bytes), (Position(7), Position(9), bytes.len()));
        let mut records = Vec::new();
        let visit = |record| {
            records.push(record);
            Ok(())
        };
        frame.records(visit).expect("decodes");
        assert_eq!(records, [user_added(7), user_added(8)]);
    }

    #[test]
    fn a_frame_with_any_bit_flipped_or_any_byte_missing_is_none() {
        let log = LogId::from_bytes([1; 16]);
        let bytes = sealed(log);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SealedFrame::read(&flipped, log).is_none(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(SealedFrame::read(&bytes[..len], log).is_none(), "cut to {len}");
        }
    }

    #[test]
    fn a_frame_of_another_log_is_none() {
        let bytes = sealed(LogId::from_bytes([1; 16]));
        assert!(SealedFrame::read(&bytes, LogId::from_bytes([2; 16])).is_none());
    }

    #[test]
    fn a_payload_with_bytes_left_over_or_too_few_does_not_decode() {
        let mut bytes = Vec::new();
        codec::encode(&user_added(1), &mut bytes);
        assert!(codec::decode_all(&bytes, 2, |_| Ok(())).is_err());
        bytes.push(0);
        assert!(codec::decode_all(&bytes, 1, |_| Ok(())).is_err());
    }

    #[test]
    fn a_length_that_lies_is_refused_before_anything_is_allocated() {
        // Given a record whose last eight bytes say how many users a chat has: none.
        let mut bytes = Vec::new();
        let chat = Event::ChatAdded { id: Uuid::nil().into(), name: "tea".into(), users: vec![] };
        codec::encode(&Record { event: chat, ..user_added(1) }, &mut bytes);
        let length_at = bytes.len() - 8;
        // When it says more than there are, be it the least that there cannot be.
        for length in [1, 2, 1 << 20, u64::MAX] {
            bytes[length_at..].copy_from_slice(&length.to_le_bytes());
            // Then that is noticed before the list is made, not when it ends too early.
            let refused = codec::decode_all(&bytes, 1, |_| Ok(()));
            assert!(matches!(refused, Err(DecodeError::LimitExceeded)), "{length}: {refused:?}");
        }
    }

    /// **Invariant:** these bytes are readable for ever. A change of this golden file is a change of the format.
    #[test]
    fn golden_bytes_of_a_segment_with_every_event() {
        use crate::domain::{Fingerprint, IdempotencyKey, Seq};
        use crate::log::segment::Header;
        let log = LogId::from_bytes(*b"the log's own id");
        let id = |number: u128| Uuid::from_u128(0x0193_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + number);
        let record = |micros: u64, event| Record {
            time: Timestamp::from_micros(1_763_910_245_123_456 + micros).expect("in range"),
            key: None,
            event,
        };
        let mut first = Frame::new(Position(1));
        first.push(&record(0, Event::UserAdded { id: id(1).into(), username: "ann".into() }));
        let name = "tea".into();
        first.push(&record(1, Event::ChatAdded { id: id(2).into(), name, users: vec![id(1).into()] }));
        let text = "héllo".into();
        let said = Event::MessageAdded { id: id(3).into(), chat: id(2).into(), author: id(1).into(), text };
        let key = Some(IdempotencyKey::recorded("a key".into(), Fingerprint(*b"of sixteen bytes")));
        let mut second = Frame::new(Position(3));
        second.push(&Record { key, ..record(2, said) });
        let (chat, user) = (id(2).into(), id(1).into());
        second.push(&record(3, Event::ReadMarked { chat, user, seq: Seq(1) }));
        second.push(&record(4, Event::MemberRemoved { chat, user }));
        second.push(&record(5, Event::MemberAdded { chat, user }));
        second.push(&record(6, Event::NothingChanged));

        let header = Header { log, first: Position(1) }.encode();
        assert!(header[64..].iter().all(|&byte| byte == 0));
        let bytes = [&header[..64], first.seal(log), second.seal(log)].concat();
        let lines = bytes.chunks(16).enumerate().map(|(index, line)| {
            let hex = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            let text = line.iter().map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '.' });
            format!("{:04x}  {hex:48} {}\n", index * 16, text.collect::<String>())
        });
        insta::assert_snapshot!(lines.collect::<String>());
    }
}
