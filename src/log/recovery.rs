//! Recognises the contents of a segment: sound frames, then a clean end, a torn write, or damage.
//!
//! A frame is a commit, and at most one frame is in flight. So a broken frame that a sound later frame
//! follows, in the same segment or in a later one, was acknowledged: the log is damaged. A broken frame that
//! no sound frame follows is a write that a crash tore, and was never acknowledged.

use std::ops::Range;

use super::frame::{ALIGNMENT_BYTES, FrameHeader};
use super::segment::FrameFormat;
use crate::domain::Position;

/// Follows the sound frames of a segment.
#[derive(Debug)]
pub(super) struct Scan {
    /// The offset and the header of the last frame, or `None` if there was no frame.
    pub(super) last: Option<(usize, FrameHeader)>,
    /// The offset at which the frames end.
    pub(super) end: usize,
    /// The position after the last event.
    pub(super) next: Position,
}

impl Scan {
    /// Creates a scan whose first frame must begin at this offset and with this event.
    pub(super) fn starting_at(offset: usize, first: Position) -> Self {
        Self { last: None, end: offset, next: first }
    }

    /// Advances to the next frame and returns its header. Returns `None` if no sound frame follows.
    pub(super) fn advance(&mut self, bytes: &[u8], format: FrameFormat) -> Option<FrameHeader> {
        let header =
            FrameHeader::check(&bytes[self.end..], format).filter(|found| found.first == self.next)?;
        self.last = Some((self.end, header));
        self.end += header.sealed_bytes();
        self.next = header.end();
        Some(header)
    }
}

/// The bytes behind the last sound frame of the last segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Only zeros.
    Clean,
    /// A write that a crash tore: these bytes, up to the last that is not zero.
    Torn(Range<usize>),
    /// Something broken, and a sound frame among these bytes, up to the last that is not zero.
    Damaged {
        range: Range<usize>,
        /// The position at which that frame begins.
        sound: Position,
    },
}

/// Classifies the bytes from `end` on. `next` is the position of the next event.
pub(super) fn classify_tail(bytes: &[u8], end: usize, format: FrameFormat, next: Position) -> Tail {
    let Some(last_used) = last_not_zero(&bytes[end..]) else { return Tail::Clean };
    let later = (end..bytes.len())
        .step_by(ALIGNMENT_BYTES)
        .filter_map(|offset| FrameHeader::check(&bytes[offset..], format))
        .find(|frame| frame.first >= next);
    let range = end..end + last_used + 1;
    match later {
        Some(frame) => Tail::Damaged { range, sound: frame.first },
        None => Tail::Torn(range),
    }
}

/// Returns the index of the last byte that is not zero.
pub(super) fn last_not_zero(bytes: &[u8]) -> Option<usize> {
    /// Bytes that are compared with zero at once: most of a segment's end is zeros.
    const BLOCK_BYTES: usize = 4096;
    let not_zero = |block: &&[u8]| block.iter().fold(0, |any, byte| any | byte) != 0;
    let blocks = bytes.chunks(BLOCK_BYTES);
    let (index, block) = blocks.enumerate().rfind(|(_, block)| not_zero(block))?;
    let within = block.iter().rposition(|&byte| byte != 0)?;
    Some(index * BLOCK_BYTES + within)
}

/// Returns the position after the last event of all sound frames in `bytes`, wherever they begin. Returns
/// `None` if there is no sound frame.
pub(super) fn last_sound_end(bytes: &[u8], format: FrameFormat) -> Option<Position> {
    let (mut offset, mut last) = (0, None);
    while offset < bytes.len() {
        let frame = FrameHeader::check(&bytes[offset..], format);
        last = last.max(frame.map(FrameHeader::end));
        offset += frame.map_or(ALIGNMENT_BYTES, FrameHeader::sealed_bytes);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Epoch;
    use crate::log::frame::Frame;
    use crate::log::segment::{LogId, Version};
    use crate::log::tests::user_added;

    const LOG: LogId = LogId::from_bytes([3; 16]);
    const FORMAT: FrameFormat = FrameFormat { log: LOG, version: Version::Two };

    fn frame(first: u64, count: u64) -> Vec<u8> {
        let mut frame = Frame::new(Position(first));
        (first..first + count).for_each(|number| frame.push(&user_added(number)));
        frame.seal(LOG, Epoch(7)).to_vec()
    }

    /// Returns three frames with the events 1, 2 to 3, and 4, then zeros; and where each frame ends.
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
        let mut scan = Scan::starting_at(0, Position(1));
        while scan.advance(bytes, FORMAT).is_some() {}
        assert_eq!((scan.end, scan.next), (end, Position(next)));
        assert_eq!(classify_tail(bytes, scan.end, FORMAT, scan.next), *tail);
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

    /// The tail behind the first frame if the second is broken and the third is sound.
    fn damaged(bytes: &[u8], ends: [usize; 3]) -> Tail {
        let last_used = last_not_zero(bytes).expect("a frame");
        Tail::Damaged { range: ends[0]..last_used + 1, sound: Position(4) }
    }

    #[test]
    fn a_broken_frame_before_a_sound_one_is_damage() {
        let (mut bytes, ends) = three_frames();
        bytes[ends[0]] ^= 1;
        check(&bytes, ends[0], 2, &damaged(&bytes, ends));
    }

    #[test]
    fn a_zeroed_frame_before_a_sound_one_is_damage() {
        let (mut bytes, ends) = three_frames();
        bytes[ends[0]..ends[1]].fill(0);
        check(&bytes, ends[0], 2, &damaged(&bytes, ends));
    }

    #[test]
    fn an_old_frame_after_the_end_is_torn() {
        let (mut bytes, ends) = three_frames();
        bytes.truncate(ends[2]);
        bytes.extend(frame(2, 2));
        let padding = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        check(&bytes, ends[2], 5, &Tail::Torn(ends[2]..bytes.len() - padding));
    }
}
