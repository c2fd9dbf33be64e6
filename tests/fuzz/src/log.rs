//! Makes a log of arbitrary bytes. It is written from the description of the format, without the server's
//! code.

use chinwag::domain::Position;
use chinwag::engine::{Engine, EngineSettings, ReplayProgress};
use chinwag::log::{FileLog, SEGMENT_BYTES_MIN};
use chinwag::model::Model;

use crate::disk::MemoryDisk;

const EPOCH: [u8; 8] = *b"an epoch";
const LOG_ID: [u8; 16] = *b"a log for fuzzes";
const FIRST_SEGMENT: &str = "00000000000000000001.log";

/// A version of the format.
#[derive(Clone, Copy)]
pub enum Version {
    One = 1,
    Two = 2,
}

/// Returns the header of a first segment.
pub fn header(version: Version) -> Vec<u8> {
    let mut header = vec![0; 4096];
    header[..8].copy_from_slice(b"CHINWAG\n");
    header[12..16].copy_from_slice(&(version as u32).to_le_bytes());
    header[16..32].copy_from_slice(&LOG_ID);
    header[32..40].copy_from_slice(&1_u64.to_le_bytes());
    header[40..56].copy_from_slice(b"bincode-2-legacy");
    let checksum = crc32c::crc32c(&header[12..]);
    header[8..12].copy_from_slice(&checksum.to_le_bytes());
    match version {
        Version::One => header,
        Version::Two => header.repeat(2),
    }
}

/// Returns a frame with a correct checksum around any payload.
pub fn frame(version: Version, first: u64, count: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xFF, b'c', b'w', 0xFE, 0, 0, 0, 0];
    frame.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame.extend(count.to_le_bytes());
    frame.extend(first.to_le_bytes());
    match version {
        Version::One => {}
        Version::Two => frame.extend(EPOCH),
    }
    frame.extend(payload);
    frame.resize(frame.len().next_multiple_of(8), 0);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&LOG_ID), &frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

/// Starts an engine on a first segment of these bytes. Returns the number of events, or `None` if the log was
/// refused.
///
/// A refused log must stay unchanged. An accepted log must be accepted again, with the same number of events.
pub fn start(segment: Vec<u8>) -> Option<Position> {
    let disk = MemoryDisk::of([(FIRST_SEGMENT.to_owned(), segment)]);
    let before = disk.files();
    let Some(position) = replayed(&disk) else {
        assert_eq!(disk.files(), before, "a refused log is not touched");
        return None;
    };
    assert_eq!(replayed(&disk), Some(position), "an accepted log is accepted again");
    Some(position)
}

fn replayed(disk: &MemoryDisk) -> Option<Position> {
    let log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
    let settings = EngineSettings { queue_max: 1, can_follow_all: true, scrub: None };
    let (engine, _end) = Engine::start(Box::new(log), settings, &ReplayProgress::default()).ok()?;
    Some(engine.read(Model::position))
}
