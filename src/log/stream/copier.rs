//! The copier: it writes the frames that count to this server's disk, in a thread of its own. A quorum of the nodes has
//! them on disk already, so no answer waits for the copy until [`WAITING_BYTES_MAX`] are waiting, and frames that wait are
//! written together.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::StreamStatus;
use crate::log::frame::FrameHeader;
use crate::log::{AppendError, Disk, EventLog, FileLog, LogError};
use crate::thread::spawn;

/// Writes frames to a copy. When it is dropped, it writes those that wait.
pub(super) struct Copier<D: Disk> {
    queue: Arc<Queue>,
    place: Place<D>,
}

/// Where frames are written.
enum Place<D: Disk> {
    /// `None` once it has ended.
    Thread(Option<JoinHandle<Result<(), LogError>>>),
    /// In the caller's thread, for tests whose order must be reproducible.
    Here(Box<Target<D>>),
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    frames: SealedFrames,
    /// Whether the segment is to end after the frames that are being written.
    ends_segment: bool,
    /// Whether no more frames come.
    is_closed: bool,
}

/// Sealed frames that follow one another.
#[derive(Default)]
struct SealedFrames {
    headers: Vec<FrameHeader>,
    bytes: Vec<u8>,
}

/// Maximum bytes of frames that wait. The writer waits for the disk before it adds more.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Length at which frames are not gathered any longer.
const GATHERED_BYTES: usize = 4 * 1024 * 1024;
/// Time for which frames are gathered: each sync delays those of a node on the same disk.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// Time between two looks at a thread that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

impl<D: Disk> Copier<D> {
    /// Starts to copy to this log.
    pub(super) fn start(log: FileLog<D>, status: Arc<StreamStatus>) -> Result<Self, LogError> {
        let (queue, is_here) = (Arc::<Queue>::default(), log.is_inline());
        let mut target = Target { log, status };
        let place = if is_here {
            Place::Here(Box::new(target))
        } else {
            let queue = Arc::clone(&queue);
            let run = move || {
                while let Some(frames) = queue.gather() {
                    target.write(&frames)?;
                    queue.end_segment(&mut target.log)?;
                }
                Ok(())
            };
            Place::Thread(Some(spawn("copier", run)?))
        };
        Ok(Self { queue, place })
    }

    /// Copies a frame, now or soon.
    pub(super) fn copy(&mut self, header: FrameHeader, frame: &[u8]) -> Result<(), LogError> {
        /// Frames that are gathered in the caller's thread, so that a crash may tear several.
        const GATHERED_HERE: usize = 3;
        let mut waiting = self.queue.waiting.lock();
        while waiting.frames.bytes.len() >= WAITING_BYTES_MAX {
            self.place.check()?;
            self.queue.changed.wait_for(&mut waiting, LOOK_INTERVAL);
        }
        waiting.frames.headers.push(header);
        waiting.frames.bytes.extend_from_slice(frame);
        match &mut self.place {
            Place::Here(target) if waiting.frames.headers.len() >= GATHERED_HERE => {
                target.write(&std::mem::take(&mut waiting.frames))?;
            }
            Place::Here(_) | Place::Thread(_) => {}
        }
        drop(waiting);
        self.queue.changed.notify_all();
        self.check()
    }

    /// Ends the segment that is written, and waits until that is done.
    pub(super) fn end_segment(&mut self) -> Result<(), LogError> {
        let mut waiting = self.queue.waiting.lock();
        if let Place::Here(target) = &mut self.place {
            target.write(&std::mem::take(&mut waiting.frames))?;
            return target.log.end_segment();
        }
        waiting.ends_segment = true;
        self.queue.changed.notify_all();
        while waiting.ends_segment {
            self.place.check()?;
            self.queue.changed.wait_for(&mut waiting, LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Checks that nothing has failed so far.
    pub(super) fn check(&mut self) -> Result<(), LogError> {
        self.place.check()
    }
}

impl<D: Disk> Place<D> {
    fn check(&mut self) -> Result<(), LogError> {
        match self {
            Self::Thread(thread) if thread.as_ref().is_some_and(JoinHandle::is_finished) => join(thread),
            Self::Thread(_) | Self::Here(_) => Ok(()),
        }
    }
}

fn join(thread: &mut Option<JoinHandle<Result<(), LogError>>>) -> Result<(), LogError> {
    thread.take().map_or(Ok(()), |thread| thread.join().expect("the copier does not panic"))
}

impl<D: Disk> Drop for Copier<D> {
    /// Waits for the disk, so that the directory's lock is not released while the thread writes in it.
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.lock();
        waiting.is_closed = true;
        let left = match &mut self.place {
            Place::Here(target) => target.write(&std::mem::take(&mut waiting.frames)),
            Place::Thread(thread) => {
                drop(waiting);
                self.queue.changed.notify_all();
                join(thread)
            }
        };
        if let Err(error) = left {
            tracing::error!(%error, "the copy lacks what the stream has; it is read from there at the next start");
        }
    }
}

impl Queue {
    /// Waits for frames, and gathers more. Returns `None` if no more come.
    fn gather(&self) -> Option<SealedFrames> {
        let mut waiting = self.waiting.lock();
        let is_urgent = |waiting: &Waiting| waiting.is_closed || waiting.ends_segment;
        self.changed
            .wait_while(&mut waiting, |waiting| waiting.frames.bytes.is_empty() && !is_urgent(waiting));
        let is_little =
            |waiting: &mut Waiting| waiting.frames.bytes.len() < GATHERED_BYTES && !is_urgent(waiting);
        self.changed.wait_while_for(&mut waiting, is_little, GATHER_TIME);
        let frames = std::mem::take(&mut waiting.frames);
        let is_over = frames.bytes.is_empty() && waiting.is_closed;
        drop(waiting);
        self.changed.notify_all();
        (!is_over).then_some(frames)
    }

    /// Ends the segment of this log, if that is wanted.
    fn end_segment<D: Disk>(&self, log: &mut FileLog<D>) -> Result<(), LogError> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.ends_segment) {
            log.end_segment()?;
            self.changed.notify_all();
        }
        Ok(())
    }
}

/// The copy's log, as long as there is room for frames.
struct Target<D: Disk> {
    log: FileLog<D>,
    status: Arc<StreamStatus>,
}

impl<D: Disk> Target<D> {
    /// Writes these frames, if there was room for all before them.
    fn write(&mut self, frames: &SealedFrames) -> Result<(), LogError> {
        if !self.status.is_copying() {
            return Ok(());
        }
        match self.log.append_sealed(&frames.headers, &frames.bytes) {
            Ok(()) => Ok(()),
            Err(AppendError::Failed(error)) => Err(error),
            Err(refused) => {
                self.status.end_copying(&refused);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::{Epoch, Position};
    use crate::log::segment::{FrameFormat, Version, first_in_name};
    use crate::log::stream::marker;
    use crate::log::stream::simulated::{Among, Chance, Fault, SimDisk, Stop};
    use crate::log::tests::user_added;
    use crate::log::{EventLog, Frame, LogId, Progress, SEGMENT_BYTES_MIN};

    const LOG: LogId = LogId::from_bytes([7; 16]);
    const SEEDS: u64 = 200;
    /// Events of a frame: enough for several sectors.
    const EVENTS: u64 = 20;

    /// A copy that is written in the caller's thread. It has room for a few frames in a segment.
    struct TestCopy {
        copier: Copier<SimDisk>,
        /// The number of the next frame.
        next: u64,
    }

    fn new_disk(seed: u64) -> SimDisk {
        let disk = SimDisk::new(Chance::from_seed(seed));
        marker::mark(&disk, "tea", LOG).expect("marked");
        disk
    }

    impl TestCopy {
        fn start(disk: &SimDisk) -> Self {
            let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES_MIN, LOG);
            let next = replay(&mut log);
            Self { copier: Copier::start(log, Arc::default()).expect("started"), next }
        }

        /// Copies frames until this one is the next.
        fn copy_until(&mut self, end: u64) -> Result<(), LogError> {
            while self.next < end {
                copy(&mut self.copier, self.next)?;
                self.next += 1;
            }
            Ok(())
        }
    }

    /// Returns the number of the frame after the last one of a copy.
    fn replay(log: &mut FileLog<SimDisk>) -> u64 {
        let (progress, mut next) = (Progress::default(), 1);
        let mut replay = log.replay(&progress).expect("begun");
        while replay.next_frame().expect("a sound copy").is_some() {
            next += 1;
        }
        next
    }

    fn copy(copier: &mut Copier<SimDisk>, number: u64) -> Result<(), LogError> {
        let first = 1 + (number - 1) * EVENTS;
        let mut frame = Frame::new(Position(first));
        (first..first + EVENTS).for_each(|position| frame.push(&user_added(position)));
        let sealed = frame.seal(LOG, Epoch(7));
        let format = FrameFormat { log: LOG, version: Version::Two };
        copier.copy(FrameHeader::check(sealed, format).expect("sound"), sealed)
    }

    #[test]
    fn a_torn_copy_is_filled_again() {
        let mut torn = 0;
        for seed in 0..SEEDS {
            // Given a machine that stops while frames are written together.
            let disk = new_disk(seed);
            let mut copying = TestCopy::start(&disk);
            copying.copy_until(9).expect("written");
            disk.stop_after(Some((Stop::Machine, usize::from(seed % 2 == 0), Among::Changes)));
            drop(copying);
            disk.crash();
            // When it is started again, what it has is a beginning, and the rest is copied.
            let mut copying = TestCopy::start(&disk);
            assert!((7..=9).contains(&copying.next), "seed {seed}: {}", copying.next);
            torn += u64::from(disk.names().iter().any(|name| name.contains(".torn-")));
            copying.copy_until(100).expect("written");
            drop(copying);
            disk.crash();
            // Then it is whole.
            assert_eq!(TestCopy::start(&disk).next, 100, "seed {seed}");
        }
        assert!(torn > 0, "some write was torn");
    }

    #[test]
    fn a_copy_without_its_last_header_is_filled_again() {
        for copied in [3, 20] {
            for left in [0, 100] {
                // Given a copy whose last segment was cut below its header, perhaps the only one.
                let disk = new_disk(1);
                let mut copying = TestCopy::start(&disk);
                copying.copy_until(copied).expect("written");
                drop(copying);
                let last = disk.names().into_iter().filter(|name| first_in_name(name).is_some()).max();
                disk.alter(&last.expect("a segment"), |bytes| bytes.truncate(left));
                // When it is started again, what it has is a beginning, and the rest is copied.
                let mut copying = TestCopy::start(&disk);
                assert!(copying.next < copied, "{} of {copied}", copying.next);
                copying.copy_until(100).expect("written");
                drop(copying);
                disk.crash();
                assert_eq!(TestCopy::start(&disk).next, 100);
            }
        }
    }

    #[test]
    fn frames_whose_sync_failed_are_written_again() {
        for seed in 0..SEEDS {
            // Given frames that the page cache holds, and the disk perhaps does not.
            let disk = new_disk(seed);
            let mut copying = TestCopy::start(&disk);
            copying.copy_until(4).expect("written");
            disk.fail_next(Fault::Sync);
            copying.copy_until(7).expect_err("the sync fails");
            drop(copying);
            disk.restart();
            // When a process that has seen them begins another segment, and the machine crashes.
            let mut copying = TestCopy::start(&disk);
            copying.copy_until(100).expect("written");
            drop(copying);
            disk.crash();
            // Then the copy is sound.
            assert_eq!(TestCopy::start(&disk).next, 100, "seed {seed}");
        }
    }

    #[test]
    fn a_copier_writes_what_waits_before_it_ends() {
        let disk = new_disk(1);
        let mut log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
        log.adopt(LOG, Epoch(7));
        log.make_ready().expect("empty");
        let mut copier = Copier::start(log, Arc::default()).expect("started");
        (1..100).for_each(|number| copy(&mut copier, number).expect("copied"));
        drop(copier);
        disk.crash();
        assert_eq!(TestCopy::start(&disk).next, 100);
    }

    #[test]
    fn a_failed_write_fails_the_next_copy() {
        let disk = new_disk(1);
        let mut log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
        log.make_ready().expect("empty");
        log.wait_for_spare();
        let mut copier = Copier::start(log, Arc::default()).expect("started");
        disk.fail_next(Fault::Write);
        copy(&mut copier, 1).expect("it waits");
        let began = Instant::now();
        while copier.check().is_ok() {
            assert!(began.elapsed() < Duration::from_mins(1), "nothing has failed");
        }
    }
}
