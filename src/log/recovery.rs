//! What the bytes of a segment are: sound frames, then a clean end, a torn write, or damage.
//!
//! A frame is a commit, and never two are in flight. So a broken frame with a sound later one behind it, in its
//! segment or in a later one, was acknowledged: that is damage. A broken frame with nothing behind it is a write
//! that a crash tore, and was never answered.

use std::ops::Range;

use super::DecodeError;
use super::frame::{ALIGNMENT_BYTES, SealedFrame};
use super::segment::LogId;
use crate::domain::Position;

/// The sound frames at the start of a stretch of log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the last of them lies; none if there is none.
    pub(super) last: Option<Range<usize>>,
    /// Where they end.
    pub(super) end: usize,
    /// The position after the last event.
    pub(super) next: Position,
}

/// A frame whose checksum is right and whose events are not.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) offset: usize,
    pub(super) first: Position,
    pub(super) end: Position,
    pub(super) cause: DecodeError,
}

/// Shows each frame from `start` on to the visitor, for as long as they are sound and follow one another, but not
/// beyond the position `until`.
pub(super) fn scan(
    bytes: &[u8],
    start: usize,
    log: LogId,
    next: Position,
    until: Option<Position>,
    mut visit: impl FnMut(&SealedFrame<'_>) -> Result<(), DecodeError>,
) -> Result<Scan, Undecodable> {
    let mut scan = Scan { last: None, end: start, next };
    while until != Some(scan.next) {
        let frame = match SealedFrame::read(&bytes[scan.end..], log) {
            Some(frame) if frame.first == scan.next => frame,
            Some(_) | None => break,
        };
        let (first, end) = (frame.first, frame.end());
        visit(&frame).map_err(|cause| Undecodable { offset: scan.end, first, end, cause })?;
        scan = Scan { last: Some(scan.end..scan.end + frame.bytes), end: scan.end + frame.bytes, next: end };
    }
    Ok(scan)
}

/// What stands behind the last sound frame of the last segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros.
    Clean,
    /// A write that a crash tore: these bytes, up to the last that is not zero.
    Torn(Range<usize>),
    /// A sound frame that begins at this position, with something broken before it.
    Damaged(Position),
}

pub(super) fn judge_tail(bytes: &[u8], end: usize, log: LogId, next: Position) -> Tail {
    let Some(last_used) = last_not_zero(&bytes[end..]) else { return Tail::Clean };
    let later = (end..bytes.len())
        .step_by(ALIGNMENT_BYTES)
        .filter_map(|offset| SealedFrame::read(&bytes[offset..], log))
        .find(|frame| frame.first >= next);
    match later {
        Some(frame) => Tail::Damaged(frame.first),
        None => Tail::Torn(end..end + last_used + 1),
    }
}

/// Where the last byte is that is not zero.
pub(super) fn last_not_zero(bytes: &[u8]) -> Option<usize> {
    /// Whether so many are all zero is seen at once, of most of a segment's end.
    const BLOCK_BYTES: usize = 4096;
    let not_zero = |block: &&[u8]| block.iter().fold(0, |any, byte| any | byte) != 0;
    let blocks = bytes.chunks(BLOCK_BYTES);
    let (index, block) = blocks.enumerate().rfind(|(_, block)| not_zero(block))?;
    let within = block.iter().rposition(|&byte| byte != 0)?;
    Some(index * BLOCK_BYTES + within)
}

/// The position after the last event of all the sound frames in here, wherever they begin; none if there is none.
pub(super) fn last_sound_end(bytes: &[u8], log: LogId) -> Option<Position> {
    let (mut offset, mut last) = (0, None);
    while offset < bytes.len() {
        let frame = SealedFrame::read(&bytes[offset..], log);
        last = last.max(frame.map(|frame| frame.end()));
        offset += frame.map_or(ALIGNMENT_BYTES, |frame| frame.bytes);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::frame::Frame;
    use crate::log::frame::tests::user_added;

    const LOG: LogId = LogId::from_bytes([3; 16]);

    fn frame(first: u64, count: u64) -> Vec<u8> {
        let mut frame = Frame::new(Position(first));
        (first..first + count).for_each(|number| frame.push(&user_added(number)));
        frame.seal(LOG).to_vec()
    }

    /// Three frames, of the events 1, 2 to 3, and 4, then zeros.
    fn three_frames() -> (Vec<u8>, [usize; 3]) {
        let frames = [frame(1, 1), frame(2, 2), frame(4, 1)];
        let ends = [
            frames[0].len(),
            frames[0].len() + frames[1].len(),
            frames[0].len() + frames[1].len() + frames[2].len(),
        ];
        let mut bytes = frames.concat();
        bytes.resize(bytes.len() + 64, 0);
        (bytes, ends)
    }

    fn check(bytes: &[u8], end: usize, next: u64, tail: &Tail) {
        let scan = scan(bytes, 0, LOG, Position(1), None, |_| Ok(())).expect("decodes");
        assert_eq!((scan.end, scan.next), (end, Position(next)));
        assert_eq!(judge_tail(bytes, scan.end, LOG, scan.next), *tail);
    }

    #[test]
    fn frames_then_zeros_end_cleanly() {
        let (bytes, ends) = three_frames();
        check(&bytes, ends[2], 5, &Tail::Clean);
    }

    #[test]
    fn a_broken_last_frame_is_torn() {
        let (mut bytes, ends) = three_frames();
        bytes[ends[2] - 1] ^= 0x80;
        check(&bytes, ends[1], 4, &Tail::Torn(ends[1]..ends[2]));
    }

    #[test]
    fn a_broken_frame_before_a_sound_one_is_damage() {
        let (mut bytes, ends) = three_frames();
        bytes[ends[0]] ^= 1;
        check(&bytes, ends[0], 2, &Tail::Damaged(Position(4)));
    }

    #[test]
    fn a_zeroed_frame_before_a_sound_one_is_damage() {
        let (mut bytes, ends) = three_frames();
        bytes[ends[0]..ends[1]].fill(0);
        check(&bytes, ends[0], 2, &Tail::Damaged(Position(4)));
    }

    #[test]
    fn an_old_frame_after_the_end_is_no_later_frame() {
        let (mut bytes, ends) = three_frames();
        bytes.truncate(ends[2]);
        bytes.extend(frame(2, 2));
        let padding = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        check(&bytes, ends[2], 5, &Tail::Torn(ends[2]..bytes.len() - padding));
    }

    #[test]
    fn a_scan_stops_at_the_position_where_the_next_segment_begins() {
        let (bytes, ends) = three_frames();
        let scan = scan(&bytes, 0, LOG, Position(1), Some(Position(4)), |_| Ok(())).expect("decodes");
        assert_eq!((scan.end, scan.next), (ends[1], Position(4)));
    }
}
