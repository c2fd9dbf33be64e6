//! The simulated disk behaves as badly as it says.

use std::collections::BTreeSet;

use super::contents::SECTOR_BYTES;
use super::{Among, Chance, Fault, SimDisk, Stop};
use crate::log::{Disk, DiskFile, ReadDisk};

/// Returns every state that a disk can be in after these steps, as `look` sees it.
fn outcomes<T: Ord>(steps: impl Fn(&SimDisk), look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    let mut chance = Chance::every();
    let mut seen = BTreeSet::new();
    loop {
        let disk = SimDisk::new(chance);
        steps(&disk);
        seen.insert(look(&disk));
        chance = disk.take_chance();
        if !chance.advance() {
            return seen;
        }
    }
}

/// Creates a durable file of sectors that are filled with `-`.
fn file_of(disk: &SimDisk, sectors: usize) -> <SimDisk as ReadDisk>::File {
    let file = disk.create("file").expect("made");
    file.write_at(&vec![b'-'; sectors * SECTOR_BYTES], 0).expect("written");
    file.sync().expect("synced");
    disk.sync().expect("synced");
    file
}

fn write_sector(file: &impl DiskFile, sector: usize, byte: u8) {
    file.write_at(&[byte; SECTOR_BYTES], (sector * SECTOR_BYTES) as u64).expect("written");
}

/// Returns the first byte of each sector.
fn sectors(disk: &SimDisk) -> String {
    disk.contents("file").iter().step_by(SECTOR_BYTES).map(|&byte| char::from(byte)).collect()
}

fn strings(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn a_crash_keeps_any_version_of_a_sector_not_synced() {
    let steps = |disk: &SimDisk| {
        let file = file_of(disk, 2);
        file.write_at(&[b'a'; 2 * SECTOR_BYTES], 0).expect("written");
        write_sector(&file, 1, b'b');
        disk.crash();
    };
    assert_eq!(outcomes(steps, sectors), strings(&["--", "a-", "-a", "aa", "-b", "ab"]));
}

#[test]
fn a_sync_survives_a_crash_and_a_write_survives_its_process() {
    let steps = |disk: &SimDisk| {
        let file = file_of(disk, 2);
        write_sector(&file, 0, b'a');
        file.sync().expect("synced");
        disk.crash();
        write_sector(&file, 1, b'b');
        disk.restart();
    };
    assert_eq!(outcomes(steps, sectors), strings(&["ab"]));
}

#[test]
fn a_length_that_was_not_synced_may_vanish() {
    let steps = |disk: &SimDisk| {
        let file = file_of(disk, 1);
        write_sector(&file, 1, b'a');
        disk.crash();
    };
    assert_eq!(outcomes(steps, sectors), strings(&["-", "-\0", "-a"]));
}

#[test]
fn each_name_that_was_not_synced_may_vanish() {
    let steps = |disk: &SimDisk| {
        file_of(disk, 1);
        disk.rename("file", "renamed").expect("renamed");
        disk.create("file").expect("made");
        disk.create("other").expect("made");
        disk.crash();
    };
    let expected = ["file", "file other", "renamed", "other renamed", "file renamed", "file other renamed"];
    assert_eq!(outcomes(steps, |disk| disk.names().join(" ")), strings(&expected));
    let synced = |disk: &SimDisk| {
        file_of(disk, 1);
        disk.remove("file").expect("removed");
        disk.sync().expect("synced");
        disk.crash();
    };
    assert_eq!(outcomes(synced, |disk| disk.names().join(" ")), strings(&[""]));
}

#[test]
fn after_a_failed_sync_written_pages_may_be_lost() {
    let failed = |disk: &SimDisk| {
        let file = file_of(disk, 1);
        write_sector(&file, 0, b'a');
        disk.fail_next(Fault::Sync);
        file.sync().expect_err("EIO");
        file
    };
    assert_eq!(outcomes(|disk| drop(failed(disk)), sectors), strings(&["a"]));
    let synced_again = |disk: &SimDisk| {
        failed(disk).sync().expect("nothing to do");
        disk.crash();
    };
    assert_eq!(outcomes(synced_again, sectors), strings(&["-", "a"]));
    let written_again = |disk: &SimDisk| {
        let file = failed(disk);
        write_sector(&file, 0, b'a');
        file.sync().expect("synced");
        disk.crash();
    };
    assert_eq!(outcomes(written_again, sectors), strings(&["a"]));
}

#[test]
fn a_failed_or_cut_write_leaves_any_part_in_the_cache() {
    let any_part = strings(&["--", "a-", "-a", "aa"]);
    let failed = |disk: &SimDisk| {
        let file = file_of(disk, 2);
        disk.fail_next(Fault::Write);
        file.write_at(&[b'a'; 2 * SECTOR_BYTES], 0).expect_err("EIO");
    };
    assert_eq!(outcomes(failed, sectors), any_part);
    let cut = |disk: &SimDisk| {
        let file = file_of(disk, 2);
        disk.stop_after(Some((Stop::Process, 0, Among::All)));
        file.write_at(&[b'a'; 2 * SECTOR_BYTES], 0).expect_err("stopped");
        file.sync().expect_err("stopped");
        disk.restart();
    };
    assert_eq!(outcomes(cut, sectors), any_part);
}

#[test]
fn a_stopped_machine_does_nothing_more() {
    let steps = |disk: &SimDisk| {
        let file = file_of(disk, 2);
        disk.stop_after(Some((Stop::Machine, 1, Among::All)));
        write_sector(&file, 0, b'a');
        file.sync().expect_err("stopped");
        disk.list().expect_err("stopped");
        assert_eq!(disk.stopped().map(|(stop, call)| (stop, call.what)), Some((Stop::Machine, "sync")));
        disk.crash();
        disk.list().expect("started again");
    };
    assert_eq!(outcomes(steps, sectors), strings(&["--", "a-"]));
}

#[test]
fn room_ends_at_a_byte_and_returns_with_a_removed_file() {
    let disk = SimDisk::default();
    let file = file_of(&disk, 1);
    disk.set_room(Some(700));
    let full = file.write_at(&[b'a'; 1024], 512).expect_err("no room");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(disk.contents("file").len(), 1212, "a short write");
    file.write_at(&[b'b'; 1212], 0).expect("takes no room");
    let other = disk.create("other").expect("made");
    assert_eq!(other.allocate(1).expect_err("no room").kind(), std::io::ErrorKind::StorageFull);
    disk.remove("file").expect("removed");
    other.allocate(1212).expect("room");
}
