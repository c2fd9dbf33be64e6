//! A log on a full disk, and beyond the limit on the length of files.

use super::{append, first_segment, reopened};
use crate::log::segment::HEADER_BYTES;
use crate::log::spare::Spare;
use crate::log::tests::simulated_disk::{Fault, SimDisk};
use crate::log::{AppendError, EventLog, FileLog, SEGMENT_BYTES_MIN};

#[test]
fn a_frame_refused_for_want_of_room_can_be_retried() {
    let disk = SimDisk::default();
    disk.set_room(Some(100));
    let mut log = reopened(&disk, 0);
    for _ in 0..3 {
        assert!(matches!(append(&mut log, 1, 1), Err(AppendError::NoRoom(_))));
    }
    assert_eq!(disk.names(), Vec::<String>::new(), "a refusal leaves nothing behind");
    disk.set_room(Some(4 * SEGMENT_BYTES_MIN));
    append(&mut log, 1, 1).expect("room");
    disk.crash();
    reopened(&disk, 1);
}

#[test]
fn a_frame_beyond_the_file_limit_is_refused_unwritten() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    let before = disk.contents(&first_segment());
    let used = before.iter().rposition(|&byte| byte != 0).expect("used") as u64;
    for max in [0, used + 20] {
        disk.set_file_bytes_max(Some(max));
        assert!(matches!(append(&mut log, 2, 1), Err(AppendError::NoRoom(_))), "{max}");
        assert_eq!(disk.contents(&first_segment()), before, "no part of it is written");
    }
    disk.set_file_bytes_max(None);
    append(&mut log, 2, 1).expect("allowed");
    disk.crash();
    reopened(&disk, 2);
}

#[test]
fn no_segment_is_begun_beyond_the_file_limit() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    log.wait_for_spare();
    for max in [HEADER_BYTES as u64 - 1, HEADER_BYTES as u64 + 1] {
        disk.set_file_bytes_max(Some(max));
        assert!(matches!(append(&mut log, 1, 1), Err(AppendError::NoRoom(_))), "{max}");
        assert_eq!(disk.names(), ["spare"]);
    }
    disk.set_file_bytes_max(None);
    append(&mut log, 1, 1).expect("allowed");
}

#[test]
fn a_full_disk_refuses_only_after_the_last_segment() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    disk.set_room(Some(0));
    let mut next = 2;
    while append(&mut log, next, 1).is_ok() {
        next += 1;
    }
    assert!(next > 1_000, "this segment and the prepared one are filled: {next}");
    drop(log);
    disk.crash();
    let mut log = reopened(&disk, next - 1);
    assert!(
        matches!(append(&mut log, next, 1), Err(AppendError::NoRoom(_))),
        "a full disk is read all the same"
    );
    disk.set_room(None);
    append(&mut log, next, 1).expect("room");
}

/// Returns whether there is room for a frame of this length, once the log knows.
fn has_room(log: &mut FileLog<SimDisk>, frame_bytes: usize) -> bool {
    log.wait_for_spare();
    log.look_for_room(frame_bytes).expect("known").is_ok()
}

#[test]
fn a_log_knows_whether_it_has_room() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    let (short, large) = (1_000, 2 * usize::try_from(SEGMENT_BYTES_MIN).expect("small"));
    assert!(has_room(&mut log, short), "in the next segment");
    assert!(has_room(&mut log, large), "in a segment of its own");
    assert_eq!(disk.names(), ["spare"], "no segment is begun");
    disk.set_room(Some(0));
    assert!(has_room(&mut log, short), "the next segment is prepared");
    assert!(!has_room(&mut log, large));
    append(&mut log, 1, 1).expect("prepared");
    assert!(has_room(&mut log, short), "in this segment");
    disk.set_file_bytes_max(Some(100));
    assert!(!has_room(&mut log, short), "the system does not allow it");
    disk.set_file_bytes_max(None);
    let rest = 57_300;
    assert!(!has_room(&mut log, rest), "neither in this segment nor in another");
    assert!(!has_room(&mut log, rest), "each look is another attempt");
    disk.set_room(None);
    // The attempt under way may have begun when there was no room.
    assert!(has_room(&mut log, rest) || has_room(&mut log, rest));
    append(&mut log, 2, 1).expect("room");
    disk.crash();
    reopened(&disk, 2);
}

/// A failed sync ends the server at the next write, so a look for room must not hide it.
#[test]
fn a_look_for_room_keeps_a_failure() {
    let disk = SimDisk::default();
    let mut spare = Spare::inline(disk.clone(), SEGMENT_BYTES_MIN);
    disk.fail_next(Fault::Sync);
    spare.start(0);
    for _ in 0..2 {
        spare.look_for_room().expect("known").expect("there is room");
    }
    let taken = spare.take().map(|_| ()).expect_err("the failed one");
    assert!(!taken.is_no_room(), "{taken}");
}
