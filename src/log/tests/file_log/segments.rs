//! Segments: their lengths, the spare one, and those of version 1.

use super::{append, first_segment, reopened, replay, several_segments};
use crate::domain::Position;
use crate::log::segment::{self, FrameFormat, Header, LogId, Version};
use crate::log::tests::old_frame;
use crate::log::tests::simulated_disk::SimDisk;
use crate::log::{Disk, FileLog, SEGMENT_BYTES_MIN};

#[test]
fn many_segments_are_one_log() {
    let (disk, _) = several_segments();
    disk.crash();
    let mut log = reopened(&disk, 2_500);
    append(&mut log, 2_501, 1).expect("room");
    disk.crash();
    reopened(&disk, 2_501);
}

#[test]
fn a_large_frame_gets_a_segment_of_its_own_length() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 3_000).expect("room");
    append(&mut log, 3_002, 1).expect("room");
    disk.crash();
    reopened(&disk, 3_002);
    let own = disk.contents(&segment::file_name(Position(2))).len() as u64;
    assert!(own > SEGMENT_BYTES_MIN && own < 8 * SEGMENT_BYTES_MIN, "{own}");
}

/// A second one would fill the first with zeros, perhaps after it has become the active segment.
#[test]
fn one_spare_segment_is_prepared_at_a_time() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 3_000).expect("room");
    append(&mut log, 3_001, 3_000).expect("room");
    append(&mut log, 6_001, 1).expect("room");
    log.wait_for_spare();
    drop(log);
    let calls = disk.take_calls();
    let rename = "rename 00000000000000006001.log";
    let spares: Vec<_> =
        calls.iter().filter(|call| ["create spare", rename].contains(&call.as_str())).collect();
    assert_eq!(spares, ["create spare", rename, "create spare"], "the next one once the first is in use");
    disk.crash();
    reopened(&disk, 6_001);
}

#[test]
fn a_segment_is_as_long_as_all_before_it() {
    const MIB: u64 = 1024 * 1024;
    let disk = SimDisk::default();
    let mut log = FileLog::new(disk.clone(), 6 * MIB);
    assert_eq!(replay(&mut log).expect("empty"), 0);
    let lengths = || {
        let segments = disk.names().into_iter().filter(|name| segment::first_in_name(name).is_some());
        segments.map(|name| disk.contents(&name).len() as u64 / MIB).collect::<Vec<_>>()
    };
    let (mut next, mut is_restarted) = (1, false);
    while lengths().len() < 5 {
        append(&mut log, next, 5_000).expect("room");
        next += 5_000;
        if lengths().len() == 3 && !is_restarted {
            is_restarted = true;
            drop(log);
            log = FileLog::new(disk.clone(), 6 * MIB);
            assert_eq!(replay(&mut log).expect("sound"), next - 1);
        }
    }
    log.wait_for_spare();
    assert_eq!(lengths(), [2, 2, 4, 6, 6]);
    assert_eq!(disk.contents("spare").len() as u64, 6 * MIB);
}

/// Returns a disk with a log of version 1 that has this number of events.
fn old_log(events: u64) -> SimDisk {
    let format = FrameFormat { log: LogId::from_bytes([4; 16]), version: Version::One };
    let mut bytes = Header { format, first: Position(1) }.encode();
    (1..=events).for_each(|number| bytes.extend(old_frame(format.log, number, 1)));
    bytes.resize(usize::try_from(SEGMENT_BYTES_MIN).expect("small"), 0);
    SimDisk::with_files([(first_segment().as_str(), bytes.as_slice())])
}

#[test]
fn a_log_of_version_1_goes_on_in_version_2() {
    let disk = old_log(3);
    let old = disk.contents(&first_segment());
    let mut log = reopened(&disk, 3);
    append(&mut log, 4, 2).expect("room");
    append(&mut log, 6, 1).expect("room");
    disk.crash();
    reopened(&disk, 6);
    assert!(disk.contents(&first_segment()) == old, "what was written stays as it is");
    let header = Header::decode(&disk.contents(&segment::file_name(Position(4)))).expect("a header");
    assert_eq!(header.format, FrameFormat { log: LogId::from_bytes([4; 16]), version: Version::Two });
}

#[test]
fn an_empty_segment_of_version_1_is_replaced() {
    let disk = old_log(0);
    append(&mut reopened(&disk, 0), 1, 2).expect("room");
    disk.crash();
    reopened(&disk, 2);
}

#[test]
fn foreign_files_are_left_alone() {
    let disk = SimDisk::default();
    append(&mut reopened(&disk, 0), 1, 1).expect("room");
    for foreign in ["lost+found", "1.log", "notes.txt"] {
        disk.create(foreign).expect("made");
    }
    reopened(&disk, 1);
    assert!(
        ["lost+found", "1.log", "notes.txt"].iter().all(|name| disk.names().contains(&(*name).to_owned()))
    );
}
