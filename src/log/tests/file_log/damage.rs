//! Torn writes, which are cut off, and damage, which is refused.

use super::{append, first_segment, log_on, reopened, replay, several_segments};
use crate::domain::Position;
use crate::log::segment::{self, BLOCK_BYTES, HEADER_BYTES};
use crate::log::tests::simulated_disk::SimDisk;
use crate::log::{Disk, LogError, ReadDisk};

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
