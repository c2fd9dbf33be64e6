//! The scrubber: it looks from time to time whether something is due to leave the disk, and makes it leave.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Queue;
use super::inbox::Input;
use super::metrics::ScrubMetrics;
use crate::domain::{Position, Timestamp};
use crate::log::{LogError, Pace, Scrub, Scrubbed};
use crate::model::Model;
use crate::system_clock;
use crate::thread::{SpawnError, spawn};
use parking_lot::RwLock;

/// When and how fast a log is scrubbed.
#[derive(Debug, Clone, Copy)]
pub struct ScrubSettings {
    /// Time for which what was edited or deleted is kept.
    pub keep_deleted: Duration,
    /// Time between two looks for what is due. What is to be erased at once is looked for every 10 s, or every `interval`
    /// if that is shorter.
    pub interval: Duration,
    /// Maximum bytes that are read or written in a second.
    pub bytes_per_s: u64,
}

pub(super) struct Scrubber {
    pub(super) log: Box<dyn Scrub>,
    pub(super) settings: ScrubSettings,
    pub(super) pace: Arc<Pace>,
    pub(super) model: Arc<RwLock<Model>>,
    pub(super) queue: Weak<Queue>,
    pub(super) metrics: ScrubMetrics,
}

/// The scrubber's progress.
#[derive(Default)]
struct Progress {
    /// The time up to which what was edited or deleted has left the disk.
    until: Timestamp,
    /// The number of erasures that were carried out.
    erasures: u64,
    /// `None` before the first look.
    looked: Option<Instant>,
    /// The time of the last scrub that did not take out all that was due.
    failed: Option<Instant>,
}

/// Time between two looks for what is to be erased at once.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Time after a scrub that did not take out all that was due.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// The thread of a scrubber. When it is dropped, it ends.
pub(super) struct ScrubberThread {
    pace: Arc<Pace>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ScrubberThread {
    fn drop(&mut self) {
        self.pace.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the scrubber panicked");
        }
    }
}

impl Scrubber {
    pub(super) fn start(self) -> Result<ScrubberThread, SpawnError> {
        let pace = Arc::clone(&self.pace);
        Ok(ScrubberThread { pace, thread: Some(spawn("scrubber", move || self.run())?) })
    }

    /// Runs until its pace is stopped. A process does not know what earlier ones have scrubbed, so it looks through the log
    /// once.
    fn run(&self) {
        let mut done = Progress::default();
        self.metrics.set_erased(0);
        while !self.pace.wait(LOOK_INTERVAL.min(self.settings.interval)) {
            let now = system_clock::now();
            // Every later event has a later time.
            let last = self.model.read().index().time();
            let until = now.saturating_sub(self.settings.keep_deleted).min(last);
            if !self.is_due(&mut done, until) {
                continue;
            }
            // Before the log is read: an event after it may be missed.
            let (erasures, position) = self.seen();
            match self.scrub(until) {
                Ok((scrubbed, last)) => {
                    self.metrics.note(&scrubbed, now);
                    if last < position {
                        // The copy of a stream lacks something that the model has.
                        done.failed = Some(Instant::now());
                    } else {
                        done = Progress { until, erasures, failed: None, ..done };
                        self.metrics.set_erased(erasures);
                    }
                    let Scrubbed { segments, bytes, .. } = scrubbed;
                    if segments > 0 {
                        tracing::info!(segments, bytes, "scrubbed the log: what was due has left it");
                    }
                }
                Err(_) if self.pace.is_stopped() => return,
                Err(error) => {
                    done.failed = Some(Instant::now());
                    self.metrics.count_failure();
                    tracing::error!(%error, "failed to scrub the log; what is due is still in it");
                }
            }
        }
    }

    /// Returns the number of erasures, and the position, that the model has.
    fn seen(&self) -> (u64, Position) {
        let model = self.model.read();
        (model.index().erasures(), model.position())
    }

    fn is_due(&self, done: &mut Progress, until: Timestamp) -> bool {
        if done.failed.is_some_and(|failed| failed.elapsed() < RETRY_INTERVAL.min(self.settings.interval)) {
            return false;
        }
        let model = self.model.read();
        if model.index().erasures() > done.erasures {
            return true;
        }
        if done.looked.is_some_and(|looked| looked.elapsed() < self.settings.interval) {
            return false;
        }
        done.looked = Some(Instant::now());
        model.index().was_rewritten_within(done.until, until)
    }

    /// Scrubs the log and the model. Also returns the position of the last event that was looked at.
    fn scrub(&self, until: Timestamp) -> Result<(Scrubbed, Position), LogError> {
        let (scrubbed, last) = self.log.scrub(until, &mut || self.end_segment())?;
        self.forget(&scrubbed, until);
        Ok((scrubbed, last))
    }

    /// Makes the writer end its segment, and waits until it has.
    fn end_segment(&self) -> Result<(), LogError> {
        let (ended, end): (SyncSender<()>, _) = sync_channel(1);
        let queue = self.queue.upgrade().and_then(|queue| queue.read().clone());
        let asked = queue.is_some_and(|queue| queue.send(Input::EndSegment(ended)).is_ok());
        if asked && end.recv().is_ok() { Ok(()) } else { Err(LogError::NoWriter) }
    }

    /// Makes the model forget what is not in the log any more.
    fn forget(&self, Scrubbed { keys, messages, .. }: &Scrubbed, until: Timestamp) {
        /// Keys or messages for which the model is locked once.
        const AT_ONCE: usize = 256;
        for keys in keys.chunks(AT_ONCE) {
            self.model.write().forget_fingerprints(keys);
        }
        for messages in messages.chunks(AT_ONCE) {
            self.model.write().forget_replaced(messages, until);
        }
    }
}
