//! The histories notice it when the log lacks one safeguard: some history breaks the promise.
//!
//! The disk takes the safeguard away: it acknowledges a call that it does not make. The log itself is
//! unchanged.

use super::life::Step;
use super::run;
use crate::log::tests::simulated_disk::Lie;

/// Maximum number of histories until one breaks. Far fewer are needed, but every change of the log moves the
/// first one.
const SEEDS: u64 = 3_000;

/// Lost frames are missed at the end, or noticed by the log if later ones are there.
const LOST: &[&str] = &["acknowledged", "the log is damaged"];

/// Checks that a history breaks its promise without this call, with one of these symptoms.
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
