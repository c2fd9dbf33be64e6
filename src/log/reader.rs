//! Reading a log that a server may be writing meanwhile: nothing is locked, synced or changed.
//!
//! What is read is a prefix of the log that holds every event acknowledged before the reader was made. One segment
//! is in memory at a time.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::chain::{self, Chain};
use super::disk::{DirToRead, DiskFile, Files};
use super::error::Context;
use super::segment::{self, HEADER_BYTES};
use super::{LogError, Progress, SealedFrame, Visitor};
use crate::domain::Position;

/// Reads the log in a directory.
pub struct LogReader<F: Files> {
    files: F,
    segments: Vec<Position>,
    /// The first event of the first of them.
    begin: Position,
}

/// What a log holds, from where it was read on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Segments.
    pub segments: u64,
    /// Frames.
    pub frames: u64,
    /// Events.
    pub events: u64,
    /// Bytes of segment headers and frames.
    pub bytes: u64,
    /// The position of the last event; 0 if there is none.
    pub last: Position,
    /// What stands behind the last frame: a write that a crash tore, or one that is under way.
    pub torn: Option<Torn>,
}

/// A write that is not whole. It was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// In which segment.
    pub file: PathBuf,
    /// Where in it.
    pub at: Range<u64>,
}

impl LogReader<DirToRead> {
    /// Reads the log in this directory.
    ///
    /// # Errors
    ///
    /// [`LogError::Directory`] where it is missing, no directory, or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        Self::new(DirToRead::open(dir)?)
    }
}

impl<F: Files> LogReader<F> {
    /// Reads the log among these files.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub fn new(files: F) -> Result<Self, LogError> {
        // A large directory is not listed at one instant: of two segments made meanwhile, the later one alone may be
        // seen. Segments are made in order, so a second list has all up to the last of the first.
        let seen = chain::segments(&files)?;
        let mut segments = chain::segments(&files)?;
        segments.retain(|segment| Some(segment) <= seen.last());
        Ok(Self { files, segments, begin: Position(1) })
    }

    /// Leaves out the segments that hold nothing from this position on; they are not checked either.
    #[must_use]
    pub fn starting_at(mut self, position: Position) -> Self {
        let later = self.segments.partition_point(|&first| first <= position);
        if let Some(at) = later.checked_sub(1) {
            self.begin = self.segments[at];
            self.segments.drain(..at);
        }
        self
    }

    /// The length of the segments' files.
    ///
    /// # Errors
    ///
    /// One of them cannot be opened.
    pub fn bytes_total(&self) -> Result<u64, LogError> {
        chain::bytes_total(&self.files, &self.segments)
    }

    /// Shows every frame to the visitor.
    ///
    /// # Errors
    ///
    /// The log cannot be read, is damaged or of an unknown version, or the visitor could not decode a frame.
    pub fn walk(&self, progress: &Progress, visit: &mut Visitor<'_>) -> Result<Contents, LogError> {
        let mut chain = Chain::beginning_at(self.files.clone(), self.begin);
        let mut contents = Contents::default();
        let mut visit = |frame: &SealedFrame<'_>| {
            visit(frame)?;
            contents.frames += 1;
            contents.events += u64::from(frame.count);
            contents.bytes += frame.bytes as u64;
            Ok(())
        };
        let mut torn = None;
        let mut bytes = Vec::new();
        for (index, &first) in self.segments.iter().enumerate() {
            let name = segment::file_name(first);
            let file = self.files.open_to_read(&name).doing("open", || self.files.path(&name))?;
            chain::read(&file, || self.files.path(&name), &mut bytes)?;
            chain.begin(first, &bytes)?;
            match self.segments.get(index + 1) {
                Some(&until) => {
                    chain.scan(first, &bytes, HEADER_BYTES, Some(until), progress, &mut visit)?;
                }
                None => {
                    torn = self.walk_last(&mut chain, (first, &file), &mut bytes, progress, &mut visit)?;
                }
            }
        }
        let headers = self.segments.len() as u64;
        contents.segments = headers;
        contents.bytes += headers * HEADER_BYTES as u64;
        contents.last = Position(chain.next.0 - 1);
        contents.torn = torn;
        Ok(contents)
    }

    /// A server may be writing the last segment, and a file is not read at one instant: the bytes of a frame may have
    /// been read before it was written, and those of later ones after.
    ///
    /// **Invariant:** frames are written one at a time. So a frame with a sound one behind it was whole when that was
    /// read. If it is broken when read once more, it is damaged.
    fn walk_last(
        &self,
        chain: &mut Chain<F>,
        (first, file): (Position, &F::File),
        bytes: &mut [u8],
        progress: &Progress,
        visit: &mut Visitor<'_>,
    ) -> Result<Option<Torn>, LogError> {
        let path = || self.files.path(&segment::file_name(first));
        let mut start = HEADER_BYTES;
        let mut read_again_from = None;
        loop {
            let end = chain.scan(first, bytes, start, None, progress, visit)?.end;
            match chain.torn(first, bytes, end) {
                Ok(torn) => {
                    let at = |range: Range<usize>| range.start as u64..range.end as u64;
                    return Ok(torn.map(|range| Torn { file: path(), at: at(range) }));
                }
                Err(damage) if read_again_from == Some(end) => return Err(damage),
                Err(_) => {
                    file.read_at(&mut bytes[end..], end as u64).doing("read", path)?;
                    (start, read_again_from) = (end, Some(end));
                }
            }
        }
    }
}
