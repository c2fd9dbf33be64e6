//! A repair that is stopped at any call, and repeated.

use super::layout::Layout;
use super::tools::{check_nothing_is_gone, disk_with, read};
use super::{Files, LogError, SimDisk, small_log};
use crate::log::segment::{BLOCK_BYTES, HEADER_BYTES, LogId, Version};
use crate::log::tests::simulated_disk::{Among, Chance, Stop};
use crate::log::{cut, mend_headers};

/// Cuts until the log is sound, and returns the last position.
fn repair(disk: &SimDisk) -> Result<u64, LogError> {
    mend_headers(disk)?;
    loop {
        match read(disk) {
            Ok(contents) => return Ok(contents.last.0),
            Err(LogError::Damaged { file, offset, .. }) => drop(cut(disk, &file, offset)?),
            Err(error) => return Err(error),
        }
    }
}

/// Returns damaged logs, each with the last position that a repair leaves.
fn damaged() -> Vec<(Files, u64)> {
    let files = small_log().files();
    let with_flip = |segment: usize, at: usize| {
        let mut files = files.clone();
        files[segment].1[at] ^= 1;
        files
    };
    let mut both_copies = with_flip(1, 20);
    both_copies[1].1[BLOCK_BYTES + 60] ^= 1;
    vec![
        (with_flip(1, HEADER_BYTES + 30), 4),
        (with_flip(0, HEADER_BYTES + 100), 1),
        (with_flip(1, 20), 12),
        (both_copies, 12),
    ]
}

/// Damages a segment's header by `destroy`, and checks that a repair writes the header anew and loses no event.
fn check_mended(log: &Layout, segment: usize, destroy: impl Fn(&mut [u8])) {
    let sound = log.files();
    let mut files = sound.clone();
    destroy(&mut files[segment].1);
    let disk = disk_with(&files);
    let mended = mend_headers(&disk).expect("mended");
    assert_eq!(mended.len(), 1, "segment {segment}");
    assert!(sound.iter().all(|(name, bytes)| disk.contents(name) == *bytes), "as before");
    assert_eq!(read(&disk).expect("sound").last.0 + 1, log.next_after(log.last()));
    check_nothing_is_gone(&disk, &files);
    assert!(mend_headers(&disk).expect("nothing to do").is_empty());
}

#[test]
fn a_damaged_header_of_sound_frames_is_mended() {
    const LOG: LogId = LogId::from_bytes([5; 16]);
    let counts: [&[u64]; 3] = [&[1, 2, 1], &[3, 1], &[1, 2, 1]];
    for old in 0..=3 {
        let log = Layout::going_on_from_version_1(LOG, 104, &counts, old);
        for segment in 0..3 {
            let header_bytes = log.segments[segment].header_bytes;
            for bit in (0..header_bytes * 8).step_by(1_009) {
                check_mended(&log, segment, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            }
            check_mended(&log, segment, |bytes| bytes[..header_bytes].fill(0xAA));
        }
    }
}

/// The id, without which no frame is sound, is known only from the damaged header.
#[test]
fn a_damaged_header_of_an_only_segment_is_mended() {
    for (old, version) in [(0, Version::Two), (1, Version::One)] {
        let log = Layout::going_on_from_version_1(LogId::from_bytes([5; 16]), 104, &[&[1, 2]], old);
        let copies = (0..version.header_bytes()).step_by(BLOCK_BYTES);
        for at in [3, 9, 13, 16, 31, 35, 50, 4000] {
            check_mended(&log, 0, |bytes| copies.clone().for_each(|copy| bytes[copy + at] ^= 0x10));
        }
    }
}

#[test]
fn a_header_without_any_sound_frame_is_not_mended() {
    let mut files = Layout::new(LogId::from_bytes([5; 16]), 104, &[&[1, 2]]).files();
    files[0].1[16..32].fill(0xAA);
    files[0].1[BLOCK_BYTES..BLOCK_BYTES + 32].fill(0xAA);
    assert!(mend_headers(&disk_with(&files)).expect("read").is_empty());
}

#[test]
fn a_repair_stopped_at_any_call_can_be_repeated() {
    /// Number of crashes at each call. After each of them, another part of the unsynced bytes is there.
    const CRASHES: u64 = 12;
    for (files, last) in damaged() {
        for seed in 0..CRASHES {
            let stops =
                (0..).take_while(|&after| is_repaired_after_stop(&files, last, Stop::Machine, after, seed));
            assert!(stops.count() >= 3);
        }
        let stops = (0..).take_while(|&after| is_repaired_after_stop(&files, last, Stop::Process, after, 0));
        assert!(stops.count() >= 3);
    }
}

/// Stops a repair after this number of calls, and checks that it can be repeated. Returns `false` if the repair
/// ended before that.
fn is_repaired_after_stop(files: &Files, last: u64, stop: Stop, after: usize, seed: u64) -> bool {
    let disk = disk_with(files);
    disk.set_chance(Chance::from_seed(seed));
    disk.stop_after(Some((stop, after, Among::Changes)));
    let repaired = repair(&disk);
    let Some((_, call)) = disk.stopped() else {
        assert_eq!(repaired.expect("nothing went wrong"), last);
        return false;
    };
    match stop {
        Stop::Machine => disk.crash(),
        Stop::Process => disk.restart(),
    }
    assert_eq!(repair(&disk).expect("repaired"), last, "stopped in {call:?}, seed {seed}");
    check_nothing_is_gone(&disk, files);
    true
}

#[test]
fn without_room_to_keep_it_nothing_is_cut_off() {
    let (files, last) = damaged().swap_remove(0);
    let disk = disk_with(&files);
    disk.set_room(Some(10));
    let refused = repair(&disk).expect_err("no room");
    assert!(refused.is_no_room(), "{refused}");
    assert_eq!(disk.names().len(), files.len(), "nothing half-kept is left");
    assert!(files.iter().all(|(name, bytes)| disk.contents(name) == *bytes), "the files are untouched");
    disk.set_room(None);
    assert_eq!(repair(&disk).expect("repaired"), last);
}
