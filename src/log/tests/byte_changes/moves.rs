//! Segments and frames are missing, duplicated, moved, or from another log.

use super::layout::{Layout, sealed};
use super::{Cases, Files, Verdict, small_log};
use crate::domain::Position;
use crate::log::segment::{self, HEADER_BYTES, LogId};

const OTHER: LogId = LogId::from_bytes([9; 16]);

fn other_log() -> Layout {
    Layout::new(OTHER, 104, &[&[1, 2, 1], &[3, 1], &[1, 2, 1]])
}

/// Returns every order of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(rest) = count.checked_sub(1) else { return vec![Vec::new()] };
    let with_last_at = |order: &Vec<usize>, place: usize| {
        let mut order = order.clone();
        order.insert(place, rest);
        order
    };
    orders(rest).iter().flat_map(|order| (0..count).map(move |place| with_last_at(order, place))).collect()
}

#[test]
fn segments_in_any_other_order_are_damage_where_the_first_is_wrong() {
    let mut cases = Cases::of("orders of segments");
    let log = Layout::new(LogId::from_bytes([5; 16]), 64, &[&[1, 2], &[3], &[1, 1], &[2, 1]]);
    for order in orders(4) {
        let place = |(index, &from): (usize, &usize)| {
            (log.segments[index].name.clone(), log.segments[from].bytes.clone())
        };
        let files: Files = order.iter().enumerate().map(place).collect();
        let expected = match order.iter().enumerate().find(|(index, from)| index != *from) {
            None => Verdict::Sound { next: log.next_after(3) },
            Some((index, _)) => log.header_lost(index),
        };
        cases.check(&files, &expected, || format!("segments in the order {order:?}"));
    }
}

#[test]
fn any_set_of_segments_but_the_first_ones_is_damage() {
    let mut cases = Cases::of("sets of segments");
    let log = Layout::new(LogId::from_bytes([5; 16]), 64, &[&[1, 2], &[3], &[1, 1], &[2, 1]]);
    for kept in 1_usize..16 {
        let is_kept = |index: &usize| kept & (1 << index) != 0;
        let kept: Vec<_> = (0..4).filter(is_kept).collect();
        let files: Files = kept.iter().map(|&index| log.files().swap_remove(index)).collect();
        let expected = match kept.iter().enumerate().find(|(place, index)| place != *index) {
            // If only the last ones are missing, nothing shows that the log was longer.
            None => Verdict::Sound { next: log.next_after(kept.len() - 1) },
            Some((0, &index)) => log.damaged(index, 0, 1, Some(log.segments[index].first)),
            Some((place, &index)) => {
                let (before, until) = (&log.segments[place - 1], log.segments[index].first);
                log.damaged(place - 1, before.end(), before.next, Some(until))
            }
        };
        cases.check(&files, &expected, || format!("only the segments {kept:?}"));
    }
}

#[test]
fn a_segment_that_is_there_twice_is_damage() {
    let mut cases = Cases::of("segments there twice");
    let log = small_log();
    for (copied, original) in log.segments.iter().enumerate() {
        for first in 2..log.next_after(2) + 3 {
            let name = segment::file_name(Position(first));
            if log.segments.iter().any(|segment| segment.name == name) {
                continue;
            }
            let mut files = log.files();
            files.push((name.clone(), original.bytes.clone()));
            let (index, before) = (log.segments.iter().enumerate())
                .rfind(|(_, segment)| segment.first < first)
                .expect("after the first");
            // The frames of the segment before come first, so this segment is at fault.
            let expected = if first <= before.next {
                Verdict::Damaged { file: name, offset: 0, from: before.next, until: None }
            } else {
                log.damaged(index, before.end(), before.next, Some(first))
            };
            cases.check(&files, &expected, || format!("segment {copied} copied to {first}"));
        }
    }
}

#[test]
fn a_segment_of_another_log_is_damage_wherever_it_is() {
    let mut cases = Cases::of("segments of another log");
    let (log, other) = (small_log(), other_log());
    for spliced in 0..log.segments.len() {
        let mut files = log.files();
        files[spliced] = other.files().swap_remove(spliced);
        // The first segment determines the log's id.
        let expected = log.header_lost(spliced.max(1));
        cases.check(&files, &expected, || format!("segment {spliced} of another log"));
    }
}

/// Checks a change that is made to each frame of a small log in turn.
fn for_every_frame(
    what: &'static str,
    change: impl Fn(&Layout, &mut Vec<u8>, usize, usize) -> Option<Verdict>,
) {
    let mut cases = Cases::of(what);
    let log = small_log();
    for segment in 0..log.segments.len() {
        for frame in 0..log.segments[segment].frames.len() {
            let mut files = log.files();
            let len = files[segment].1.len();
            let Some(expected) = change(&log, &mut files[segment].1, segment, frame) else { continue };
            let len = len.max(files[segment].1.len());
            files[segment].1.resize(len, 0);
            cases.check(&files, &expected, || format!("frame {frame} of segment {segment}"));
        }
    }
}

#[test]
fn a_frame_that_was_zeroed_is_missed() {
    for_every_frame("frames zeroed", |log, bytes, segment, frame| {
        bytes[log.segments[segment].frames[frame].at.clone()].fill(0);
        Some(log.frame_lost(segment, frame, bytes))
    });
}

#[test]
fn a_frame_that_was_taken_out_is_missed() {
    for_every_frame("frames taken out", |log, bytes, segment, frame| {
        bytes.drain(log.segments[segment].frames[frame].at.clone());
        Some(log.frame_lost(segment, frame, bytes))
    });
}

#[test]
fn a_frame_that_is_there_twice_is_no_frame_that_follows() {
    for_every_frame("frames there twice", |log, bytes, segment, frame| {
        let laid = &log.segments[segment];
        let place = &laid.frames[frame];
        let twice = bytes[place.at.clone()].to_vec();
        bytes.splice(place.at.end..place.at.end, twice);
        let Some(next) = laid.frames.get(frame + 1) else { return Some(log.used_behind(segment, bytes)) };
        let until = if segment < log.last() { log.segments[segment + 1].first } else { next.first };
        Some(log.damaged(segment, place.at.end, next.first, Some(until)))
    });
}

#[test]
fn frames_that_changed_places_are_damage() {
    let mut cases = Cases::of("orders of frames");
    let log = small_log();
    for (segment, laid) in log.segments.iter().enumerate() {
        for order in orders(laid.frames.len()) {
            let Some((wrong, moved)) = order.iter().enumerate().find(|(index, from)| index != *from) else {
                continue;
            };
            let mut bytes = laid.bytes[..HEADER_BYTES].to_vec();
            for &from in &order {
                bytes.extend(&laid.bytes[laid.frames[from].at.clone()]);
            }
            bytes.resize(laid.bytes.len(), 0);
            let mut files = log.files();
            files[segment].1 = bytes;
            let found = laid.frames[*moved].first;
            let until = if segment < log.last() { log.segments[segment + 1].first } else { found };
            let place = &laid.frames[wrong];
            let expected = log.damaged(segment, place.at.start, place.first, Some(until));
            cases.check(&files, &expected, || format!("frames of segment {segment} in the order {order:?}"));
        }
    }
}

#[test]
fn a_frame_of_another_log_is_no_frame() {
    let other = other_log();
    for_every_frame("frames of another log", |log, bytes, segment, frame| {
        let at = log.segments[segment].frames[frame].at.clone();
        bytes[at.clone()].copy_from_slice(&other.segments[segment].bytes[at]);
        Some(log.frame_lost(segment, frame, bytes))
    });
}

#[test]
fn a_frame_of_another_log_after_the_end_is_no_later_frame() {
    let mut cases = Cases::of("frames of another log after the end");
    let log = small_log();
    let mut files = log.files();
    let end = log.segments[2].end();
    let foreign = sealed(OTHER, log.next_after(2), 1);
    files[2].1[end..end + foreign.len()].copy_from_slice(&foreign);
    let expected = log.ends_at(end, log.next_after(2), &files[2].1);
    cases.check(&files, &expected, || "a foreign frame after the end".to_owned());
}
