//! Publishes a server's own frames, and finds out whether they count.

use std::time::Duration;

use super::{RETRY_INTERVAL, StreamLog};
use crate::log::stream::judge::{Counting, Judge, Verdict};
use crate::log::stream::message::Head;
use crate::log::stream::{Published, Stream};
use crate::log::{AppendError, Disk, Frame, LogError};

/// Time after which a publication is repeated, or the stream is read for what became of it.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which the stream is read for what stands in the way of a publication.
const CONFLICT_TIMEOUT: Duration = Duration::from_secs(1);

/// What became of a message that was published.
enum Found {
    /// It counts.
    Ours,
    /// Another one counts.
    Others,
    /// Nothing is there yet.
    Nothing,
}

impl<S: Stream, D: Disk> StreamLog<S, D> {
    pub(super) fn publish(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        let Judge { genesis, next, .. } = *self.judge();
        assert_eq!(frame.first(), next, "frames follow one another, after the replay");
        self.publish_sealed(frame.seal(genesis.log, genesis.epoch))
    }

    /// Publishes the next frame of the log, and waits until it is known whether it counts.
    pub(in crate::log::stream) fn publish_sealed(&mut self, frame: &[u8]) -> Result<(), AppendError> {
        let Judge { genesis, counted, chain, .. } = *self.judge();
        self.made += 1;
        let head = Head { writer: self.writer, number: self.made, prev: counted, chain };
        head.write_frame(genesis.log, frame, &mut self.message);
        let deadline = self.now() + self.write_timeout;
        // Whether a publication may have stored the message, or may still do so.
        let mut may_be_stored = false;
        loop {
            let (expected, asked) = (self.judge().judged, self.now());
            match self.reader.stream.publish(expected, &self.message, PUBLISH_TIMEOUT) {
                Published::At(sequence) if sequence == expected + 1 => {
                    self.stored().map_err(AppendError::Failed)?;
                    self.note_complete(asked);
                    return Ok(());
                }
                Published::Full if !may_be_stored => return Err(AppendError::NoRoom(self.full())),
                Published::Nowhere | Published::Full => self.reader.stream.wait(RETRY_INTERVAL),
                outcome @ (Published::At(_) | Published::Conflict | Published::Unknown) => {
                    may_be_stored |= outcome != Published::Conflict;
                    match self.look(CONFLICT_TIMEOUT).map_err(AppendError::Failed)? {
                        Found::Ours => return Ok(()),
                        Found::Others => return Err(AppendError::Superseded),
                        Found::Nothing => {}
                    }
                }
            }
            if self.now() >= deadline {
                return Err(if may_be_stored { AppendError::Unconfirmed } else { AppendError::Unavailable });
            }
        }
    }

    /// Reads the stream for this time at most, to see what became of the last message.
    fn look(&mut self, time: Duration) -> Result<Found, LogError> {
        let until = self.now() + time;
        loop {
            self.read_on()?;
            while let Some(message) = self.next_message() {
                let verdict = self.judge().judge(&message).map_err(|stop| self.stopped(stop))?;
                match verdict {
                    Verdict::Counts(Counting { head, header, frame }) => {
                        if (head.writer, head.number) != (self.writer, self.made) {
                            self.reader.put_back(message);
                            return Ok(Found::Others);
                        }
                        self.keep(header, frame)?;
                        self.pass(&message, &verdict);
                        return Ok(Found::Ours);
                    }
                    Verdict::Superseded | Verdict::Stray => self.pass(&message, &verdict),
                }
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() {
                return Ok(Found::Nothing);
            }
            self.reader.stream.wait(left.min(RETRY_INTERVAL));
        }
    }

    /// Takes the last message as stored right after those that were judged.
    fn stored(&mut self) -> Result<(), LogError> {
        let message = std::mem::take(&mut self.message);
        let verdict = self.judge().judge(&message).map_err(|stop| self.stopped(stop))?;
        let Verdict::Counts(Counting { header, frame, .. }) = verdict else {
            unreachable!("it was decided on the last message that counts")
        };
        self.keep(header, frame)?;
        self.pass(&message, &verdict);
        self.message = message;
        Ok(())
    }
}
