//! The tools on the same changed logs: a reader without the lock comes to the same verdict as the replay, and
//! a repair cuts a damaged log where it is damaged and keeps every byte.

use super::{Files, Verdict, read_users};
use crate::log::tests::simulated_disk::SimDisk;
use crate::log::{Contents, LogError, LogReader, Progress, cut};

pub(super) fn disk_with(files: &Files) -> SimDisk {
    SimDisk::with_files(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

pub(super) fn name_of(file: &std::path::Path) -> String {
    file.file_name().expect("a file").to_string_lossy().into_owned()
}

/// Reads the log, whose events must be 1, 2, 3, …
pub(super) fn read(disk: &SimDisk) -> Result<Contents, LogError> {
    let (reader, progress) = (LogReader::new(disk.clone())?, Progress::default());
    let mut walk = reader.walk(&progress);
    read_users(&mut walk)?;
    Ok(walk.into_contents())
}

/// Returns the verdict of a reader without the lock.
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
    assert!(calls.iter().all(|call| call.starts_with("read ")), "a reader only reads: {calls:?}");
    verdict
}

/// Repairs a log that is damaged from this event on.
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
    // More than that, if misplaced bytes had hidden sound frames.
    assert!(last >= from - 1, "all before the damage: {last}");
    disk.crash();
    assert_eq!(read(&disk).expect("sound").last.0, last, "durable");
    check_nothing_is_gone(&disk, files);
}

/// Checks that every byte of a segment is still in it or, at the same offset, in a file that was kept of it.
pub(super) fn check_nothing_is_gone(disk: &SimDisk, files: &Files) {
    for (name, before) in files {
        let mut is_kept = vec![false; before.len()];
        for kept in disk.names().iter().filter(|kept| kept.starts_with(name.as_str())) {
            let bytes = disk.contents(kept);
            let place = kept.split_once(".damaged-").and_then(|(_, place)| place.split_once('-'));
            let start = place.map_or(0, |(offset, _)| offset.parse().expect("an offset"));
            for (offset, byte) in (start..before.len()).zip(bytes) {
                is_kept[offset] |= byte == before[offset];
            }
        }
        assert!(is_kept.iter().all(|is_kept| *is_kept), "{name}: not all is kept");
    }
}
