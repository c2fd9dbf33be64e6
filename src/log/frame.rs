//! Frames. Each frame is one commit.
//!
//! | bytes | content |
//! | --- | --- |
//! | 0..4 | magic; it contains 0xFF, which UTF-8 never contains, so that no text passes for a frame |
//! | 4..8 | CRC-32C of the log's id and everything from byte 8 on, padding included |
//! | 8..12 | payload length, bytes |
//! | 12..16 | number of events, at least 1 |
//! | 16..24 | position of the first event |
//! | 24..32 | epoch; not in version 1 |
//! | 32.. (24.. in version 1) | payload; then zeros up to a multiple of 8 bytes |
//!
//! Numbers are little endian. A frame begins at a multiple of 8 bytes in its segment.
//!
//! The payload of version 1 is the encoded records. That of version 2 begins with a table of actors: a byte
//! with the number of its entries, and the encoded entries. Before each record there is a byte with the number
//! of its actor: 0 is unknown, 1 is the user whom the event names as its doer, and 2 is the first entry of the
//! table.

use super::actors::{self, WrittenActors};
use super::codec::{self, FRAME_BYTES_MAX, Records};
use super::segment::{FrameFormat, LogId, Version};
use crate::domain::{Epoch, Position, Record};

pub(super) const ALIGNMENT_BYTES: usize = 8;
const MAGIC: [u8; 4] = [0xFF, b'c', b'w', 0xFE];
/// Length of the header of a frame that this release writes, in bytes.
pub(super) const HEADER_BYTES: usize = header_bytes(Version::Two);
/// Length of the number of actors, which the payload begins with.
const COUNT_BYTES: usize = 1;

/// Returns the length of a frame's header, in bytes.
const fn header_bytes(version: Version) -> usize {
    match version {
        Version::One => 24,
        Version::Two => 32,
    }
}

/// A frame being written: records are pushed, then the log seals it.
#[derive(Debug)]
pub struct Frame {
    /// Everything but the actors, who are put in their place when the frame is sealed.
    bytes: Vec<u8>,
    actors: WrittenActors,
    first: Position,
    count: u32,
}

impl Frame {
    /// Maximum actors who take a place in the frame's table of actors. A user whose own event a record is, as the
    /// author of a message, takes none.
    pub const ACTORS_MAX: usize = actors::ENTRIES_MAX;

    /// Creates an empty frame whose first record will have this position.
    #[must_use]
    pub fn new(first: Position) -> Self {
        let bytes = vec![0; HEADER_BYTES + COUNT_BYTES];
        Self { bytes, actors: WrittenActors::default(), first, count: 0 }
    }

    /// Empties the frame for records from this position on, and keeps its memory.
    pub fn restart(&mut self, first: Position) {
        self.bytes.truncate(HEADER_BYTES + COUNT_BYTES);
        self.actors.clear();
        self.first = first;
        self.count = 0;
    }

    /// Adds a record.
    ///
    /// # Panics
    ///
    /// Panics if its actor takes a place in the table of actors and that [is full](Self::has_all_actors).
    pub fn push(&mut self, record: &Record<'_>) {
        self.bytes.push(self.actors.number(&record.by, &record.event));
        codec::encode(record, &mut self.bytes);
        self.count += 1;
    }

    /// Returns whether the frame holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether the frame has as many actors as its table has places.
    #[must_use]
    pub fn has_all_actors(&self) -> bool {
        usize::from(self.actors.count()) == Self::ACTORS_MAX
    }

    /// Returns the length of the payload, in bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len() - HEADER_BYTES + self.actors.bytes().len()
    }

    /// Returns the position of the first record.
    #[must_use]
    pub fn first(&self) -> Position {
        self.first
    }

    /// Returns the position of the last record; for an empty frame, the position before the first.
    #[must_use]
    pub fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }

    pub(super) fn end(&self) -> Position {
        self.last().next()
    }

    /// Returns the frame's length on disk, padding included.
    #[must_use]
    pub fn sealed_bytes(&self) -> usize {
        (HEADER_BYTES + self.payload_bytes()).next_multiple_of(ALIGNMENT_BYTES)
    }

    /// Completes the header, the table of actors and the padding, and returns the bytes to write. A sealed frame
    /// can only be [restarted](Self::restart).
    pub(super) fn seal(&mut self, log: LogId, epoch: Epoch) -> &[u8] {
        assert!(self.count > 0, "a frame holds at least one event");
        let padded = self.sealed_bytes();
        assert!(padded <= FRAME_BYTES_MAX, "a frame of {padded} bytes is over the limit");
        let payload = u32::try_from(self.payload_bytes()).expect("FRAME_BYTES_MAX fits");
        self.place_actors();
        self.bytes.resize(padded, 0);
        self.bytes[0..4].copy_from_slice(&MAGIC);
        self.bytes[8..12].copy_from_slice(&payload.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&epoch.0.to_le_bytes());
        let checksum = log.checksum(&self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        &self.bytes
    }

    /// Moves the actors before the records.
    fn place_actors(&mut self) {
        self.bytes[HEADER_BYTES] = self.actors.count();
        if self.actors.count() > 0 {
            self.bytes.extend_from_slice(self.actors.bytes());
            self.bytes[HEADER_BYTES + COUNT_BYTES..].rotate_right(self.actors.bytes().len());
            self.actors.clear();
        }
    }
}

/// A frame whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub struct SealedFrame<'a> {
    /// The position of the first event.
    pub first: Position,
    /// The number of events, at least 1.
    pub count: u32,
    /// The epoch in which the frame was written.
    pub epoch: Epoch,
    version: Version,
    header: &'a [u8],
    payload: &'a [u8],
}

impl<'a> SealedFrame<'a> {
    /// Returns the header's bytes. They hold the checksum of the whole frame.
    pub(super) fn header(&self) -> &'a [u8] {
        self.header
    }

    /// Returns whether this release would write the frame in another version.
    pub(super) fn is_of_old_version(&self) -> bool {
        self.version != Version::Two
    }

    /// Returns the frame's length on disk, padding included.
    pub(super) fn sealed_bytes(&self) -> usize {
        (self.header.len() + self.payload.len()).next_multiple_of(ALIGNMENT_BYTES)
    }

    /// Returns the frame as it stands in its segment.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = [self.header, self.payload].concat();
        bytes.resize(self.sealed_bytes(), 0);
        bytes
    }

    /// Returns the records, in order.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records::new(self.payload, self.count, self.version)
    }
}

/// The header of a frame whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The position of the first event.
    pub(super) first: Position,
    /// The number of events, at least 1.
    pub(super) count: u32,
    epoch: Epoch,
    version: Version,
    payload_bytes: usize,
}

impl FrameHeader {
    /// Returns the header of the frame at the start of `bytes`, or `None` if no sound frame of this format is
    /// there.
    ///
    /// **Invariant:** check, then decode: nothing in a frame is used before its length is found to be
    /// possible and its checksum to be right.
    pub(super) fn check(bytes: &[u8], format: FrameFormat) -> Option<Self> {
        let header_bytes = header_bytes(format.version);
        let header = bytes.get(..header_bytes)?;
        if header[0..4] != MAGIC {
            return None;
        }
        let payload_bytes = usize::try_from(u32_at(header, 8)).ok()?;
        let sealed = header_bytes.checked_add(payload_bytes)?.next_multiple_of(ALIGNMENT_BYTES);
        let count = u32_at(header, 12);
        if sealed > FRAME_BYTES_MAX || sealed > bytes.len() || count == 0 {
            return None;
        }
        if format.log.checksum(&bytes[8..sealed]) != u32_at(header, 4) {
            return None;
        }
        let epoch = match format.version {
            Version::One => Epoch::UNKNOWN,
            Version::Two => Epoch(u64_at(header, 24)),
        };
        let (first, version) = (Position(u64_at(header, 16)), format.version);
        Some(Self { first, count, epoch, version, payload_bytes })
    }

    /// Returns the position after the last event.
    pub(super) fn end(self) -> Position {
        Position(self.first.0.saturating_add(u64::from(self.count)))
    }

    /// Returns the frame's length on disk, padding included.
    pub(super) fn sealed_bytes(self) -> usize {
        self.payload_end().next_multiple_of(ALIGNMENT_BYTES)
    }

    fn payload_end(self) -> usize {
        header_bytes(self.version) + self.payload_bytes
    }

    /// Returns the frame that has this header, from the same bytes that were checked.
    pub(super) fn frame(self, bytes: &[u8]) -> SealedFrame<'_> {
        let Self { first, count, epoch, version, .. } = self;
        let (header, payload) = bytes[..self.payload_end()].split_at(header_bytes(version));
        SealedFrame { first, count, epoch, version, header, payload }
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, UserId};
    use crate::log::DecodeError;
    use crate::log::tests::{chat_added, message_added, user_added};
    use uuid::Uuid;

    const EPOCH: Epoch = Epoch(0xe90c);

    fn format(log: LogId) -> FrameFormat {
        FrameFormat { log, version: Version::Two }
    }

    fn sealed(log: LogId) -> Vec<u8> {
        let mut frame = Frame::new(Position(7));
        frame.push(&user_added(7));
        frame.push(&user_added(8));
        frame.seal(log, EPOCH).to_vec()
    }

    fn decode(bytes: &[u8], count: u32) -> Result<Vec<Record<'_>>, DecodeError> {
        Records::new(bytes, count, Version::One).collect()
    }

    #[test]
    fn a_sealed_frame_gives_its_records_back() {
        let log = LogId::from_bytes([1; 16]);
        let bytes = sealed(log);
        let header = FrameHeader::check(&bytes, format(log)).expect("sound");
        assert_eq!((header.first, header.end()), (Position(7), Position(9)));
        assert_eq!(header.sealed_bytes(), bytes.len());
        assert_eq!(header.frame(&bytes).epoch, EPOCH);
        let records: Result<Vec<_>, _> = header.frame(&bytes).records().collect();
        assert_eq!(records.expect("decodes"), [user_added(7), user_added(8)]);
    }

    #[test]
    fn a_flipped_bit_or_a_missing_byte_breaks_a_frame() {
        let log = LogId::from_bytes([1; 16]);
        let bytes = sealed(log);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::check(&flipped, format(log)).is_none(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(FrameHeader::check(&bytes[..len], format(log)).is_none(), "cut to {len}");
        }
    }

    #[test]
    fn a_frame_of_another_log_is_broken() {
        let bytes = sealed(LogId::from_bytes([1; 16]));
        assert!(FrameHeader::check(&bytes, format(LogId::from_bytes([2; 16]))).is_none());
    }

    const ANN: u128 = 1;

    fn user(number: u128) -> UserId {
        Uuid::from_u128(number).into()
    }

    fn key(name: &str) -> Actor<'static> {
        Actor::key(name.to_owned()).expect("a name")
    }

    /// Pushes these records, and reads them back from the sealed frame.
    #[track_caller]
    fn check_read_back(frame: &mut Frame, records: &[Record<'_>]) {
        let log = LogId::from_bytes([1; 16]);
        for record in records {
            frame.push(record);
        }
        let (payload_bytes, sealed_bytes) = (frame.payload_bytes(), frame.sealed_bytes());
        let bytes = frame.seal(log, EPOCH);
        let header = FrameHeader::check(bytes, format(log)).expect("sound");
        assert_eq!((header.payload_bytes, bytes.len()), (payload_bytes, sealed_bytes));
        let read: Result<Vec<_>, _> = header.frame(bytes).records().collect();
        assert_eq!(read.expect("decodes"), records);
    }

    /// Returns a payload of version 2: a table with these entries, and a message of Ann by each of these actors.
    fn payload(entries: &[&[u8]], actors: &[u8]) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(entries.len()).expect("few")];
        bytes.extend(entries.concat());
        for (number, actor) in (1..).zip(actors) {
            bytes.push(*actor);
            codec::encode(&message_added(number, user(ANN), Actor::Unknown), &mut bytes);
        }
        bytes
    }

    #[test]
    fn each_event_keeps_its_actor() {
        let records = [
            Record { by: key("bot"), ..user_added(1) },
            Record { by: Actor::User(user(9)), ..user_added(2) },
            Record { by: Actor::Unknown, ..user_added(3) },
            message_added(4, user(ANN), key("bot")),
            message_added(5, user(ANN), Actor::User(user(9))),
            message_added(6, user(ANN), Actor::User(user(ANN))),
            message_added(7, user(ANN), Actor::Unknown),
            message_added(8, user(9), Actor::User(user(9))),
            message_added(9, user(ANN), key("bot.2")),
        ];
        let mut frame = Frame::new(Position(1));
        check_read_back(&mut frame, &records);
        // Actors of one frame are not those of the next.
        frame.restart(Position(1));
        check_read_back(&mut frame, &records[2..3]);
        frame.restart(Position(1));
        check_read_back(&mut frame, &records[4..]);
    }

    #[test]
    fn an_author_costs_no_more_than_nobody() {
        let bytes = |by: Actor<'static>| {
            let mut frame = Frame::new(Position(1));
            frame.push(&message_added(1, user(ANN), by));
            frame.payload_bytes()
        };
        assert_eq!(bytes(Actor::User(user(ANN))), bytes(Actor::Unknown));
        assert_eq!(bytes(Actor::User(user(2))), bytes(Actor::Unknown) + 4 + 16);
    }

    #[test]
    fn a_frame_has_254_actors() {
        let records: Vec<_> = (1..=254)
            .map(|number| Record { by: key(&format!("key-{number}")), ..user_added(number) })
            .collect();
        let mut frame = Frame::new(Position(1));
        check_read_back(&mut frame, &records);
        frame.restart(Position(1));
        for record in &records {
            assert!(!frame.has_all_actors());
            frame.push(record);
        }
        assert!(frame.has_all_actors());
        frame.push(&message_added(255, user(ANN), Actor::User(user(ANN))));
        frame.push(&message_added(256, user(ANN), key("key-7")));
        // A frame that the log had no room for is not sealed.
        frame.restart(Position(1));
        assert!(!frame.has_all_actors());
    }

    #[test]
    fn an_actor_of_a_record_is_in_the_table() {
        let key = [&[0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0][..], b"bot"].concat();
        let user = [&[1, 0, 0, 0][..], &[0x19; 16]].concat();
        let (key, user) = (key.as_slice(), user.as_slice());
        let read = |entries: &[&[u8]], actors: &[u8]| {
            let count = u32::try_from(actors.len()).expect("few");
            Records::new(&payload(entries, actors), count, Version::Two)
                .try_for_each(|record| record.map(drop))
        };
        let sound: [(&[&[u8]], &[u8]); 3] = [(&[], &[0, 1]), (&[key], &[2, 0]), (&[key, user], &[3, 2, 1])];
        for (entries, actors) in sound {
            let read = read(entries, actors);
            assert!(read.is_ok(), "{actors:?} of {}: {read:?}", entries.len());
        }
        let unsound: [(&[&[u8]], u8); 4] = [(&[], 2), (&[key, user], 4), (&[], 255), (&[&[2, 0, 0, 0]], 0)];
        for (entries, actor) in unsound {
            assert!(read(entries, &[actor]).is_err(), "{actor} of {}", entries.len());
        }
        // An event that names no doer has none.
        let mut bytes = vec![0, 1];
        codec::encode(&user_added(1), &mut bytes);
        assert!(Records::new(&bytes, 1, Version::Two).any(|record| record.is_err()));
    }

    #[test]
    fn a_payload_too_long_or_too_short_does_not_decode() {
        let mut bytes = Vec::new();
        codec::encode(&user_added(1), &mut bytes);
        assert!(decode(&bytes, 2).is_err());
        bytes.push(0);
        assert!(decode(&bytes, 1).is_err());
        assert_eq!(Records::new(&bytes, 3, Version::One).count(), 2, "nothing after an error");
    }

    #[test]
    fn a_length_that_lies_is_refused_before_anything_is_allocated() {
        // Given a record that ends with the number of a chat's users, which is 0.
        let mut bytes = Vec::new();
        codec::encode(&chat_added(1), &mut bytes);
        let length_at = bytes.len() - 8;
        // When the number claims more users than there are bytes for, even just one,
        for length in [1, 2, 1 << 20, u64::MAX] {
            bytes[length_at..].copy_from_slice(&length.to_le_bytes());
            // Then the limit refuses it before the list is allocated, not the end of the bytes after that.
            let refused = decode(&bytes, 1);
            assert!(matches!(refused, Err(DecodeError::LimitExceeded)), "{length}: {refused:?}");
        }
    }
}
