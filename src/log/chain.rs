//! Checks that segments are one log: their headers must fit together, and their frames must follow one
//! another from the first event to the end.

use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;

use super::disk::{DiskFile, ReadDisk};
use super::error::Context;
use super::frame::{FrameHeader, SealedFrame};
use super::recovery::{self, Scan, Tail};
use super::segment::{self, BadHeader, Header, LogId, SEGMENT_BYTES_MAX};
use super::{LogError, Progress};
use crate::domain::Position;

/// Follows a log from frame to frame, segment by segment.
pub(super) struct Chain<D> {
    disk: D,
    /// The header of the current segment; `None` before the first one.
    header: Option<Header>,
    /// The first event of the current segment.
    first: Position,
    /// The first event of the segment after the current one; `None` in the last segment.
    until: Option<Position>,
    /// The current segment.
    bytes: Vec<u8>,
    scan: Scan,
}

/// Returns the segments in a directory, oldest first.
pub(super) fn segments(disk: &impl ReadDisk) -> Result<Vec<Position>, LogError> {
    let names = disk.list().doing("list", || disk.path(""))?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| segment::first_in_name(name)).collect();
    segments.sort_unstable();
    // Without it, the log would end earlier, and the positions of its events would be given again.
    let is_missing = |name: &&String| {
        segment::first_in_changed_name(name).is_some_and(|first| segments.binary_search(&first).is_err())
    };
    match names.iter().find(is_missing) {
        Some(misnamed) => Err(LogError::Misnamed { file: disk.path(misnamed) }),
        None => Ok(segments),
    }
}

/// Returns the length of these segments' files.
pub(super) fn bytes_total(disk: &impl ReadDisk, segments: &[Position]) -> Result<u64, LogError> {
    segments.iter().try_fold(0, |total, &first| {
        let name = segment::file_name(first);
        let file = disk.open_to_read(&name).doing("open", || disk.path(&name))?;
        Ok(total + file.bytes().doing("measure", || disk.path(&name))?)
    })
}

/// Reads a whole segment into `bytes`. It reads at most one byte more than the longest segment has, so that
/// the caller notices a longer file.
pub(super) fn read(
    file: &impl DiskFile,
    path: impl Copy + FnOnce() -> PathBuf,
    bytes: &mut Vec<u8>,
) -> Result<(), LogError> {
    let len = file.bytes().doing("measure", path)?.min(SEGMENT_BYTES_MAX + 1);
    bytes.resize(usize::try_from(len).expect("a segment fits memory"), 0);
    file.read_at(bytes, 0).doing("read", path)
}

impl<D: ReadDisk> Chain<D> {
    /// Creates a chain whose first segment must begin with this event.
    pub(super) fn beginning_at(disk: D, first: Position) -> Self {
        let scan = Scan::starting_at(0, first);
        Self { disk, header: None, first, until: None, bytes: Vec::new(), scan }
    }

    /// Returns the buffer of the current segment, which is finished, so that the next one can be read into
    /// it.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.scan.end = 0;
        std::mem::take(&mut self.bytes)
    }

    /// Advances to the next segment, and checks its length and its header.
    pub(super) fn begin(
        &mut self,
        first: Position,
        bytes: Vec<u8>,
        until: Option<Position>,
    ) -> Result<(), LogError> {
        (self.first, self.bytes, self.until) = (first, bytes, until);
        if self.bytes.len() as u64 > SEGMENT_BYTES_MAX {
            return Err(self.damaged(SEGMENT_BYTES_MAX, "longer than any segment", None));
        }
        let header = self.check_header()?;
        self.header = Some(header);
        self.scan = Scan::starting_at(header.bytes(), self.scan.next);
        Ok(())
    }

    fn check_header(&self) -> Result<Header, LogError> {
        let unknown = |offset, what| LogError::UnknownVersion { file: self.path(), offset, what };
        let header = match Header::decode(&self.bytes) {
            Ok(header) => header,
            Err(BadHeader::Damaged) => {
                let what = "no sound segment header, which `chinwag log repair` may find without loss";
                return Err(self.damaged(0, what, None));
            }
            Err(BadHeader::UnknownVersion(version)) => {
                return Err(unknown(12, format!("version, {version}")));
            }
            Err(BadHeader::UnknownCodec) => return Err(unknown(40, "codec".to_owned())),
        };
        if header.first != self.first {
            let what = format!("the header says that the segment begins at event {}", header.first);
            return Err(self.damaged(0, &what, None));
        }
        if self.first != self.scan.next {
            let what = format!("the segment begins at event {}", self.first);
            let until = Some(self.first).filter(|first| *first > self.scan.next);
            return Err(self.damaged(0, &what, until));
        }
        if self.header.is_some_and(|before| before.format.log != header.format.log) {
            return Err(self.damaged(0, "the segment is of another log", None));
        }
        if self.bytes.len() < header.bytes() {
            return Err(self.damaged(self.bytes.len() as u64, "shorter than a segment header", None));
        }
        Ok(header)
    }

    /// Returns whether every copy of the current segment's header is sound. One sound copy is enough to read
    /// on.
    pub(super) fn header_is_whole(&self) -> bool {
        self.header().is_whole(&self.bytes)
    }

    /// Returns the header of the current segment.
    pub(super) fn header(&self) -> Header {
        self.header.expect("a segment was begun")
    }

    /// Advances to the next frame of the current segment. Returns `false` after the last one.
    ///
    /// A frame where the next segment begins, or behind that, belongs to another history than the next segment,
    /// which is then refused when it is [begun](Self::begin). Other bytes behind the last frame are checked only in
    /// the last segment.
    pub(super) fn advance(&mut self, progress: &Progress) -> Result<bool, LogError> {
        // Without a header, no segment was begun.
        let found = self.header.and_then(|header| self.scan.advance(&self.bytes, header.format));
        match (found, self.until) {
            (Some(frame), _) => {
                progress.add(frame.count, frame.sealed_bytes());
                Ok(true)
            }
            (None, Some(until)) if until > self.scan.next => {
                let what = format!("no sound frame, and the next segment begins at event {until}");
                Err(self.damaged(self.scan.end as u64, &what, Some(until)))
            }
            (None, _) => Ok(false),
        }
    }

    /// Returns the current frame, to which [`advance`](Self::advance) has come.
    pub(super) fn frame(&self) -> SealedFrame<'_> {
        let (offset, header) = self.last();
        header.frame(&self.bytes[offset..])
    }

    /// Returns the error for a current frame that cannot be used.
    pub(super) fn unusable(&self, cause: &dyn Display) -> LogError {
        let (offset, header) = self.last();
        LogError::unusable(self.path(), offset as u64, cause, header.first..header.end())
    }

    fn last(&self) -> (usize, FrameHeader) {
        self.scan.last.expect("`advance` returned `true`")
    }

    /// Returns the range of a torn write behind the frames of the last segment, or `None` if only zeros are
    /// there.
    ///
    /// **Invariant:** in a copy of a stream, what a crash tore is cut off, and read from the stream again. Frames are
    /// written several at a time there, so sound ones may be among them.
    pub(super) fn torn(&self, is_copy: bool) -> Result<Option<Range<usize>>, LogError> {
        let (format, end) = (self.header().format, self.scan.end);
        match recovery::classify_tail(&self.bytes, end, format, self.scan.next) {
            Tail::Clean => Ok(None),
            Tail::Torn(range) => Ok(Some(range)),
            Tail::Damaged { range, .. } if is_copy => Ok(Some(range)),
            Tail::Damaged { sound, .. } => {
                Err(self.damaged(end as u64, "a broken frame before a sound one", Some(sound)))
            }
        }
    }

    fn damaged(&self, offset: u64, what: &str, until: Option<Position>) -> LogError {
        LogError::Damaged { file: self.path(), offset, what: what.to_owned(), from: self.scan.next, until }
    }

    /// Returns the log's id, or `None` before the first header.
    pub(super) fn id(&self) -> Option<LogId> {
        self.header.map(|header| header.format.log)
    }

    /// Returns the position after the last event.
    pub(super) fn next(&self) -> Position {
        self.scan.next
    }

    /// Returns the range of the last frame of the current segment, or `None` if it had no frame.
    pub(super) fn last_frame(&self) -> Option<Range<usize>> {
        self.scan.last.map(|(offset, header)| offset..offset + header.sealed_bytes())
    }

    /// Returns the range of all frames of the current segment.
    pub(super) fn frames(&self) -> Range<usize> {
        self.header().bytes()..self.scan.end
    }

    /// Returns the offset at which the frames of the current segment end.
    pub(super) fn end(&self) -> usize {
        self.scan.end
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes behind the frames of the current segment, to be read again.
    pub(super) fn bytes_behind(&mut self) -> &mut [u8] {
        &mut self.bytes[self.scan.end..]
    }

    /// Returns the path of the current segment.
    pub(super) fn path(&self) -> PathBuf {
        self.disk.path(&segment::file_name(self.first))
    }
}
