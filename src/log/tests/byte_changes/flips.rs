//! A bit is flipped, or a file ends early.

use super::layout::Layout;
use super::{Cases, Verdict, small_log};
use crate::log::segment::{BLOCK_BYTES, HEADER_BYTES, LogId};
use crate::log::tests::simulated_disk::Chance;

/// Step between the bits and lengths that are tried within header blocks.
const HEADER_STEP: usize = if cfg!(debug_assertions) { 173 } else { 1 };
/// Step between the bits that are tried behind header blocks.
const STEP: usize = if cfg!(debug_assertions) { 7 } else { 1 };
/// Number of bits of a large log that are tried.
const FLIPS: usize = if cfg!(debug_assertions) { 40 } else { 10_000 };

/// Returns the verdict if this byte has changed.
fn verdict_on_change(log: &Layout, segment: usize, offset: usize, bytes: &[u8]) -> Verdict {
    if offset < log.segments[segment].header_bytes {
        return match log.segments[segment].header_bytes {
            HEADER_BYTES => Verdict::Sound { next: log.next_after(log.last()) },
            _ => log.header_lost(segment),
        };
    }
    match log.segments[segment].frame_at(offset) {
        Some(frame) => log.frame_lost(segment, frame, bytes),
        None => log.used_behind(segment, bytes),
    }
}

fn check_flip(cases: &mut Cases, log: &Layout, files: &mut super::Files, segment: usize, bit: usize) {
    let bytes = &mut files[segment].1;
    bytes[bit / 8] ^= 1 << (bit % 8);
    let expected = verdict_on_change(log, segment, bit / 8, &files[segment].1);
    cases.check(files, &expected, || format!("bit {bit} of segment {segment} flipped"));
    files[segment].1[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn every_flipped_bit_of_a_small_log_has_its_verdict() {
    check_every_flip(Cases::of("bits flipped in a small log"), &small_log());
}

#[test]
fn every_flipped_bit_of_a_mixed_log_has_its_verdict() {
    let counts: [&[u64]; 3] = [&[1, 2], &[3, 1], &[1, 2]];
    let log = Layout::going_on_from_version_1(LogId::from_bytes([5; 16]), 104, &counts, 2);
    check_every_flip(Cases::of("bits flipped in a log of two versions"), &log);
}

fn check_every_flip(mut cases: Cases, log: &Layout) {
    let mut files = log.files();
    for segment in 0..log.segments.len() {
        let header = (0..log.segments[segment].header_bytes * 8).step_by(HEADER_STEP);
        let rest =
            (log.segments[segment].header_bytes * 8..log.segments[segment].bytes.len() * 8).step_by(STEP);
        for bit in header.chain(rest) {
            check_flip(&mut cases, log, &mut files, segment, bit);
        }
    }
}

#[test]
fn sampled_flipped_bits_of_a_large_log_have_their_verdicts() {
    let mut cases = Cases::of("bits flipped in a large log");
    let counts: Vec<u64> = (0..120).map(|number| 1 + number % 7).collect();
    let log = Layout::new(LogId::from_bytes([6; 16]), 4096, &[&counts, &counts, &counts, &counts]);
    let mut files = log.files();
    let mut chance = Chance::from_seed(1);
    for _ in 0..FLIPS {
        let segment = chance.below(log.segments.len());
        let bit = chance.below(log.segments[segment].bytes.len() * 8);
        check_flip(&mut cases, &log, &mut files, segment, bit);
    }
}

/// Returns the verdict if the file was cut to this length.
fn verdict_on_cut(log: &Layout, segment: usize, len: usize) -> Verdict {
    if len < BLOCK_BYTES {
        return log.header_lost(segment);
    }
    if len < HEADER_BYTES {
        return log.damaged(segment, len, log.segments[segment].first, None);
    }
    let laid = &log.segments[segment];
    let Some(lost) = laid.frames.iter().position(|frame| frame.at.end > len) else {
        return Verdict::Sound { next: log.next_after(log.last()) };
    };
    if segment < log.last() {
        return log.frame_lost(segment, lost, &[]);
    }
    // If it is cut where a frame ends, nothing shows that it was longer.
    log.ends_at(laid.frames[lost].at.start, laid.frames[lost].first, &laid.bytes[..len])
}

#[test]
fn a_segment_cut_at_every_length_has_its_verdict() {
    let mut cases = Cases::of("cuts of a segment");
    let log = small_log();
    for segment in 0..log.segments.len() {
        let whole = &log.segments[segment].bytes;
        let lengths = (0..HEADER_BYTES)
            .step_by(HEADER_STEP)
            .chain([BLOCK_BYTES - 1, BLOCK_BYTES])
            .chain(HEADER_BYTES - 1..=whole.len());
        for len in lengths {
            let mut files = log.files();
            files[segment].1.truncate(len);
            let expected = verdict_on_cut(&log, segment, len);
            cases.check(&files, &expected, || format!("segment {segment} cut to {len} bytes"));
        }
    }
}

#[test]
fn a_log_cut_at_every_length_of_its_only_segment_keeps_the_frames_before() {
    let mut cases = Cases::of("cuts of an only segment");
    let log = Layout::new(LogId::from_bytes([5; 16]), 24, &[&[1, 3, 1]]);
    for len in HEADER_BYTES..=log.segments[0].bytes.len() {
        let mut files = log.files();
        files[0].1.truncate(len);
        cases.check(&files, &verdict_on_cut(&log, 0, len), || format!("cut to {len} bytes"));
    }
}
