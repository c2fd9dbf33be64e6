//! A repair that is stopped at any call, and repeated.

use super::tools::{check_nothing_is_gone, disk_with, read};
use super::{Files, LogError, SimDisk, small_log};
use crate::log::cut;
use crate::log::segment::HEADER_BYTES;
use crate::log::tests::simulated_disk::{Among, Stop};

/// Cuts until the log is sound, and returns the last position.
fn repair(disk: &SimDisk) -> Result<u64, LogError> {
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
    vec![(with_flip(1, HEADER_BYTES + 30), 4), (with_flip(1, 20), 4), (with_flip(0, HEADER_BYTES + 100), 1)]
}

#[test]
fn a_repair_stopped_at_any_call_can_be_repeated() {
    for (files, last) in damaged() {
        for stop in [Stop::Machine, Stop::Process] {
            let mut stops = 0;
            for after in 0.. {
                let disk = disk_with(&files);
                disk.stop_after(Some((stop, after, Among::Changes)));
                let repaired = repair(&disk);
                let Some((_, call)) = disk.stopped() else {
                    assert_eq!(repaired.expect("nothing went wrong"), last);
                    break;
                };
                stops += 1;
                match stop {
                    Stop::Machine => disk.crash(),
                    Stop::Process => disk.restart(),
                }
                assert_eq!(repair(&disk).expect("repaired"), last, "stopped in {call:?}");
                check_nothing_is_gone(&disk, &files);
            }
            assert!(stops >= 3, "{stops}");
        }
    }
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
