//! The log in a directory: segments one after the other, the next one made ready ahead of need.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::chain::{self, Chain};
use super::disk::{Disk, DiskFile, free_name, remove_if_there};
use super::error::Context;
use super::frame::FRAME_BYTES_MAX;
use super::read_ahead::{ReadAhead, ReadSegment};
use super::recovery::Scan;
use super::segment::{self, HEADER_BYTES, Header, LogId};
use super::spare::{SPARE, SPARE_LARGE, Spare};
use super::{AppendError, EventLog, Frame, LogError, LogMetrics, Progress, Visitor};
use crate::domain::Position;

/// The length of a segment, bytes, unless it is told otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// The least length of a segment.
pub const SEGMENT_BYTES_MIN: u64 = 65_536;
/// The greatest length of a segment.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// A sync that takes longer is said out loud: writers wait for it.
const SLOW_SYNC: Duration = Duration::from_millis(250);

const _: () =
    assert!(HEADER_BYTES + FRAME_BYTES_MAX <= 1024 * 1024 * 1024, "a frame fits a segment of its own");

/// A log in a directory.
pub struct FileLog<D: Disk> {
    disk: D,
    segment_bytes: u64,
    id: LogId,
    next: Position,
    active: Option<Active<D::File>>,
    spare: Spare<D>,
    metrics: LogMetrics,
}

/// The segment that frames are added to.
struct Active<F> {
    name: String,
    file: F,
    end: u64,
    bytes: u64,
}

impl<D: Disk> FileLog<D> {
    /// The log in this directory, with new segments of this length. Nothing is read or changed before the replay.
    #[must_use]
    pub fn new(disk: D, segment_bytes: u64) -> Self {
        Self {
            spare: Spare::new(disk.clone(), segment_bytes),
            disk,
            segment_bytes,
            id: LogId::random(),
            next: Position(1),
            active: None,
            metrics: LogMetrics::default(),
        }
    }

    /// **Invariant:** sync before believing. After `kill -9` the page cache shows frames, and the directory names,
    /// that were never made durable.
    fn sync_what_is_there(&self, segments: &[Position]) -> Result<(), LogError> {
        self.disk.sync().doing("sync", || self.disk.path(""))?;
        let Some(&last) = segments.last() else { return Ok(()) };
        let name = segment::file_name(last);
        let file = self.disk.open(&name).doing("open", || self.disk.path(&name))?;
        file.sync().doing("sync", || self.disk.path(&name))
    }

    /// Makes the last segment ready to be added to: a torn end is cut off, what was read is durable.
    fn reopen(
        &self,
        name: String,
        file: D::File,
        bytes: &[u8],
        scan: &Scan,
        torn: Option<Range<usize>>,
    ) -> Result<Active<D::File>, LogError> {
        let path = || self.disk.path(&name);
        if let Some(range) = torn {
            let torn = &bytes[range];
            tracing::warn!(
                file = %path().display(), offset = scan.end, bytes = torn.len(),
                "cutting off a torn write; it was never answered"
            );
            self.keep_copy(&name, scan.end, torn)?;
            file.write_at(&vec![0; torn.len()], scan.end as u64).doing("cut", path)?;
        }
        // After a failed sync the page cache may hold, marked clean, what the disk does not. Only the last frame
        // can be such; written again, it is made durable whatever came before.
        if let Some(last) = &scan.last {
            file.write_at(&bytes[last.clone()], last.start as u64).doing("write", path)?;
        }
        file.sync().doing("sync", path)?;
        Ok(Active { file, end: scan.end as u64, bytes: bytes.len() as u64, name })
    }

    /// Nothing in a torn write was acknowledged: the copy is for people to look at, and may be done without.
    fn keep_copy(&self, name: &str, offset: usize, torn: &[u8]) -> Result<(), LogError> {
        let copy = free_name(&self.disk, &format!("{name}.torn-{offset}"))?;
        let written = self.disk.create(&copy).and_then(|file| {
            file.write_at(torn, 0)?;
            file.sync()?;
            self.disk.sync()
        });
        match written.doing("write", || self.disk.path(&copy)) {
            Err(error) if error.is_no_room() => {
                tracing::warn!(%error, "kept no copy of the torn write");
                remove_if_there(&self.disk, &copy)
            }
            other => other,
        }
    }

    /// Puts an empty segment for the next frame in place, durably.
    fn rotate(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
        let name = segment::file_name(self.next);
        let needed = HEADER_BYTES as u64 + frame_bytes;
        let (spare_name, bytes, spare) = if needed > self.segment_bytes {
            (SPARE_LARGE, needed, self.spare.large(needed))
        } else {
            (SPARE, self.segment_bytes, self.spare.take())
        };
        let file = spare.map_err(refuse_if_no_room)?;
        let header = Header { log: self.id, first: self.next };
        let path = || self.disk.path(&name);
        file.write_at(&header.encode(), 0).doing("write", path).map_err(AppendError::Failed)?;
        file.sync().doing("sync", path).map_err(AppendError::Failed)?;
        self.disk.rename(spare_name, &name).doing("rename to", path).map_err(refuse_if_no_room)?;
        self.disk.sync().doing("sync the directory of", path).map_err(AppendError::Failed)?;
        self.spare.start();
        self.active = Some(Active { name, file, end: HEADER_BYTES as u64, bytes });
        self.metrics.add_segments(1, bytes);
        Ok(())
    }
}

/// Before the frame is written, want of room is a refusal; anything else is a failure.
fn refuse_if_no_room(error: LogError) -> AppendError {
    if error.is_no_room() { AppendError::NoRoom(error) } else { AppendError::Failed(error) }
}

impl<D: Disk> EventLog for FileLog<D> {
    fn replay(&mut self, progress: &Progress, visit: &mut Visitor<'_>) -> Result<(), LogError> {
        let segments = chain::segments(&self.disk)?;
        self.sync_what_is_there(&segments)?;
        let bytes_total = chain::bytes_total(&self.disk, &segments)?;
        progress.set_bytes_total(bytes_total);
        self.metrics.add_segments(segments.len(), bytes_total);

        let read_ahead = ReadAhead::start(self.disk.clone(), segments.clone(), self.spare.is_inline())?;
        let mut chain = Chain::beginning_at(self.disk.clone(), self.next);
        for (index, &first) in segments.iter().enumerate() {
            let name = segment::file_name(first);
            let ReadSegment { file, bytes } = read_ahead.next()?;
            chain.begin(first, &bytes)?;
            let until = segments.get(index + 1).copied();
            let scan = chain.scan(first, &bytes, HEADER_BYTES, until, progress, visit)?;
            if until.is_none() {
                let torn = chain.torn(first, &bytes, scan.end)?;
                self.active = Some(self.reopen(name, file, &bytes, &scan, torn)?);
            }
            read_ahead.give_back(bytes);
        }
        self.id = chain.id.unwrap_or(self.id);
        self.next = chain.next;
        remove_if_there(&self.disk, SPARE)?;
        remove_if_there(&self.disk, SPARE_LARGE)?;
        self.spare.start();
        Ok(())
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        assert_eq!(frame.first(), self.next, "frames follow one another");
        let frame_bytes = frame.sealed_bytes() as u64;
        if self.active.as_ref().is_none_or(|active| active.end + frame_bytes > active.bytes) {
            self.rotate(frame_bytes)?;
        }
        let active = self.active.as_mut().expect("rotated");
        let path = || self.disk.path(&active.name);
        let begun = Instant::now();
        active
            .file
            .write_at(frame.seal(self.id), active.end)
            .doing("write", path)
            .map_err(AppendError::Failed)?;
        let written = Instant::now();
        active.file.sync().doing("sync", path).map_err(AppendError::Failed)?;
        let synced = Instant::now();
        active.end += frame_bytes;
        self.next = frame.end();
        self.metrics.observe(written - begun, synced - written);
        if synced - written > SLOW_SYNC {
            let sync_ms = (synced - written).as_millis();
            tracing::warn!(sync_ms, bytes = frame_bytes, "a sync of the log was slow");
        }
        Ok(())
    }

    fn metrics(&self) -> LogMetrics {
        self.metrics.clone()
    }
}

#[cfg(test)]
impl<D: Disk> FileLog<D> {
    /// Does what it is asked in one order, the same every time: without a thread, and with an id that is given.
    pub(super) fn reproducible(disk: D, segment_bytes: u64, id: LogId) -> Self {
        let spare = Spare::inline(disk.clone(), segment_bytes);
        Self { id, spare, ..Self::new(disk, segment_bytes) }
    }

    /// Waits until the next segment is ready, so that what a test sees does not depend on the time.
    pub(super) fn prepared(&mut self) {
        self.spare.prepared();
    }
}
