//! A log that asks the test what becomes of each append: stored, refused for want of room, or failed.
//!
//! ```ignore
//! let (log, script) = ScriptedLog::new();
//! let (engine, _end) = Engine::start(Box::new(log), settings, &ReplayProgress::default())?;
//! let mut answer = pin!(engine.submit(command, None));
//! assert!(timeout(Duration::from_millis(5), &mut answer).await.is_err());   // the append waits for the script
//! script.give([AppendOutcome::Stored]);
//! answer.await?;
//! ```
//!
//! While an append waits, the commands that are submitted queue up: they become the next batch.

use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, Sender, channel};

use chinwag::domain::Epoch;
use chinwag::engine::ReplayProgress;
use chinwag::log::{AppendError, EventLog, FRAME_BYTES_MAX, Frame, LogError, LogId, MemoryLog, Replay};

/// The log that the engine writes. It keeps frames in memory.
pub struct ScriptedLog {
    log: MemoryLog,
    asked: Sender<()>,
    outcomes: Receiver<AppendOutcome>,
    /// The length of the longest frame.
    pub frame_bytes_max: usize,
}

/// The test's side of a [`ScriptedLog`]. When it is dropped, the next append panics.
pub struct LogScript {
    asked: Receiver<()>,
    outcomes: Sender<AppendOutcome>,
}

/// The outcome of one append.
pub enum AppendOutcome {
    Stored,
    NoRoom,
    Failed,
}

impl ScriptedLog {
    /// Returns an empty log and its script.
    pub fn new() -> (Self, LogScript) {
        let (asked, is_asked) = channel();
        let (given, outcomes) = channel();
        let log = Self { log: MemoryLog::default(), asked, outcomes, frame_bytes_max: FRAME_BYTES_MAX };
        (log, LogScript { asked: is_asked, outcomes: given })
    }
}

impl LogScript {
    /// Decides the next appends, one outcome each, in this order.
    pub fn give(&self, outcomes: impl IntoIterator<Item = AppendOutcome>) {
        outcomes.into_iter().for_each(|outcome| self.outcomes.send(outcome).expect("the log still runs"));
    }

    /// Returns the number of appends for which nobody has waited.
    pub fn appends(&self) -> usize {
        self.asked.try_iter().count()
    }

    /// Waits until the log has been asked for this number of further appends.
    pub fn wait_for_appends(&self, count: usize) {
        (0..count).for_each(|_| self.asked.recv().expect("the writer runs"));
    }
}

impl EventLog for ScriptedLog {
    fn replay<'l>(&'l mut self, progress: &'l ReplayProgress) -> Result<Box<dyn Replay + 'l>, LogError> {
        self.log.replay(progress)
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        let error = |source: ErrorKind| LogError::Io {
            doing: "append as scripted",
            path: "nowhere".into(),
            source: source.into(),
        };
        self.asked.send(()).expect("the test still runs");
        match self.outcomes.recv().expect("an outcome for each append") {
            AppendOutcome::Stored => self.log.append(frame),
            AppendOutcome::NoRoom => Err(AppendError::NoRoom(error(ErrorKind::StorageFull))),
            AppendOutcome::Failed => Err(AppendError::Failed(error(ErrorKind::Other))),
        }
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn id(&self) -> LogId {
        self.log.id()
    }
}
