//! The writes and syncs of a log, their order, and the log's behaviour on a full disk and after a failure.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::simulated_disk::{Fault, SimDisk};
use super::{old_frame, read_users, user_added};
use crate::domain::Position;
use crate::log::segment::{self, BLOCK_BYTES, FrameFormat, HEADER_BYTES, Header, LogId, Version};
use crate::log::spare::Spare;
use crate::log::{AppendError, Disk, EventLog, FileLog, Frame, LogError, Progress};
use crate::log::{ReadDisk, SEGMENT_BYTES_MIN};

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

#[track_caller]
fn expect_damage(disk: &SimDisk, file: &str, offset: u64, from: u64, until: Option<u64>) {
    let names = disk.names();
    let contents: Vec<_> = names.iter().map(|name| disk.contents(name)).collect();
    match replay(&mut log_on(disk)) {
        Err(LogError::Damaged { file: at, offset: noticed, from: first, until: next, .. }) => {
            assert_eq!((at, noticed), (disk.path(file), offset));
            assert_eq!((first, next), (Position(from), until.map(Position)));
        }
        other => panic!("not damage: {other:?}"),
    }
    assert_eq!(disk.names(), names, "the directory is untouched");
    assert!(names.iter().map(|name| disk.contents(name)).eq(contents), "the files are untouched");
}

#[test]
fn an_appended_frame_survives_a_crash() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 3).expect("room");
    disk.crash();
    let mut log = reopened(&disk, 4);
    append(&mut log, 5, 1).expect("room");
    disk.crash();
    reopened(&disk, 5);
}

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
fn an_append_is_synced_and_a_new_segment_before_its_use() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    log.wait_for_spare();
    disk.take_calls();
    let name = first_segment();
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    let calls = disk.take_calls();
    let ours: Vec<_> =
        calls.iter().filter(|call| call.ends_with(&name) || call.contains("directory")).collect();
    let [rename, directory, write, sync] = ours.as_slice() else { panic!("{calls:?}") };
    assert_eq!(**rename, format!("rename {name}"));
    assert_eq!(**directory, "sync directory");
    assert_eq!((write.as_str(), sync.as_str()), (&*format!("write {name}"), &*format!("sync {name}")));
    append(&mut log, 2, 1).expect("room");
    assert_eq!(disk.take_calls(), [format!("write {name}"), format!("sync {name}")]);
}

#[test]
fn boot_syncs_the_log_before_it_reads_it() {
    let (disk, segments) = several_segments();
    disk.take_calls();
    let log = reopened(&disk, 2_500);
    drop(log);
    let calls = disk.take_calls();
    let last = segments.last().expect("several");
    assert_eq!(calls[..2], ["sync directory".to_owned(), format!("sync {last}")]);
    assert!(calls[2].starts_with("read "), "{calls:?}");
}

#[test]
fn boot_writes_the_last_frame_again_after_a_failed_sync() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    disk.fail_next(Fault::Sync);
    assert!(matches!(append(&mut log, 2, 1), Err(AppendError::Failed(_))));
    drop(log);
    disk.take_calls();
    reopened(&disk, 2);
    let name = first_segment();
    let calls: Vec<_> = disk.take_calls().into_iter().filter(|call| call.ends_with(&name)).collect();
    let step = |what: &str| format!("{what} {name}");
    assert_eq!(calls, [step("sync"), step("read"), step("write"), step("sync")]);
}

#[test]
fn a_failed_write_is_not_a_refusal() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    disk.fail_next(Fault::Write);
    assert!(matches!(append(&mut log, 2, 1), Err(AppendError::Failed(_))));
}

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

#[test]
fn a_torn_write_is_cut_off_and_a_copy_kept() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 20).expect("room");
    drop(log);
    let name = first_segment();
    let whole = disk.contents(&name);
    let used = whole.iter().rposition(|&byte| byte != 0).expect("used") + 1;
    let second_frame = HEADER_BYTES + 32 + 2 + 8 + 1 + 4 + 16 + 8 + "user 1".len() + 3;
    assert_eq!(whole[second_frame], 0xFF, "the frame's magic");
    disk.alter(&name, |bytes| bytes[used - 40..].fill(0));
    let torn: Vec<u8> = disk.contents(&name)[second_frame..used - 40].to_vec();

    let copies = || -> Vec<_> { disk.names().into_iter().filter(|name| name.contains(".torn-")).collect() };
    drop(reopened(&disk, 1));
    disk.crash();
    let [copy] = copies().try_into().expect("one copy, durable");
    let kept = disk.contents(&copy);
    assert!(torn.starts_with(&kept) && kept.len() + 8 > torn.len(), "up to the last byte that is not zero");
    drop(reopened(&disk, 1));
    assert_eq!(copies(), [copy], "what was cut off is not there again");
    let mut log = reopened(&disk, 1);
    append(&mut log, 2, 1).expect("room");
    disk.crash();
    reopened(&disk, 2);
}

#[test]
fn a_torn_write_on_a_full_disk_is_cut_off_without_a_copy() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 1).expect("room");
    drop(log);
    let used = disk.contents(&first_segment()).iter().rposition(|&byte| byte != 0).expect("used");
    disk.alter(&first_segment(), |bytes| bytes[used] ^= 1);
    disk.set_room(Some(0));
    reopened(&disk, 1);
    assert!(!disk.names().iter().any(|name| name.contains(".torn-")));
}

#[test]
fn a_broken_frame_with_a_sound_one_behind_it_is_damage() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 3).expect("room");
    append(&mut log, 5, 1).expect("room");
    drop(log);
    disk.alter(&first_segment(), |bytes| bytes[HEADER_BYTES + 100] ^= 1);
    expect_damage(&disk, &first_segment(), HEADER_BYTES as u64 + 80, 2, Some(5));
}

#[test]
fn a_broken_last_frame_of_a_sealed_segment_is_damage() {
    let (disk, segments) = several_segments();
    let second = segment::first_in_name(&segments[1]).expect("a segment");
    let used = disk.contents(&segments[0]).iter().rposition(|&byte| byte != 0).expect("used");
    disk.alter(&segments[0], |bytes| bytes[used] ^= 1);
    let lost = second.0 - 1;
    let name = format!("user {lost}");
    let frame = (32_usize + 2 + 37 + name.len()).next_multiple_of(8) as u64;
    let end = (used as u64 + 1).next_multiple_of(8);
    expect_damage(&disk, &segments[0], end - frame, lost, Some(second.0));
}

#[test]
fn a_missing_segment_is_damage() {
    for missing in [0, 1] {
        let (disk, segments) = several_segments();
        let from = segment::first_in_name(&segments[missing]).expect("a segment").0;
        let until = segment::first_in_name(&segments[missing + 1]).expect("a segment").0;
        disk.remove(&segments[missing]).expect("there");
        if missing == 0 {
            expect_damage(&disk, &segments[1], 0, from, Some(until));
        } else {
            let used = disk.contents(&segments[0]).iter().rposition(|&byte| byte != 0).expect("used") as u64;
            expect_damage(&disk, &segments[0], (used + 1).next_multiple_of(8), from, Some(until));
        }
    }
}

#[test]
fn a_broken_header_is_damage() {
    let (disk, segments) = several_segments();
    let first = segment::first_in_name(&segments[1]).expect("a segment").0;
    disk.alter(&segments[1], |bytes| (bytes[20], bytes[BLOCK_BYTES + 60]) = (!bytes[20], 1));
    expect_damage(&disk, &segments[1], 0, first, None);
}

#[test]
fn a_segment_of_another_log_is_damage() {
    let (disk, segments) = several_segments();
    let (other, _) = several_segments();
    let first = segment::first_in_name(&segments[1]).expect("a segment").0;
    let spliced = other.contents(&segments[1]);
    disk.alter(&segments[1], |bytes| *bytes = spliced);
    expect_damage(&disk, &segments[1], 0, first, None);
}

#[test]
fn an_unknown_version_is_refused() {
    let disk = SimDisk::default();
    append(&mut reopened(&disk, 0), 1, 1).expect("room");
    disk.alter(&first_segment(), |bytes| {
        bytes[12] = 3;
        let checksum = crc32c::crc32c(&bytes[12..BLOCK_BYTES]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    });
    let refused = replay(&mut log_on(&disk));
    assert!(matches!(&refused, Err(LogError::UnknownVersion { offset: 12, .. })), "{refused:?}");
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

/// A frame that nobody would find is not acknowledged.
#[test]
fn an_append_to_a_segment_without_its_name_fails() {
    for is_replaced in [false, true] {
        let disk = SimDisk::default();
        let mut log = reopened(&disk, 0);
        append(&mut log, 1, 1).expect("room");
        disk.remove(&first_segment()).expect("there");
        if is_replaced {
            disk.create(&first_segment()).expect("room");
        }
        let failed = append(&mut log, 2, 1);
        assert!(matches!(&failed, Err(AppendError::Failed(LogError::Vanished { .. }))), "{failed:?}");
    }
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

/// The messages that were logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock())).expect("text")
    }
}

#[test]
fn a_slow_sync_is_logged() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    logged.take();
    disk.set_sync_duration(Duration::from_millis(260));
    append(&mut log, 2, 1).expect("room");
    let warning = logged.take();
    assert!(warning.contains("WARN") && warning.contains("a sync of the log was slow sync_ms="), "{warning}");
}
