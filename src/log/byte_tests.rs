//! Every byte, every bit: what a replay says of a log that was changed, and that it leaves damage as it is.
//!
//! For each change the exact verdict is worked out from where the change lies. A build with optimisations tries
//! every cut and every bit; one without tries some of those in the header blocks, to be quick.

mod beside;
mod flips;
mod laid;
mod moves;
mod repairs;
mod tails;

use std::ops::Range;

use super::files::FileLog;
use super::frame::tests::user_added;
use super::segment::LogId;
use super::sim::SimDisk;
use super::{EventLog, LogError, Progress};
use laid::Laid;

const SEGMENT_BYTES: u64 = 4096 + 512;

/// What a replay comes to. An event is known by its position.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// All up to `next` is there; nothing was changed.
    Sound { next: u64 },
    /// All up to `next` is there; these bytes at the end of a file were kept in a copy and cut off.
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
                file: beside::name_of(file),
                offset: place(*offset),
                from: from.0,
                until: until.map(|position| position.0),
            },
            LogError::UnknownVersion { file, offset, .. } => {
                Self::UnknownVersion { file: beside::name_of(file), offset: place(*offset) }
            }
            LogError::Directory { .. }
            | LogError::InUse { .. }
            | LogError::HoldsLog { .. }
            | LogError::Io { .. }
            | LogError::Thread { .. } => {
                panic!("{error}")
            }
        }
    }
}

/// Files by their names, in no order.
type Files = Vec<(String, Vec<u8>)>;

/// Changes of one kind, counted.
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
        assert_eq!(beside::reader_verdict(files), *expected, "{}: {}", self.what, what());
        if let Verdict::Damaged { from, .. } = verdict {
            beside::check_repair(files, from);
        }
        self.count += 1;
    }
}

impl Drop for Cases {
    #[expect(clippy::print_stdout, reason = "the counts are there to be quoted")]
    fn drop(&mut self) {
        println!("{:>7} {}", self.count, self.what);
    }
}

fn replay(files: &Files) -> Verdict {
    let disk = beside::disk_with(files);
    // Its own id is another one: an id that is taken from nowhere would be noticed.
    let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES, LogId::from_bytes([0; 16]));
    let mut next = 1;
    let replayed = log.replay(&Progress::default(), &mut |frame| {
        frame.records(|record| {
            assert_eq!(record, user_added(next), "the events, in order");
            next += 1;
            Ok(())
        })
    });
    let verdict = match replayed {
        Ok(()) => return replayed_verdict(&disk, files, next),
        Err(error) => Verdict::of(&error),
    };
    assert_eq!(disk.names().len(), files.len(), "the directory is untouched");
    assert!(files.iter().all(|(name, bytes)| disk.contents(name) == *bytes), "the files are untouched");
    verdict
}

/// The verdict on a log that can be used, from what was done to the directory.
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

/// Three segments; with events of several lengths, frames of one and of several, and zeros at the end of each.
fn small_log() -> Laid {
    Laid::new(LogId::from_bytes([5; 16]), 104, &[&[1, 2, 1], &[3, 1], &[1, 2, 1]])
}
