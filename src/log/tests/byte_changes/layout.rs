//! A log in memory with the place of every frame, to compute the verdict on a change.

use std::ops::Range;

use super::{Files, Verdict};
use crate::domain::{Epoch, Position};
use crate::log::Frame;
use crate::log::segment::{self, FrameFormat, Header, LogId, Version};
use crate::log::tests::{old_frame, user_added};

#[derive(Clone)]
pub(super) struct Layout {
    pub(super) segments: Vec<Segment>,
}

#[derive(Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) frames: Vec<Place>,
    pub(super) bytes: Vec<u8>,
    /// The length of the header.
    pub(super) header_bytes: usize,
}

/// The place of a frame, and its first event.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) at: Range<usize>,
    pub(super) first: u64,
}

pub(super) fn sealed(log: LogId, first: u64, count: u64) -> Vec<u8> {
    let mut frame = Frame::new(Position(first));
    (first..first + count).for_each(|number| frame.push(&user_added(number)));
    frame.seal(log, Epoch(7)).to_vec()
}

impl Layout {
    /// Creates a log with a segment for each list of counts, a frame with that number of events for each
    /// count, and zeros behind the frames.
    pub(super) fn new(log: LogId, zeros: usize, segments: &[&[u64]]) -> Self {
        Self::going_on_from_version_1(log, zeros, segments, 0)
    }

    /// Creates a log whose first `old` segments are of version 1.
    pub(super) fn going_on_from_version_1(log: LogId, zeros: usize, segments: &[&[u64]], old: usize) -> Self {
        let mut next = 1;
        let version = |index| if index < old { Version::One } else { Version::Two };
        let segments = segments.iter().enumerate().map(|(index, counts)| {
            Segment::new(FrameFormat { log, version: version(index) }, zeros, counts, &mut next)
        });
        Self { segments: segments.collect() }
    }

    pub(super) fn files(&self) -> Files {
        self.segments.iter().map(|segment| (segment.name.clone(), segment.bytes.clone())).collect()
    }

    pub(super) fn last(&self) -> usize {
        self.segments.len() - 1
    }

    /// Returns the position after the last event of a segment.
    pub(super) fn next_after(&self, segment: usize) -> u64 {
        let is_last = segment == self.last();
        if is_last { self.segments[segment].next } else { self.segments[segment + 1].first }
    }

    pub(super) fn damaged(&self, segment: usize, offset: usize, from: u64, until: Option<u64>) -> Verdict {
        Verdict::Damaged { file: self.segments[segment].name.clone(), offset, from, until }
    }

    /// Returns the verdict if the segment's header block is broken or belongs to another segment.
    pub(super) fn header_lost(&self, segment: usize) -> Verdict {
        self.damaged(segment, 0, self.segments[segment].first, None)
    }

    /// Returns the verdict if the frame is broken or gone and the segment's file is now `bytes`.
    pub(super) fn frame_lost(&self, segment: usize, frame: usize, bytes: &[u8]) -> Verdict {
        let Segment { frames, .. } = &self.segments[segment];
        let Place { at, first } = &frames[frame];
        if segment < self.last() {
            return self.damaged(segment, at.start, *first, Some(self.segments[segment + 1].first));
        }
        match frames.get(frame + 1) {
            Some(later) => self.damaged(segment, at.start, *first, Some(later.first)),
            None => self.ends_at(at.start, *first, bytes),
        }
    }

    /// Returns the verdict if the sound frames of the last segment end here.
    pub(super) fn ends_at(&self, end: usize, next: u64, bytes: &[u8]) -> Verdict {
        match bytes[end..].iter().rposition(|&byte| byte != 0) {
            None => Verdict::Sound { next },
            Some(last) => {
                Verdict::Torn { next, file: self.segments[self.last()].name.clone(), at: end..end + last + 1 }
            }
        }
    }

    /// Returns the verdict if bytes behind the frames of a segment are used, but not by a sound later frame.
    pub(super) fn used_behind(&self, segment: usize, bytes: &[u8]) -> Verdict {
        if segment < self.last() {
            return Verdict::Sound { next: self.next_after(self.last()) };
        }
        self.ends_at(self.segments[segment].end(), self.next_after(segment), bytes)
    }
}

impl Segment {
    fn new(format: FrameFormat, zeros: usize, counts: &[u64], next: &mut u64) -> Self {
        let first = *next;
        let mut bytes = Header { format, first: Position(first) }.encode();
        let header_bytes = bytes.len();
        let sealed = match format.version {
            Version::One => old_frame,
            Version::Two => sealed,
        };
        let frames = counts.iter().map(|&count| {
            let start = bytes.len();
            bytes.extend(sealed(format.log, *next, count));
            let place = Place { at: start..bytes.len(), first: *next };
            *next += count;
            place
        });
        let frames = frames.collect();
        bytes.resize(bytes.len() + zeros, 0);
        Self { name: segment::file_name(Position(first)), first, next: *next, frames, bytes, header_bytes }
    }

    /// Returns the offset at which the frames end.
    pub(super) fn end(&self) -> usize {
        self.frames.last().map_or(self.header_bytes, |frame| frame.at.end)
    }

    /// Returns the index of the frame that holds this byte, or `None` if the byte is in the header block or
    /// behind the frames.
    pub(super) fn frame_at(&self, offset: usize) -> Option<usize> {
        self.frames.iter().position(|frame| frame.at.contains(&offset))
    }
}
