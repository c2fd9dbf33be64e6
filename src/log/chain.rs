//! What makes segments one log, whoever reads them: headers that fit, and frames that follow one another, from the
//! first event to the end.

use std::ops::Range;
use std::path::PathBuf;

use super::disk::{DiskFile, Files};
use super::error::Context;
use super::files::SEGMENT_BYTES_MAX;
use super::recovery::{self, Scan, Tail};
use super::segment::{self, BadHeader, Header, LogId};
use super::{LogError, Progress, Visitor};
use crate::domain::Position;

/// Follows a log from segment to segment.
pub(super) struct Chain<F> {
    files: F,
    /// None before the first header.
    pub(super) id: Option<LogId>,
    /// The position after the last event.
    pub(super) next: Position,
}

/// The segments in a directory, oldest first.
pub(super) fn segments(files: &impl Files) -> Result<Vec<Position>, LogError> {
    let names = files.list().doing("list", || files.path(""))?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| segment::first_in_name(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The length of these segments' files.
pub(super) fn bytes_total(files: &impl Files, segments: &[Position]) -> Result<u64, LogError> {
    segments.iter().try_fold(0, |total, &first| {
        let name = segment::file_name(first);
        let file = files.open_to_read(&name).doing("open", || files.path(&name))?;
        Ok(total + file.bytes().doing("measure", || files.path(&name))?)
    })
}

/// Reads a whole segment; of a file that is longer than any segment, a byte too many.
pub(super) fn read(
    file: &impl DiskFile,
    path: impl Copy + FnOnce() -> PathBuf,
    bytes: &mut Vec<u8>,
) -> Result<(), LogError> {
    let len = file.bytes().doing("measure", path)?.min(SEGMENT_BYTES_MAX + 1);
    bytes.resize(usize::try_from(len).expect("a segment fits memory"), 0);
    file.read_at(bytes, 0).doing("read", path)
}

impl<F: Files> Chain<F> {
    /// One that begins with the segment of this first event.
    pub(super) fn beginning_at(files: F, first: Position) -> Self {
        Self { files, id: None, next: first }
    }

    /// Goes on to the next segment: its length and its header must be right.
    pub(super) fn begin(&mut self, first: Position, bytes: &[u8]) -> Result<(), LogError> {
        if bytes.len() as u64 > SEGMENT_BYTES_MAX {
            return Err(self.damaged(first, SEGMENT_BYTES_MAX, "longer than any segment", None));
        }
        self.check_header(first, bytes)
    }

    fn check_header(&mut self, first: Position, bytes: &[u8]) -> Result<(), LogError> {
        let path = || self.files.path(&segment::file_name(first));
        let unknown = |offset, what| LogError::UnknownVersion { file: path(), offset, what };
        let header = match Header::decode(bytes) {
            Ok(header) => header,
            Err(BadHeader::Damaged) => return Err(self.damaged(first, 0, "no sound segment header", None)),
            Err(BadHeader::UnknownVersion(version)) => {
                return Err(unknown(12, format!("version, {version}")));
            }
            Err(BadHeader::UnknownCodec) => return Err(unknown(40, "codec".to_owned())),
        };
        if header.first != first {
            let what = format!("the header says that the segment begins at event {}", header.first);
            return Err(self.damaged(first, 0, &what, None));
        }
        if first != self.next {
            let what = format!("the segment begins at event {first}");
            return Err(self.damaged(first, 0, &what, Some(first)));
        }
        if *self.id.get_or_insert(header.log) != header.log {
            return Err(self.damaged(first, 0, "the segment is of another log", None));
        }
        Ok(())
    }

    /// Shows the frames from `start` on to the visitor. They must go up to the position `until`, where the next
    /// segment begins; in the last segment, as far as they are sound.
    pub(super) fn scan(
        &mut self,
        first: Position,
        bytes: &[u8],
        start: usize,
        until: Option<Position>,
        progress: &Progress,
        visit: &mut Visitor<'_>,
    ) -> Result<Scan, LogError> {
        let scanned = recovery::scan(bytes, start, self.log_id(), self.next, until, |frame| {
            visit(frame)?;
            progress.add(u64::from(frame.count), frame.bytes as u64);
            Ok(())
        });
        let scan = scanned.map_err(|bad| {
            let file = self.files.path(&segment::file_name(first));
            LogError::undecodable(file, bad.offset as u64, &bad.cause, (bad.first, bad.end))
        })?;
        self.next = scan.next;
        match until {
            // What stands behind the last frame of a sealed segment is never looked at.
            Some(until) if until != scan.next => {
                let what = format!("no sound frame, and the next segment begins at event {until}");
                Err(self.damaged(first, scan.end as u64, &what, Some(until)))
            }
            Some(_) | None => Ok(scan),
        }
    }

    /// What a torn write left behind the end of the last segment, if there is something.
    pub(super) fn torn(
        &self,
        first: Position,
        bytes: &[u8],
        end: usize,
    ) -> Result<Option<Range<usize>>, LogError> {
        match recovery::judge_tail(bytes, end, self.log_id(), self.next) {
            Tail::Clean => Ok(None),
            Tail::Torn(range) => Ok(Some(range)),
            Tail::Damaged(until) => {
                Err(self.damaged(first, end as u64, "a broken frame before a sound one", Some(until)))
            }
        }
    }

    fn log_id(&self) -> LogId {
        self.id.expect("a header comes before its frames")
    }

    fn damaged(&self, first: Position, offset: u64, what: &str, until: Option<Position>) -> LogError {
        let file = self.files.path(&segment::file_name(first));
        LogError::Damaged { file, offset, what: what.to_owned(), from: self.next, until }
    }
}
