//! A log in a directory that is published to a stream: a copy, from which a stream gets back what it has lost, or a log
//! that one server has written, with which a stream begins.
//!
//! A frame is published as it stands in its segment. So the stream fits all copies of the log, and ids of events stay
//! good. In a log that is not a copy, a frame of version 1 becomes one of version 2, without an epoch as before, and a
//! frame that is longer than a message may be becomes several. Positions stay the same.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{Genesis, WriterId};
use super::stream_log::StreamLog;
use super::{Stream, StreamError, marker};
use crate::domain::Position;
use crate::log::reader::Walk;
use crate::log::segment::random_epoch;
use crate::log::{
    AppendError, Caught, Contents, Disk, EventLog, Frame, LogError, LogId, LogReader, Progress, Replay,
    SealedFrame,
};

/// Deadline of a publication, and of a connection.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A log in a directory, whose segments are sound.
pub struct Source<D: Disk> {
    disk: D,
    log: LogReader<D>,
    id: LogId,
    contents: Contents,
    is_copy: bool,
    /// The longest frame: its first event, and its length in bytes.
    longest: (Position, usize),
}

impl<D: Disk> Source<D> {
    /// Reads the log on this disk, to check it. Calls `shown` with the number of bytes that were read so far.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read, is damaged or of an unknown version.
    pub fn check(disk: D, shown: &mut dyn FnMut(u64)) -> Result<Self, LogError> {
        let (log, progress) = (LogReader::new(disk.clone())?, Progress::default());
        let mut walk = log.walk(&progress);
        let mut longest = (Position(0), 0);
        while let Some(frame) = walk.next_frame()? {
            if frame.sealed_bytes() > longest.1 {
                longest = (frame.first, frame.sealed_bytes());
            }
            shown(progress.bytes());
        }
        let id = walk.log_id();
        let (contents, is_copy) = (walk.into_contents(), marker::is_copy(&disk)?);
        match id {
            Some(id) if contents.events > 0 => Ok(Self { disk, log, id, contents, is_copy, longest }),
            Some(_) | None => Err(LogError::NoLog { dir: disk.path("") }),
        }
    }

    /// Returns the log's id.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// Returns the position of the last event.
    #[must_use]
    pub fn last(&self) -> Position {
        self.contents.last
    }

    /// Returns the length of the log's frames and headers, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.contents.bytes
    }

    /// Returns the first message of a stream that begins with this log.
    ///
    /// Later events get an epoch of their own. Another server may have had events that this log lacks; a client that has
    /// seen them must not take others for them.
    #[must_use]
    pub fn genesis(&self) -> Vec<u8> {
        Genesis { log: self.id, epoch: random_epoch() }.message(WriterId::random())
    }

    /// Publishes what the stream lacks of the log. Returns the number of frames that it lacked. If it fails, it can be
    /// called again, and goes on where the stream ends.
    ///
    /// # Errors
    ///
    /// The stream holds anything but a beginning of the log, has no room, or cannot be reached.
    pub fn publish(
        &self,
        stream: impl Stream,
        name: &str,
        shown: &mut dyn FnMut(u64),
    ) -> Result<u64, LogError> {
        let mut stream = StreamLog::<_, D>::without_copy(stream, name.to_owned(), TIMEOUT);
        if !stream.begin()? {
            return Err(unreachable(name, "no node answers"));
        }
        if stream.id() != self.id {
            let what = format!("it holds log {}, and the directory holds log {}", stream.id(), self.id);
            return Err(self.is_no_beginning(name, &what, 0));
        }
        let message_bytes_max = stream.frame_bytes_max();
        if self.is_copy && self.longest.1 > message_bytes_max {
            return Err(too_long(name, self.longest, message_bytes_max));
        }
        let progress = Progress::default();
        let (walk, ready) = (self.log.walk(&progress), VecDeque::new());
        let mut frames = ToPublish { walk, log: self.id, bytes_max: message_bytes_max, ready };
        let mut published = 0;
        loop {
            self.compare(&mut stream, name, &mut frames, published)?;
            loop {
                let Some((first, frame)) = frames.next()? else { return Ok(published) };
                if frame.len() > message_bytes_max {
                    return Err(too_long(name, (first, frame.len()), message_bytes_max));
                }
                match stream.publish_sealed(&frame) {
                    Ok(()) => published += 1,
                    // Perhaps it was published before, by a call that was interrupted.
                    Err(AppendError::Superseded) => {
                        frames.ready.push_front((first, frame));
                        break;
                    }
                    Err(AppendError::NoRoom(error) | AppendError::Failed(error)) => return Err(error),
                    Err(AppendError::Unavailable | AppendError::Unconfirmed) => {
                        let what = format!("no node confirmed that it has event {first}");
                        return Err(unreachable(name, &what));
                    }
                }
                shown(progress.bytes());
            }
        }
    }

    /// Reads what the stream holds more, which must be the next frames of the log.
    fn compare<S: Stream>(
        &self,
        stream: &mut StreamLog<S, D>,
        name: &str,
        frames: &mut ToPublish<'_, D>,
        published: u64,
    ) -> Result<(), LogError> {
        let mut stopped = None;
        let mut compare = |there: SealedFrame<'_>| {
            let differs = match frames.next() {
                Ok(Some((_, frame))) if frame.starts_with(there.header()) => return Ok(()),
                Ok(Some(_)) => {
                    format!("it holds other events than the directory, from event {} on", there.first)
                }
                Ok(None) => {
                    format!("it holds all events of the directory, and goes on with event {}", there.first)
                }
                Err(error) => {
                    stopped = Some(error);
                    return Err(String::new());
                }
            };
            stopped = Some(self.is_no_beginning(name, &differs, published));
            Err(String::new())
        };
        match stream.catch_up(&mut compare) {
            Ok(Caught::Nothing | Caught::Events) => Ok(()),
            Ok(Caught::Unreachable) => Err(unreachable(name, "no node leads")),
            Err(error) => Err(stopped.unwrap_or(error)),
        }
    }

    fn is_no_beginning(&self, stream: &str, what: &str, published: u64) -> LogError {
        let done = match published {
            0 => "nothing was published",
            _ => "a server writes to it meanwhile, and must be stopped",
        };
        let what = format!("{what}; {done}");
        StreamError::NoBeginning { stream: stream.to_owned(), dir: self.disk.path(""), what }.into()
    }
}

fn unreachable(stream: &str, what: &str) -> LogError {
    let what = format!("{what}; a next run goes on where the stream ends");
    StreamError::Unreachable { stream: stream.to_owned(), what }.into()
}

fn too_long(stream: &str, (first, bytes): (Position, usize), bytes_max: usize) -> LogError {
    let what = format!(
        "the frame that begins with event {first} has {bytes} bytes, and the nodes' max_payload leaves room for {bytes_max}"
    );
    StreamError::Unfit { stream: stream.to_owned(), what }.into()
}

/// The frames of a log as they are published, each with its first event.
struct ToPublish<'l, D: Disk> {
    walk: Walk<'l, D>,
    log: LogId,
    /// Maximum length of a frame.
    bytes_max: usize,
    ready: VecDeque<(Position, Vec<u8>)>,
}

impl<D: Disk> ToPublish<'_, D> {
    fn next(&mut self) -> Result<Option<(Position, Vec<u8>)>, LogError> {
        if self.ready.is_empty() {
            let Some(frame) = self.walk.next_frame()? else { return Ok(None) };
            if frame.is_of_old_version() || frame.sealed_bytes() > self.bytes_max {
                let made = sealed_again(&frame, self.log, self.bytes_max);
                self.ready = made.map_err(|cause| self.walk.damaged(&cause))?;
            } else {
                self.ready.push_back((frame.first, frame.to_bytes()));
            }
        }
        Ok(self.ready.pop_front())
    }
}

/// Returns the events of a frame in frames of version 2, none longer than this if that is possible.
fn sealed_again(
    frame: &SealedFrame<'_>,
    log: LogId,
    bytes_max: usize,
) -> Result<VecDeque<(Position, Vec<u8>)>, String> {
    let mut made = VecDeque::new();
    let mut seal = |part: &mut Frame| made.push_back((part.first(), part.seal(log, frame.epoch).to_vec()));
    let (mut part, mut alone) = (Frame::new(frame.first), Frame::new(frame.first));
    // What the part has at most: each event may have an actor of its own.
    let mut bytes = part.sealed_bytes();
    for record in frame.records() {
        let record = record.map_err(|error| error.to_string())?;
        alone.restart(frame.first);
        alone.push(&record);
        if !part.is_empty() && bytes + alone.payload_bytes() > bytes_max {
            seal(&mut part);
            part.restart(part.end());
            bytes = part.sealed_bytes();
        }
        part.push(&record);
        bytes += alone.payload_bytes();
    }
    seal(&mut part);
    Ok(made)
}

#[cfg(test)]
mod tests;
