//! The log of one server on the [simulated disk](super::simulated_disk).
//!
//! | module | what it shows |
//! | --- | --- |
//! | `damage` | which changes of the bytes are a torn write, and which are damage |
//! | `room` | the behaviour on a full disk, and under a limit on the length of files |
//! | `segments` | a log in several segments, and in segments of an earlier version |
//! | `syncs` | the writes and syncs, their order, and what a failed one leaves |

mod damage;
mod room;
mod segments;
mod syncs;

use crate::domain::Position;
use crate::log::segment;
use crate::log::tests::simulated_disk::SimDisk;
use crate::log::tests::{read_users, user_added};
use crate::log::{AppendError, EventLog, FileLog, Frame, LogError, Progress, SEGMENT_BYTES_MIN};

fn log_on(disk: &SimDisk) -> FileLog<SimDisk> {
    FileLog::new(disk.clone(), SEGMENT_BYTES_MIN)
}

/// Replays a log of the events 1, 2, 3, … Returns the last one.
fn replay(log: &mut dyn EventLog) -> Result<u64, LogError> {
    let progress = Progress::default();
    let mut replay = log.replay(&progress)?;
    read_users(&mut *replay).map(|next| next - 1)
}

/// Replays the log, which must hold the events 1 to `last`, to append to it.
fn reopened(disk: &SimDisk, last: u64) -> FileLog<SimDisk> {
    let mut log = log_on(disk);
    assert_eq!(replay(&mut log).expect("a sound log"), last);
    log
}

fn append(log: &mut dyn EventLog, first: u64, count: u64) -> Result<(), AppendError> {
    let mut frame = Frame::new(Position(first));
    (first..first + count).for_each(|number| frame.push(&user_added(number)));
    log.append(&mut frame)
}

fn first_segment() -> String {
    segment::file_name(Position(1))
}

/// Returns a log of 2,500 events in frames of one event, and its segments.
fn several_segments() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    (1..=2_500).for_each(|number| append(&mut log, number, 1).expect("room"));
    drop(log);
    let segments: Vec<_> =
        disk.names().into_iter().filter(|name| segment::first_in_name(name).is_some()).collect();
    assert!(segments.len() > 2, "{segments:?}");
    (disk, segments)
}
