//! Bytes behind the last frame, and headers of another version.

use super::layout::{Layout, sealed};
use super::{Cases, Files, Verdict, small_log};
use crate::domain::{Epoch, Event, Position, Record};
use crate::log::Frame;
use crate::log::segment::{BLOCK_BYTES, LogId};
use crate::log::tests::simulated_disk::Chance;
use crate::log::tests::user_added;

const LOG: LogId = LogId::from_bytes([5; 16]);

/// Returns a small log with these bytes behind the frames of a segment, after a gap of zeros.
fn with_behind(segment: usize, gap: usize, behind: &[u8]) -> (Layout, Files) {
    let log = small_log();
    let mut files = log.files();
    let start = log.segments[segment].end() + gap;
    let bytes = &mut files[segment].1;
    bytes.resize(bytes.len().max(start + behind.len()), 0);
    bytes[start..start + behind.len()].copy_from_slice(behind);
    (log, files)
}

#[test]
fn garbage_behind_the_frames_is_a_torn_write() {
    let mut cases = Cases::of("zeros and garbage after the end");
    let mut chance = Chance::from_seed(2);
    for round in 0..400 {
        let (segment, gap, len) = (chance.below(3), chance.below(40), chance.below(200));
        let zeros = round % 8 == 0;
        let garbage: Vec<u8> = (0..len)
            .map(|_| if zeros { 0 } else { u8::try_from(chance.below(256)).expect("a byte") })
            .collect();
        let (log, files) = with_behind(segment, gap, &garbage);
        let expected = log.used_behind(segment, &files[segment].1);
        cases.check(&files, &expected, || format!("round {round}: {len} bytes behind segment {segment}"));
    }
}

#[test]
fn an_old_frame_behind_the_frames_is_a_torn_write() {
    let mut cases = Cases::of("old frames after the end");
    let log = small_log();
    for (segment, laid) in log.segments.iter().enumerate() {
        for (frame, place) in laid.frames.iter().enumerate() {
            for gap in [0, 8, 12, 64] {
                let (log, files) = with_behind(2, gap, &laid.bytes[place.at.clone()]);
                let expected = log.used_behind(2, &files[2].1);
                cases.check(&files, &expected, || {
                    format!("frame {frame} of segment {segment} again, gap {gap}")
                });
            }
        }
    }
}

/// An older copy of a segment beside later ones, or segments that were put back after the log had gone on.
#[test]
fn an_event_where_the_next_segment_begins_is_damage() {
    let mut cases = Cases::of("frames where the next segment begins");
    for segment in 0..2 {
        let next = small_log().next_after(segment);
        let (log, files) = with_behind(segment, 0, &sealed(LOG, next, 1));
        let file = log.segments[segment + 1].name.clone();
        let expected = Verdict::Damaged { file, offset: 0, from: next + 1, until: None };
        cases.check(&files, &expected, || format!("a frame that follows, behind segment {segment}"));
    }
}

#[test]
fn garbage_behind_a_segment_that_another_follows_is_never_read() {
    let mut cases = Cases::of("garbage behind a segment that another follows");
    for segment in 0..2 {
        let (log, files) = with_behind(segment, 0, &[7; 100]);
        let expected = log.used_behind(segment, &files[segment].1);
        cases.check(&files, &expected, || format!("behind segment {segment}"));
    }
}

#[test]
fn a_later_frame_behind_the_frames_is_damage() {
    let mut cases = Cases::of("later frames after the end");
    let log = small_log();
    let (end, next) = (log.segments[2].end(), log.next_after(2));
    for ahead in 0..3 {
        let frame = sealed(LOG, next + ahead, 2);
        for gap in [0, 8, 64] {
            let (log, files) = with_behind(2, gap, &frame);
            let expected = if ahead == 0 && gap == 0 {
                Verdict::Sound { next: next + 2 }
            } else {
                log.damaged(2, end, next, Some(next + ahead))
            };
            cases.check(&files, &expected, || format!("a frame {ahead} ahead, gap {gap}"));
        }
        // Frames begin at multiples of eight bytes.
        let (log, files) = with_behind(2, 4, &frame);
        cases.check(&files, &log.used_behind(2, &files[2].1), || "off its place".to_owned());
    }
}

/// Returns a later frame that is UTF-8 text except for two bytes of its magic.
fn nearly_text(after: u64) -> Vec<u8> {
    let frames = (after + 1..after + 1_000).map(|first| sealed(LOG, first, 1));
    let mut nearly = frames.filter(|frame| frame.iter().filter(|&&byte| byte >= 0x80).count() == 2);
    nearly.next().expect("one in sixteen is")
}

/// A client can only send text, in which no byte is 0xFF, the first byte of every frame.
#[test]
fn a_text_that_imitates_a_later_frame_is_no_frame() {
    let mut cases = Cases::of("texts that imitate a frame");
    let log = small_log();
    let (end, next) = (log.segments[2].end(), log.next_after(2));
    let imitation: String = nearly_text(next).iter().map(|&byte| char::from(byte.min(0x7f))).collect();
    for shift in 0..8 {
        let Record { time, by, key, event } = user_added(next);
        let Event::UserAdded { id, .. } = event else { panic!("a user") };
        let username = format!("{}{imitation}", "-".repeat(shift)).into();
        let mut frame = Frame::new(Position(next));
        frame.push(&Record { time, by, key, event: Event::UserAdded { id, username } });
        let mut torn = frame.seal(LOG, Epoch(7)).to_vec();
        torn[4] ^= 1;
        let (log, files) = with_behind(2, 0, &torn);
        let expected = log.ends_at(end, next, &files[2].1);
        cases.check(&files, &expected, || format!("an imitation, shifted by {shift}"));
    }
}

#[test]
fn another_version_or_codec_of_any_segment_is_named() {
    let mut cases = Cases::of("other versions and codecs");
    let log = small_log();
    for segment in 0..log.segments.len() {
        for (offset, byte, at) in [(12, 0, 12), (12, 3, 12), (15, 1, 12), (40, b'B', 40), (55, 0, 40)] {
            let mut files = log.files();
            let bytes = &mut files[segment].1;
            bytes[offset] = byte;
            let checksum = crc32c::crc32c(&bytes[12..BLOCK_BYTES]);
            bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
            let file = log.segments[segment].name.clone();
            let expected = Verdict::UnknownVersion { file, offset: at };
            cases.check(&files, &expected, || format!("byte {offset} of segment {segment}"));
        }
    }
}

#[test]
fn a_header_of_another_first_event_is_damage() {
    let mut cases = Cases::of("headers of another place");
    let log = small_log();
    for (segment, laid) in log.segments.iter().enumerate() {
        let mut files = log.files();
        let bytes = &mut files[segment].1;
        bytes[32..40].copy_from_slice(&(laid.first + 1).to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[12..BLOCK_BYTES]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        cases.check(&files, &log.header_lost(segment), || format!("segment {segment}"));
    }
}
