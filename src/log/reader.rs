//! Reads a log that a server may be writing at the same time. Nothing is locked, synced or changed.
//!
//! A reader sees a prefix of the log that holds every event acknowledged before the reader was created. It
//! keeps one segment in memory at a time.

use std::fmt::Display;
use std::iter::Peekable;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::slice;

use super::chain::{self, Chain};
use super::disk::{DiskFile, ReadDisk, ReadOnlyDisk};
use super::error::Context;
use super::segment::{self, LogId};
use super::stream::marker;
use super::{LogError, Progress, Replay, SealedFrame};
use crate::domain::Position;

/// Reads the log in a directory.
pub struct LogReader<D: ReadDisk> {
    disk: D,
    segments: Vec<Position>,
    /// The first event of the first segment.
    begin: Position,
}

/// The contents of a log, as far as a walk has read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of segments.
    pub segments: u64,
    /// Number of frames.
    pub frames: u64,
    /// Number of events.
    pub events: u64,
    /// Bytes of segment headers and frames.
    pub bytes: u64,
    /// The position of the last event; 0 if there is no event.
    pub last: Position,
    /// The segments of which one copy of the header is damaged.
    pub damaged_headers: Vec<PathBuf>,
    /// The incomplete write behind the last frame: torn by a crash, or still under way.
    pub torn: Option<TornWrite>,
}

/// A write that is not complete. It was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornWrite {
    /// The segment's file.
    pub file: PathBuf,
    /// The bytes of that file that are not zero.
    pub at: Range<u64>,
}

impl LogReader<ReadOnlyDisk> {
    /// Creates a reader of the log in this directory.
    ///
    /// # Errors
    ///
    /// [`LogError::Directory`] if the directory is missing, is not a directory, or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        Self::new(ReadOnlyDisk::open(dir)?)
    }
}

impl<D: ReadDisk> LogReader<D> {
    /// Creates a reader of the log on this disk.
    ///
    /// # Errors
    ///
    /// The files cannot be listed.
    pub fn new(disk: D) -> Result<Self, LogError> {
        // Listing a large directory takes time. If two segments are created meanwhile, the list may hold only
        // the later one. Segments are created in order, so a second list holds every segment up to the last
        // one of the first list.
        let seen = chain::segments(&disk)?;
        let mut segments = chain::segments(&disk)?;
        segments.retain(|segment| Some(segment) <= seen.last());
        Ok(Self { disk, segments, begin: Position(1) })
    }

    /// Leaves out the segments that hold only events before this position. They are not checked either.
    #[must_use]
    pub fn starting_at(mut self, position: Position) -> Self {
        let later = self.segments.partition_point(|&first| first <= position);
        if let Some(at) = later.checked_sub(1) {
            self.begin = self.segments[at];
            self.segments.drain(..at);
        }
        self
    }

    /// Returns the log's id, or `None` if the log is empty.
    ///
    /// # Errors
    ///
    /// The first segment cannot be read, or is damaged.
    pub fn id(&self) -> Result<Option<LogId>, LogError> {
        let progress = Progress::default();
        let mut walk = self.walk(&progress);
        walk.next_frame()?;
        Ok(walk.log_id())
    }

    /// Returns the length of the segments' files.
    ///
    /// # Errors
    ///
    /// A file cannot be opened.
    pub fn bytes_total(&self) -> Result<u64, LogError> {
        chain::bytes_total(&self.disk, &self.segments)
    }

    /// Returns whether the directory holds no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Begins to read the log.
    pub fn walk<'r>(&'r self, progress: &'r Progress) -> Walk<'r, D> {
        Walk {
            disk: &self.disk,
            progress,
            segments: self.segments.iter().peekable(),
            chain: Chain::beginning_at(self.disk.clone(), self.begin),
            file: None,
            read_again_at: None,
            contents: Contents::default(),
        }
    }
}

/// A pass over the frames of a log that a server may be writing.
pub struct Walk<'r, D: ReadDisk> {
    disk: &'r D,
    progress: &'r Progress,
    /// The segments that follow the current one.
    segments: Peekable<slice::Iter<'r, Position>>,
    chain: Chain<D>,
    /// The current segment's file.
    file: Option<D::File>,
    /// The offset from which the last segment was read again.
    read_again_at: Option<usize>,
    contents: Contents,
}

impl<D: ReadDisk> Walk<'_, D> {
    /// Returns what was read: everything once [`next_frame`](Replay::next_frame) has returned `None`.
    #[must_use]
    pub fn into_contents(self) -> Contents {
        Contents { last: Position(self.chain.next().0 - 1), ..self.contents }
    }

    /// Returns the log's id, or `None` before the first frame.
    pub(super) fn log_id(&self) -> Option<LogId> {
        self.chain.id()
    }

    fn begin_segment(&mut self, first: Position) -> Result<(), LogError> {
        let name = segment::file_name(first);
        let path = || self.disk.path(&name);
        let file = self.disk.open_to_read(&name).doing("open", path)?;
        let mut bytes = self.chain.take_buffer();
        chain::read(&file, path, &mut bytes)?;
        self.chain.begin(first, bytes, self.segments.peek().map(|&&next| next))?;
        self.file = Some(file);
        self.contents.segments += 1;
        self.contents.bytes += self.chain.header().bytes() as u64;
        if !self.chain.header_is_whole() {
            self.contents.damaged_headers.push(self.chain.path());
        }
        Ok(())
    }

    /// Checks the bytes behind the frames of the last segment. Returns whether they were read again.
    ///
    /// A server may be writing the segment, and reading a file takes time: the bytes of a frame may have been
    /// read before the frame was written, and the bytes of later frames after they were written.
    ///
    /// **Invariant:** frames are written one at a time, or several with one write. So if a sound frame was read behind a broken one, the
    /// broken one was complete by then. If it is still broken when it is read again, it is damaged.
    fn read_again(&mut self) -> Result<bool, LogError> {
        let Some(file) = &self.file else { return Ok(false) };
        let end = self.chain.end();
        let was_read_again = self.read_again_at == Some(end);
        match self.chain.torn(was_read_again && marker::is_copy(self.disk)?) {
            Ok(torn) => {
                let at = |range: Range<usize>| range.start as u64..range.end as u64;
                self.contents.torn = torn.map(|range| TornWrite { file: self.chain.path(), at: at(range) });
                Ok(false)
            }
            Err(damage) if was_read_again => Err(damage),
            Err(_) => {
                let read = file.read_at(self.chain.bytes_behind(), end as u64);
                read.doing("read", || self.chain.path())?;
                self.read_again_at = Some(end);
                Ok(true)
            }
        }
    }
}

impl<D: ReadDisk> Replay for Walk<'_, D> {
    fn next_frame(&mut self) -> Result<Option<SealedFrame<'_>>, LogError> {
        while !self.chain.advance(self.progress)? {
            match self.segments.next() {
                Some(&first) => self.begin_segment(first)?,
                None if self.read_again()? => {}
                None => return Ok(None),
            }
        }
        let frame = self.chain.frame();
        self.contents.frames += 1;
        self.contents.events += u64::from(frame.count);
        self.contents.bytes += self.chain.last_frame().map_or(0, |at| at.len() as u64);
        Ok(Some(frame))
    }

    fn damaged(&self, cause: &dyn Display) -> LogError {
        self.chain.unusable(cause)
    }
}
