//! The log of a server on a stream: it judges what is in the stream, and keeps a copy of all frames that count.

mod joining;
mod publishing;

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::clocks::ClockState;
use super::copied::{Copied, CopyScan};
use super::copier::Copier;
use super::judge::{Counting, Judge, Stop, Verdict};
use super::message::{self, Checksum, Unreadable, WriterId};
use super::reader::Reader;
use super::watch::Watch;
use super::{Peers, Stream, StreamError, StreamStatus, Told};
use crate::domain::{Epoch, Position};
use crate::log::frame::FrameHeader;
use crate::log::{
    AppendError, Caught, Disk, EventLog, FileLog, Frame, LogError, LogId, LogMetrics, Pace, PacedDisk,
    Progress, Replay, Scrub, SealedFrame, Visit,
};

/// A log on a stream.
pub struct StreamLog<S, D: Disk> {
    reader: Reader<S>,
    /// The copy, until the stream is joined.
    copy: Option<FileLog<D>>,
    /// The disk of the copy.
    disk: Option<D>,
    /// What the copy held at the start.
    copied: Copied,
    /// Copies the frames that count; `None` until the stream is joined, and if there is no room for a copy.
    copier: Option<Copier<D>>,
    metrics: LogMetrics,
    /// Known when the log was first [caught up](EventLog::catch_up) with.
    judge: Option<Judge>,
    writer: WriterId,
    /// The writer of the last message that counts.
    wrote_last: Option<WriterId>,
    /// The number of messages that this writer has made.
    made: u64,
    /// The last of them.
    message: Vec<u8>,
    /// The time that the last append took.
    append_time: Duration,
    /// Time for which a write tries to get into the stream.
    write_timeout: Duration,
    watch: Watch,
    /// The time at which the stream last took no write, if it has taken none since.
    refused_at: Option<Duration>,
    clock: ClockState,
    status: Arc<StreamStatus>,
}

/// Time between two attempts while no node leads.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl<S: Stream, D: Disk> StreamLog<S, D> {
    /// Creates a log on this stream. A write tries to get into the stream for `write_timeout`.
    #[must_use]
    pub fn new(stream: S, name: String, copy: FileLog<D>, write_timeout: Duration) -> Self {
        let (metrics, disk) = (copy.metrics(), Some(copy.disk().clone()));
        Self { metrics, disk, copy: Some(copy), ..Self::without_copy(stream, name, write_timeout) }
    }

    /// Creates a log that copies nothing, and reads the stream from its beginning.
    pub(super) fn without_copy(stream: S, name: String, write_timeout: Duration) -> Self {
        Self {
            reader: Reader::of(stream, name),
            metrics: LogMetrics::default(),
            copy: None,
            disk: None,
            copied: Copied::default(),
            copier: None,
            judge: None,
            writer: WriterId::random(),
            wrote_last: None,
            made: 0,
            message: Vec::new(),
            append_time: Duration::ZERO,
            write_timeout,
            watch: Watch::default(),
            refused_at: None,
            clock: ClockState::default(),
            status: Arc::default(),
        }
    }

    /// Joins the stream before it is caught up with. Returns `false` if it cannot be reached in time.
    pub(super) fn begin(&mut self) -> Result<bool, LogError> {
        let deadline = self.now() + self.write_timeout;
        while !self.join()? {
            if self.now() >= deadline {
                return Ok(false);
            }
            self.reader.stream.wait(RETRY_INTERVAL);
        }
        Ok(true)
    }

    fn now(&self) -> Duration {
        self.reader.stream.time()
    }

    fn judge(&self) -> &Judge {
        self.judge.as_ref().expect("the log was caught up with")
    }

    /// The sequence of the next message to judge.
    fn next_sequence(&self) -> u64 {
        self.judge().judged + 1
    }

    /// Reads on, if all that was read is judged.
    fn read_on(&mut self) -> Result<(), LogError> {
        self.reader.read_on(self.next_sequence())
    }

    /// Takes the next message to judge, if it is there.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        let (sequence, log) = (self.next_sequence(), self.judge().genesis.log);
        self.reader.next_message(sequence, log)
    }

    /// Judges what others have published, after what was judged so far. Returns `false` if there is nothing, or if it
    /// cannot be read now.
    fn take_in(&mut self, visit: &mut Visit<'_>) -> Result<bool, LogError> {
        self.read_on()?;
        let judged = self.judge().judged;
        while let Some(message) = self.next_message() {
            let verdict = self.judge().judge(&message).map_err(|stop| self.stopped(stop))?;
            if let Verdict::Counts(Counting { header, frame, .. }) = verdict {
                visit(header.frame(frame)).map_err(|cause| self.unusable(&cause, header))?;
                self.keep(header, frame)?;
            }
            self.pass(&message, &verdict);
        }
        Ok(self.judge().judged > judged)
    }

    fn pass(&mut self, message: &[u8], verdict: &Verdict<'_>) {
        let sequence = self.next_sequence();
        match verdict {
            Verdict::Counts(Counting { head, .. }) => {
                self.note_writer(head.writer);
                // The stream has taken this message, so it takes writes.
                self.note_taken();
            }
            Verdict::Superseded => {
                tracing::warn!(sequence, "a message of the stream does not count");
                self.status.count_superseded();
            }
            Verdict::Stray => {
                tracing::error!(sequence, "a message of the stream is not one of this log");
                self.status.count_stray();
            }
        }
        self.status.set_sequence(sequence);
        self.judge.as_mut().expect("the log was caught up with").pass(message, verdict);
    }

    /// Notes who wrote the last message that counts.
    fn note_writer(&mut self, writer: WriterId) {
        if self.wrote_last.replace(writer) != Some(writer) {
            self.status.set_writer(Some(writer).filter(|writer| *writer != self.writer));
        }
    }

    /// Copies a frame that counts.
    fn keep(&mut self, header: FrameHeader, frame: &[u8]) -> Result<(), LogError> {
        self.copier.as_mut().map_or(Ok(()), |copier| copier.copy(header, frame))
    }

    /// Looks whether the stream is still the one that it was, by what the nodes tell of it.
    fn check_told(&mut self) -> Result<(), LogError> {
        let Some(told) = self.reader.stream.heard().told else { return Ok(()) };
        let (now, judged) = (self.now(), self.judge().judged);
        self.watch.note_told(now, &told, judged).map_err(|what| self.reader.diverged(&what))
    }

    /// Notes for those who look how much of what the node told that leads is here.
    fn note_told(&mut self) {
        let Some(Told { last, at, .. }) = self.reader.stream.heard().told else { return };
        if self.judge().judged >= last {
            self.note_complete(at);
        }
        if !self.status.is_full() && self.refused_at.is_some_and(|refused| at > refused) {
            self.note_taken();
        }
    }

    /// Notes how this server's clock is, as the node told that leads.
    fn note_clock(&mut self) {
        let Some(Told { clock_ahead_ms, .. }) = self.reader.stream.heard().told else { return };
        let clock = ClockState::of(clock_ahead_ms);
        self.status.set_clock_ahead_ms(clock_ahead_ms);
        if std::mem::replace(&mut self.clock, clock) != clock {
            clock.log(clock_ahead_ms);
        }
    }

    /// Notes that everything is here that was in the stream at this time.
    fn note_complete(&self, at: Duration) {
        self.status.note_complete(self.now().saturating_sub(at));
    }

    /// Notes that the stream takes writes.
    fn note_taken(&mut self) {
        self.refused_at = None;
        self.status.note_taken();
    }

    /// Notes that the stream did not take a write.
    fn note_refused(&mut self) {
        self.refused_at = Some(self.now());
        self.status.note_refused();
    }

    /// Looks from time to time whether the last message is still there. A stream that was cut short and has grown again
    /// holds another one.
    fn check_last(&mut self) -> Result<(), LogError> {
        let Judge { genesis, last: (sequence, last), .. } = *self.judge();
        if !self.watch.is_look_due(self.now()) {
            return Ok(());
        }
        let Some(message) = self.reader.fetch_one(sequence)? else { return Ok(()) };
        // It may be unsound on one node.
        let is_sound = |message: &[u8]| {
            Checksum::of(message) == last
                || message::read_frame(message, genesis.log) != Err(Unreadable::Stray)
        };
        match self.reader.as_published(sequence, message, is_sound) {
            Ok(message) if Checksum::of(&message) != last => Err(self
                .reader
                .diverged(&format!("message {sequence} is another one than this server has seen"))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn full(&self) -> LogError {
        StreamError::Full { stream: self.reader.name.clone() }.into()
    }

    fn later_release(&self, sequence: u64) -> LogError {
        StreamError::LaterRelease { stream: self.reader.name.clone(), sequence }.into()
    }

    fn stopped(&self, stop: Stop) -> LogError {
        let sequence = self.next_sequence();
        match stop {
            Stop::LaterRelease => self.later_release(sequence),
            Stop::Contradiction => {
                let next = self.judge().next;
                self.unusable_at(&"it is not the next one", sequence, next..next.next())
            }
            Stop::OtherHistory => self.reader.diverged(&format!(
                "message {sequence} was decided on another history than this server has seen"
            )),
        }
    }

    fn unusable(&self, cause: &dyn Display, header: FrameHeader) -> LogError {
        self.unusable_at(cause, self.next_sequence(), header.first..header.end())
    }

    fn unusable_at(&self, cause: &dyn Display, sequence: u64, lost: Range<Position>) -> LogError {
        LogError::unusable(
            format!("message {sequence} of stream {}", self.reader.name).into(),
            0,
            cause,
            lost,
        )
    }
}

impl<S: Stream, D: Disk> EventLog for StreamLog<S, D> {
    fn replay<'l>(&'l mut self, progress: &'l Progress) -> Result<Box<dyn Replay + 'l>, LogError> {
        let Self { copy, copied, .. } = self;
        let copy = copy.as_mut().expect("the replay comes first");
        let scan = CopyScan::begin(copy.disk())?;
        Ok(Box::new(CopyReplay { replay: copy.replay(progress)?, scan, copied }))
    }

    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.reader.stream.wake_by(wake);
    }

    fn catch_up(&mut self, visit: &mut Visit<'_>) -> Result<Caught, LogError> {
        if self.judge.is_none() && !self.join()? {
            return Ok(Caught::Unreachable);
        }
        let (deadline, next) = (self.now() + self.write_timeout, self.judge().next);
        loop {
            let asked = self.now();
            // A node that led before may tell of fewer messages than were seen. It cannot say what is new.
            let end = self.reader.stream.probe().filter(|end| *end >= self.judge().judged);
            if let Some(end) = end {
                while self.judge().judged < end && self.take_in(visit)? {}
                if self.judge().judged >= end {
                    self.note_complete(asked);
                    return Ok(if self.judge().next == next { Caught::Nothing } else { Caught::Events });
                }
            }
            if self.now() >= deadline {
                self.note_refused();
                return Ok(Caught::Unreachable);
            }
            self.reader.stream.wait(RETRY_INTERVAL);
        }
    }

    fn others(&mut self, visit: &mut Visit<'_>) -> Result<(), LogError> {
        if let Some(copier) = &mut self.copier {
            copier.check()?;
        }
        self.note_clock();
        self.check_told()?;
        self.check_last()?;
        while !self.reader.is_all_judged() || self.reader.stream.heard().last > self.judge().judged {
            if !self.take_in(visit)? {
                break;
            }
        }
        self.note_told();
        Ok(())
    }

    fn gather_time(&self) -> Duration {
        /// No frame is waited for longer: an append that takes much longer has met the loss of a node.
        const GATHER_TIME_MAX: Duration = Duration::from_millis(2);
        (self.append_time / 2).min(GATHER_TIME_MAX)
    }

    fn is_behind(&self) -> bool {
        self.reader.stream.heard().last > self.judge().judged
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        // **Invariant:** a server whose clock is far ahead writes nothing.
        if self.clock == ClockState::FarAhead {
            return Err(AppendError::Unavailable);
        }
        let began = self.now();
        let appended = self.publish(frame);
        self.append_time = self.now().saturating_sub(began);
        match &appended {
            Ok(()) => self.note_taken(),
            Err(AppendError::NoRoom(_)) => self.status.note_full(),
            Err(AppendError::Unavailable | AppendError::Unconfirmed) => self.note_refused(),
            Err(AppendError::Superseded | AppendError::Failed(_)) => {}
        }
        appended
    }

    fn end_segment(&mut self) -> Result<(), LogError> {
        self.copier.as_mut().map_or(Ok(()), Copier::end_segment)
    }

    fn to_scrub(&self, pace: Arc<Pace>) -> Option<Box<dyn Scrub>> {
        let disk = self.disk.clone()?;
        Some(Box::new(PacedDisk::new(disk, pace)))
    }

    /// Whether there is room is known again when the stream takes a write.
    fn look_for_room(&mut self, _frame_bytes: usize) -> Option<Result<(), LogError>> {
        (!self.status.is_full()).then_some(Ok(()))
    }

    fn stream_status(&self) -> Option<Arc<StreamStatus>> {
        Some(Arc::clone(&self.status))
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        /// Time for which an answer is waited for beyond that which the write may take there.
        const ON_THE_WAY: Duration = Duration::from_secs(1);
        self.reader.stream.peers(self.writer, self.write_timeout + ON_THE_WAY)
    }

    fn frame_bytes_max(&self) -> usize {
        self.reader.stream.message_bytes_max().saturating_sub(message::HEADER_BYTES)
    }

    fn epoch(&self) -> Epoch {
        self.judge().genesis.epoch
    }

    fn id(&self) -> LogId {
        self.judge().genesis.log
    }

    fn metrics(&self) -> LogMetrics {
        self.metrics.clone()
    }
}

/// Replays the copy, and notes its end.
struct CopyReplay<'l> {
    replay: Box<dyn Replay + 'l>,
    scan: CopyScan,
    copied: &'l mut Copied,
}

impl Replay for CopyReplay<'_> {
    fn next_frame(&mut self) -> Result<Option<SealedFrame<'_>>, LogError> {
        let frame = self.replay.next_frame()?;
        match &frame {
            Some(frame) => self.scan.add(frame),
            None => self.copied.clone_from(self.scan.copied()),
        }
        Ok(frame)
    }

    fn damaged(&self, cause: &dyn Display) -> LogError {
        self.replay.damaged(cause)
    }
}
