//! The histories bite: take away one thing that the log does, and some history breaks the promise.
//!
//! The disk takes it away, by saying that it did what it did not; nothing of this is in the log itself.

use super::life::Step;
use super::run;
use crate::log::sim::Lie;

/// More than it takes, by far; a change of the log may use up other choices and move the first one.
const SEEDS: u64 = 3_000;

/// What is lost is missed at the end, or noticed by the log between what is not.
const LOST: &[&str] = &["acknowledged", "the log is damaged"];

/// Without it, the history of some seed breaks the promise, and says so in one of these words.
#[track_caller]
#[expect(clippy::print_stdout, reason = "for people")]
fn check(step: Step, lie: Lie, symptoms: &[&str]) {
    let broken = (0..SEEDS).find_map(|seed| run(seed, Some((step, lie))).err().map(|how| (seed, how)));
    let (seed, how) = broken.unwrap_or_else(|| panic!("{SEEDS} histories do not miss {lie:?} in {step:?}"));
    println!("{lie:?} in {step:?}: seed {seed}: {how}");
    assert!(symptoms.iter().any(|symptom| how.contains(symptom)), "{how}");
}

#[test]
fn without_the_sync_of_an_append_histories_break() {
    check(Step::Append, Lie::SegmentSync, LOST);
}

#[test]
fn without_the_sync_of_a_new_segments_header_histories_break() {
    check(Step::Append, Lie::HeaderSync, &["no sound segment header"]);
}

#[test]
fn without_the_sync_of_the_directory_after_a_rename_histories_break() {
    check(Step::Append, Lie::DirectorySync, LOST);
}

#[test]
fn without_the_sync_of_the_last_segment_at_boot_histories_break() {
    check(Step::Replay, Lie::SegmentSync, LOST);
}

#[test]
fn without_the_sync_of_the_directory_at_boot_histories_break() {
    check(Step::Replay, Lie::DirectorySync, LOST);
}

#[test]
fn without_writing_the_last_frame_again_at_boot_histories_break() {
    check(Step::Replay, Lie::SegmentWrite, LOST);
}

#[test]
fn without_zeroing_a_torn_end_histories_break() {
    check(Step::Replay, Lie::SegmentZeroing, &["there again"]);
}
