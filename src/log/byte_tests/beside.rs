//! What the tools make of the same changes: one who reads without the lock judges as the replay does, and a damaged
//! log is cut where it is damaged, with nothing of it gone.

use super::{Files, Verdict, user_added};
use crate::log::sim::SimDisk;
use crate::log::{Contents, LogError, LogReader, Progress, cut};

pub(super) fn disk_with(files: &Files) -> SimDisk {
    SimDisk::with_files(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

pub(super) fn name_of(file: &std::path::Path) -> String {
    file.file_name().expect("a file").to_string_lossy().into_owned()
}

/// Reads the events, which must be 1, 2, 3, …
fn read(disk: &SimDisk) -> Result<Contents, LogError> {
    let mut next = 1;
    LogReader::new(disk.clone())?.walk(&Progress::default(), &mut |frame| {
        frame.records(|record| {
            assert_eq!(record, user_added(next), "the events, in order");
            next += 1;
            Ok(())
        })
    })
}

/// What one says who only reads.
pub(super) fn reader_verdict(files: &Files) -> Verdict {
    let disk = disk_with(files);
    let verdict = match read(&disk) {
        Ok(contents) => {
            let next = contents.last.0 + 1;
            match contents.torn {
                None => Verdict::Sound { next },
                Some(torn) => {
                    let place = |byte| usize::try_from(byte).expect("small");
                    let at = place(torn.at.start)..place(torn.at.end);
                    Verdict::Torn { next, file: name_of(&torn.file), at }
                }
            }
        }
        Err(error) => Verdict::of(&error),
    };
    let calls = disk.take_calls();
    assert!(calls.iter().all(|call| call.starts_with("read ")), "nothing but reading: {calls:?}");
    verdict
}

/// Cuts what is damaged from this event on.
pub(super) fn check_repair(files: &Files, from: u64) {
    let disk = disk_with(files);
    let last = loop {
        match read(&disk) {
            Ok(contents) => break contents.last.0,
            Err(LogError::Damaged { file, offset, .. }) => {
                let kept = cut(&disk, &file, offset).expect("cut").kept;
                assert!(!kept.is_empty(), "something was cut off");
            }
            Err(error) => panic!("{error}"),
        }
    };
    // More, where what did not belong there hid sound frames.
    assert!(last >= from - 1, "all before the damage: {last}");
    disk.crash();
    assert_eq!(read(&disk).expect("sound").last.0, last, "durable");
    check_nothing_is_gone(&disk, files);
}

/// Every byte that a segment had is in it still or, at its place, in what was kept of it.
pub(super) fn check_nothing_is_gone(disk: &SimDisk, files: &Files) {
    for (name, before) in files {
        let mut found = vec![0; before.len()];
        for kept in disk.names().iter().filter(|kept| kept.starts_with(name.as_str())) {
            let bytes = disk.contents(kept);
            let place = kept.split_once(".damaged-").and_then(|(_, place)| place.split_once('-'));
            let start = place.map_or(0, |(offset, _)| offset.parse().expect("an offset"));
            for (found, &byte) in found[start..].iter_mut().zip(&bytes) {
                *found |= byte;
            }
        }
        assert!(found == *before, "{name}: not all is kept");
    }
}
