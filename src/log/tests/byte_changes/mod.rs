//! The verdict of a replay on a log whose bytes were changed. The replay leaves a damaged log as it is.
//!
//! For each change the test computes the exact verdict from the place of the change. An optimised build tries
//! every cut and every bit; an unoptimised build tries only some of them, to be quick.

mod flips;
mod layout;
mod moves;
mod repairs;
mod tails;
mod tools;

use std::ops::Range;

use super::read_users;
use super::simulated_disk::SimDisk;
use crate::log::segment::LogId;
use crate::log::{EventLog, FileLog, LogError, Progress};
use layout::Layout;

const SEGMENT_BYTES: u64 = 8192 + 512;

/// The outcome of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The events before `next` are there; nothing was changed.
    Sound { next: u64 },
    /// The events before `next` are there; these bytes at the end of a file were copied and cut off.
    Torn { next: u64, file: String, at: Range<usize> },
    /// Nothing was changed.
    Damaged { file: String, offset: usize, from: u64, until: Option<u64> },
    /// Nothing was changed.
    UnknownVersion { file: String, offset: usize },
}

impl Verdict {
    fn of(error: &LogError) -> Self {
        let place = |byte| usize::try_from(byte).expect("small");
        match error {
            LogError::Damaged { file, offset, from, until, .. } => Self::Damaged {
                file: tools::name_of(file),
                offset: place(*offset),
                from: from.0,
                until: until.map(|position| position.0),
            },
            LogError::UnknownVersion { file, offset, .. } => {
                Self::UnknownVersion { file: tools::name_of(file), offset: place(*offset) }
            }
            LogError::Directory { .. }
            | LogError::InUse { .. }
            | LogError::HoldsLog { .. }
            | LogError::NoLog { .. }
            | LogError::Misnamed { .. }
            | LogError::Vanished { .. }
            | LogError::NoWriter
            | LogError::Io { .. }
            | LogError::Thread { .. }
            | LogError::Stream(_) => {
                panic!("{error}")
            }
        }
    }
}

/// Files by their names, in no order.
type Files = Vec<(String, Vec<u8>)>;

/// Counts the changes of one kind.
struct Cases {
    what: &'static str,
    count: usize,
}

impl Cases {
    fn of(what: &'static str) -> Self {
        Self { what, count: 0 }
    }

    #[track_caller]
    fn check(&mut self, files: &Files, expected: &Verdict, what: impl FnOnce() -> String) {
        let verdict = replay(files);
        assert_eq!(verdict, *expected, "{}: {}", self.what, what());
        assert_eq!(tools::reader_verdict(files), *expected, "{}: {}", self.what, what());
        if let Verdict::Damaged { from, .. } = verdict {
            tools::check_repair(files, from);
        }
        self.count += 1;
    }
}

impl Drop for Cases {
    #[expect(clippy::print_stdout, reason = "the README quotes the counts")]
    fn drop(&mut self) {
        println!("{:>7} {}", self.count, self.what);
    }
}

fn replay(files: &Files) -> Verdict {
    let disk = tools::disk_with(files);
    // The log's own id is different, so that a replay that does not read the id is noticed.
    let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES, LogId::from_bytes([0; 16]));
    let progress = Progress::default();
    let replayed = log.replay(&progress).and_then(|mut replay| read_users(&mut *replay));
    let verdict = match replayed {
        Ok(next) => return replayed_verdict(&disk, files, next),
        Err(error) => Verdict::of(&error),
    };
    assert_eq!(disk.names().len(), files.len(), "the directory is untouched");
    assert!(files.iter().all(|(name, bytes)| disk.contents(name) == *bytes), "the files are untouched");
    verdict
}

/// Returns the verdict on a log that was replayed, from what the replay did to the directory.
fn replayed_verdict(disk: &SimDisk, files: &Files, next: u64) -> Verdict {
    let is_new = |name: &String| name != "spare" && !files.iter().any(|(there, _)| there == name);
    let copies: Vec<_> = disk.names().into_iter().filter(is_new).collect();
    let Some(copy) = copies.first() else {
        assert!(files.iter().all(|(name, bytes)| disk.contents(name) == *bytes), "the files are untouched");
        return Verdict::Sound { next };
    };
    assert_eq!(copies.len(), 1, "{copies:?}");
    let (file, place) = copy.split_once(".torn-").expect("a copy's name");
    let start = place.strip_suffix("-1").and_then(|offset| offset.parse().ok()).expect("an offset");
    let torn = disk.contents(copy);
    let at = start..start + torn.len();
    for (name, before) in files {
        let mut after = before.clone();
        if name == file {
            assert_eq!(before[at.clone()], torn, "the copy is what was there");
            after[at.clone()].fill(0);
        }
        assert!(disk.contents(name) == after, "nothing but the torn write is cut off");
    }
    Verdict::Torn { next, file: file.to_owned(), at }
}

/// Returns a log of three segments with frames of one and of several events, and zeros at the end of each
/// segment.
fn small_log() -> Layout {
    Layout::new(LogId::from_bytes([5; 16]), 104, &[&[1, 2, 1], &[3, 1], &[1, 2, 1]])
}
