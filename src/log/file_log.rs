//! The log in a directory of segments. The next segment is prepared before it is needed.

use std::fmt::Display;
use std::iter::Peekable;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use super::chain::{self, Chain};
use super::disk::{Disk, DiskFile, keep_copy, remove_if_there};
use super::error::Context;
use super::frame::FrameHeader;
use super::read_ahead::{ReadAhead, ReadSegment};
use super::scrub;
use super::segment::{self, HEADER_BYTES, Header, LogId, Version};
use super::spare::{SPARE, SPARE_LARGE, Spare};
use super::stream::marker;
use super::{
    AppendError, EventLog, Frame, LogError, LogMetrics, Pace, PacedDisk, Progress, Replay, Scrub, SealedFrame,
};
use crate::domain::{Epoch, Position};

/// A sync that takes longer is logged, since all writers wait for it.
const SLOW_SYNC: Duration = Duration::from_millis(250);

/// A log in a directory.
pub struct FileLog<D: Disk> {
    disk: D,
    id: LogId,
    epoch: Epoch,
    /// The position of the next event; 0, at which no frame begins, until the log has been replayed.
    next: Position,
    active: Option<Active<D::File>>,
    spare: Spare<D>,
    /// Length of all segments.
    segments_bytes: u64,
    metrics: LogMetrics,
}

/// The segment that frames are appended to.
struct Active<F> {
    name: String,
    file: F,
    end: u64,
    bytes: u64,
}

impl<D: Disk> FileLog<D> {
    /// Creates a log in this directory, whose new segments get at most this length. The directory is not read
    /// or changed before the replay.
    #[must_use]
    pub fn new(disk: D, segment_bytes_max: u64) -> Self {
        Self {
            spare: Spare::new(disk.clone(), segment_bytes_max),
            metrics: LogMetrics::of_dir(disk.path("")),
            disk,
            id: LogId::random(),
            epoch: segment::random_epoch(),
            next: Position(0),
            active: None,
            segments_bytes: 0,
        }
    }

    /// **Invariant:** sync before believing. After `kill -9`, the page cache may show frames, and the
    /// directory may show names, that were never made durable.
    fn sync_last_segment(&self, segments: &[Position]) -> Result<(), LogError> {
        self.disk.sync().doing("sync", || self.disk.path(""))?;
        let Some(&last) = segments.last() else { return Ok(()) };
        let name = segment::file_name(last);
        let file = self.disk.open(&name).doing("open", || self.disk.path(&name))?;
        file.sync().doing("sync", || self.disk.path(&name))
    }

    /// Makes the last segment ready for appends: cuts off a torn write, and makes all its frames durable.
    fn reopen(&self, name: String, file: D::File, chain: &Chain<D>) -> Result<Active<D::File>, LogError> {
        let (bytes, end) = (chain.bytes(), chain.end());
        let path = || self.disk.path(&name);
        let is_copy = marker::is_copy(&self.disk)?;
        if let Some(range) = chain.torn(is_copy)? {
            let torn = &bytes[range];
            let what = if is_copy {
                "cutting off the end of a copy; it is read from the stream again"
            } else {
                "cutting off a torn write; it was never acknowledged"
            };
            tracing::warn!(file = %path().display(), offset = end, bytes = torn.len(), "{what}");
            self.keep_torn(&name, end, torn)?;
            file.write_at(&vec![0; torn.len()], end as u64).doing("cut", path)?;
        }
        // After a failed sync, the page cache may hold bytes that are marked as clean but are not on the
        // disk. Only what was written last can be affected, so it is written again before the sync.
        let written_last = if is_copy { Some(chain.frames()) } else { chain.last_frame() };
        if let Some(Range { start, end }) = written_last {
            file.write_at(&bytes[start..end], start as u64).doing("write", path)?;
        }
        file.sync().doing("sync", path)?;
        Ok(Active { file, end: end as u64, bytes: bytes.len() as u64, name })
    }

    /// Keeps a copy of a torn write for people to look at. Nothing in it was acknowledged, so a full disk,
    /// which has no room for a copy, is not an error.
    fn keep_torn(&self, name: &str, offset: usize, torn: &[u8]) -> Result<(), LogError> {
        match keep_copy(&self.disk, &format!("{name}.torn-{offset}"), torn) {
            Ok(copy) => self.disk.sync().doing("sync", || self.disk.path(&copy)),
            Err(error) if error.is_no_room() => {
                tracing::warn!(%error, "kept no copy of the torn write");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the last segment of a copy if it is shorter than a header. It holds no frame, and what it held is read
    /// from the stream again.
    fn remove_last_without_header(&self, segments: &mut Vec<Position>) -> Result<(), LogError> {
        let Some(&last) = segments.last() else { return Ok(()) };
        if !marker::is_copy(&self.disk)? {
            return Ok(());
        }
        let (name, mut bytes) = (segment::file_name(last), Vec::new());
        let path = || self.disk.path(&name);
        let file = self.disk.open(&name).doing("open", path)?;
        if file.bytes().doing("measure", path)? >= HEADER_BYTES as u64 {
            return Ok(());
        }
        chain::read(&file, path, &mut bytes)?;
        tracing::warn!(
            file = %path().display(),
            bytes = bytes.len(),
            "removing a segment of a copy that has no whole header; it is read from the stream again"
        );
        self.keep_torn(&name, 0, &bytes)?;
        remove_if_there(&self.disk, &name)?;
        self.disk.sync().doing("sync", || self.disk.path(""))?;
        segments.pop();
        Ok(())
    }

    /// Makes an empty segment with room for a frame of this length the active one, durably.
    fn rotate(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
        let name = segment::file_name(self.next);
        let needed = HEADER_BYTES as u64 + frame_bytes;
        let (spare_name, bytes, spare) = if needed > self.spare.bytes() {
            (SPARE_LARGE, needed, self.spare.large(needed))
        } else {
            (SPARE, self.spare.bytes(), self.spare.take())
        };
        let file = spare.map_err(refuse_if_no_room)?;
        let header = Header::new(self.id, self.next);
        let path = || self.disk.path(&name);
        file.write_at(&header.encode(), 0).doing("write", path).map_err(AppendError::Failed)?;
        file.sync().doing("sync", path).map_err(AppendError::Failed)?;
        self.disk.rename(spare_name, &name).doing("rename to", path).map_err(refuse_if_no_room)?;
        self.disk.sync().doing("sync the directory of", path).map_err(AppendError::Failed)?;
        self.segments_bytes += bytes;
        self.spare.start(self.segments_bytes);
        self.active = Some(Active { name, file, end: HEADER_BYTES as u64, bytes });
        self.metrics.add_segments(1, bytes);
        Ok(())
    }

    /// Makes a segment the active one that has room for a frame of this length.
    fn make_room(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
        let start = self.fitting_offset(frame_bytes);
        self.check_length(start, frame_bytes).map_err(refuse_if_no_room)?;
        match start {
            Some(_) => Ok(()),
            None => self.rotate(frame_bytes),
        }
    }

    /// Writes a sealed frame for which there is room, durably.
    fn write(&mut self, frame: &[u8]) -> Result<(), AppendError> {
        let active = self.active.as_mut().expect("rotated");
        let path = || self.disk.path(&active.name);
        let started = Instant::now();
        active.file.write_at(frame, active.end).doing("write", path).map_err(AppendError::Failed)?;
        let written = Instant::now();
        active.file.sync().doing("sync", path).map_err(AppendError::Failed)?;
        let synced = Instant::now();
        // Nobody would find the frame in a file that has lost its name.
        if !self.disk.is_named(&active.name, &active.file).doing("find", path).map_err(AppendError::Failed)? {
            return Err(AppendError::Failed(LogError::Vanished { file: path() }));
        }
        let frame_bytes = frame.len() as u64;
        active.end += frame_bytes;
        self.metrics.add_used(frame_bytes);
        self.metrics.observe(written - started, synced - written);
        if synced - written > SLOW_SYNC {
            let sync_ms = u64::try_from((synced - written).as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(sync_ms, bytes = frame_bytes, "a sync of the log was slow");
        }
        Ok(())
    }

    /// Appends frames that were sealed for this log elsewhere, durably. `bytes` holds them one after another. Those that
    /// fit into a segment are written together, and a crash may tear any of them, so the log must be a
    /// [copy](marker::is_copy).
    pub(super) fn append_sealed(
        &mut self,
        mut headers: &[FrameHeader],
        mut bytes: &[u8],
    ) -> Result<(), AppendError> {
        while let Some(first) = headers.first() {
            assert_eq!(first.first, self.next, "frames follow one another, after the replay");
            self.make_room(first.sealed_bytes() as u64)?;
            let (count, together) = self.fitting(headers);
            self.check_length(self.fitting_offset(0), together as u64).map_err(refuse_if_no_room)?;
            self.write(&bytes[..together])?;
            self.next = headers[count - 1].end();
            (headers, bytes) = (&headers[count..], &bytes[together..]);
        }
        Ok(())
    }

    /// Returns how many of these frames fit into the active segment, and their length.
    fn fitting(&self, headers: &[FrameHeader]) -> (usize, usize) {
        let ends = headers.iter().scan(0, |end, header| {
            *end += header.sealed_bytes();
            Some(*end)
        });
        let fits = |end: &usize| self.fitting_offset(*end as u64).is_some();
        (1..).zip(ends.take_while(fits)).last().unwrap_or((0, 0))
    }

    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    /// Returns whether everything is done in the caller's thread.
    pub(super) fn is_inline(&self) -> bool {
        self.spare.is_inline()
    }

    /// Makes an empty log the one with this id, whose frames have this epoch.
    pub(super) fn adopt(&mut self, id: LogId, epoch: Epoch) {
        (self.id, self.epoch) = (id, epoch);
    }

    /// Returns the offset in the active segment at which a frame of this length fits.
    fn fitting_offset(&self, frame_bytes: u64) -> Option<u64> {
        let fits = |active: &&Active<D::File>| active.end + frame_bytes <= active.bytes;
        self.active.as_ref().filter(fits).map(|active| active.end)
    }

    /// Checks that a frame may be written at this offset. A write that reaches the limit on a file's length
    /// leaves a part of the frame behind.
    fn check_length(&self, start: Option<u64>, frame_bytes: u64) -> Result<(), LogError> {
        let end = start.unwrap_or(HEADER_BYTES as u64) + frame_bytes;
        self.disk.check_length(end).doing("write in", || self.disk.path(""))
    }
}

/// Before the frame is written, a full disk is a refusal; every other error is a failure.
fn refuse_if_no_room(error: LogError) -> AppendError {
    if error.is_no_room() { AppendError::NoRoom(error) } else { AppendError::Failed(error) }
}

impl<D: Disk> EventLog for FileLog<D> {
    fn replay<'l>(&'l mut self, progress: &'l Progress) -> Result<Box<dyn Replay + 'l>, LogError> {
        scrub::remove_unfinished(&self.disk)?;
        let mut segments = chain::segments(&self.disk)?;
        self.sync_last_segment(&segments)?;
        self.remove_last_without_header(&mut segments)?;
        let bytes_total = chain::bytes_total(&self.disk, &segments)?;
        progress.set_bytes_total(bytes_total);
        self.metrics.add_segments(segments.len(), bytes_total);
        self.segments_bytes = bytes_total;
        Ok(Box::new(FileReplay {
            chain: Chain::beginning_at(self.disk.clone(), Position(1)),
            read_ahead: ReadAhead::start(self.disk.clone(), segments.clone(), self.spare.is_inline())?,
            segments: segments.into_iter().peekable(),
            last: None,
            is_finished: false,
            log: self,
            progress,
        }))
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        assert_eq!(frame.first(), self.next, "frames follow one another, after the replay");
        self.make_room(frame.sealed_bytes() as u64)?;
        self.write(frame.seal(self.id, self.epoch))?;
        self.next = frame.end();
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), LogError> {
        // One without a frame would get the name of the next one.
        self.active.take_if(|active| active.end > HEADER_BYTES as u64);
        Ok(())
    }

    fn to_scrub(&self, pace: Arc<Pace>) -> Option<Box<dyn Scrub>> {
        Some(Box::new(PacedDisk::new(self.disk.clone(), pace)))
    }

    fn look_for_room(&mut self, frame_bytes: usize) -> Option<Result<(), LogError>> {
        let frame_bytes = frame_bytes as u64;
        let (start, needed) = (self.fitting_offset(frame_bytes), HEADER_BYTES as u64 + frame_bytes);
        let looked = match (self.check_length(start, frame_bytes), start) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(_)) => Ok(()),
            (Ok(()), None) if needed <= self.spare.bytes() => return self.spare.look_for_room(),
            // It is not kept, because the next frame may be a short one.
            (Ok(()), None) => self.spare.large(needed).and_then(|_| remove_if_there(&self.disk, SPARE_LARGE)),
        };
        Some(looked.or_else(|error| if error.is_no_room() { Err(error) } else { Ok(()) }))
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn id(&self) -> LogId {
        self.id
    }

    fn metrics(&self) -> LogMetrics {
        self.metrics.clone()
    }
}

struct FileReplay<'l, D: Disk> {
    log: &'l mut FileLog<D>,
    progress: &'l Progress,
    read_ahead: ReadAhead<D::File>,
    /// The segments that follow the current one.
    segments: Peekable<vec::IntoIter<Position>>,
    chain: Chain<D>,
    /// The current segment's name and file.
    last: Option<(String, D::File)>,
    is_finished: bool,
}

impl<D: Disk> Replay for FileReplay<'_, D> {
    fn next_frame(&mut self) -> Result<Option<SealedFrame<'_>>, LogError> {
        while !self.chain.advance(self.progress)? {
            let Some(first) = self.segments.next() else {
                self.finish()?;
                return Ok(None);
            };
            self.begin_segment(first)?;
        }
        Ok(Some(self.chain.frame()))
    }

    fn damaged(&self, cause: &dyn Display) -> LogError {
        self.chain.unusable(cause)
    }
}

impl<D: Disk> FileReplay<'_, D> {
    fn begin_segment(&mut self, first: Position) -> Result<(), LogError> {
        // The thread reads on as soon as its segment is received, so it must have the buffer before that.
        self.read_ahead.give_back(self.chain.take_buffer());
        let ReadSegment { file, bytes } = self.read_ahead.next()?;
        self.chain.begin(first, bytes, self.segments.peek().copied())?;
        if !self.chain.header_is_whole() {
            let file = self.chain.path();
            tracing::warn!(file = %file.display(), "one copy of a segment header is damaged; `log repair` mends it");
        }
        self.last = Some((segment::file_name(first), file));
        Ok(())
    }

    /// Makes the log ready for [`append`](EventLog::append).
    fn finish(&mut self) -> Result<(), LogError> {
        if self.is_finished {
            return Ok(());
        }
        if let Some((name, file)) = self.last.take() {
            let active = self.log.reopen(name, file, &self.chain)?;
            // All frames of a segment have its version. So after an older segment, the next frame begins a
            // new one.
            self.log.active = Some(active).filter(|_| self.chain.header().format.version == Version::Two);
        }
        remove_if_there(&self.log.disk, SPARE)?;
        remove_if_there(&self.log.disk, SPARE_LARGE)?;
        self.log.spare.start(self.log.segments_bytes);
        self.log.metrics.add_used(self.progress.bytes());
        self.log.id = self.chain.id().unwrap_or(self.log.id);
        self.log.next = self.chain.next();
        self.is_finished = true;
        Ok(())
    }
}

#[cfg(test)]
impl<D: Disk> FileLog<D> {
    /// Creates a log that makes the same calls in the same order every time: without threads, and with this
    /// id.
    pub(super) fn reproducible(disk: D, segment_bytes_max: u64, id: LogId) -> Self {
        let spare = Spare::inline(disk.clone(), segment_bytes_max);
        Self { id, epoch: Epoch(7), spare, ..Self::new(disk, segment_bytes_max) }
    }

    /// Waits until the next segment is prepared, so that what a test sees does not depend on time.
    pub(super) fn wait_for_spare(&mut self) {
        self.spare.wait();
    }
}
