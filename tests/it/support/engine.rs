//! An engine in this process, on a directory of its own.

use std::path::Path;

use chinwag::domain::{Actor, Command, IdempotencyKey, Position, UserId, Username};
use chinwag::engine::{Accepted, Engine, EngineSettings, ReplayProgress, SubmitError, WriterEnd};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::Outcome;
use chinwag::tools::{Import, Lenience, dump, import};
use tempfile::TempDir;

/// The engine, and what it takes to restart it.
pub struct TestEngine {
    pub engine: Engine,
    dir: TempDir,
    end: WriterEnd,
}

const SETTINGS: EngineSettings = EngineSettings { queue_max: 1_000, can_follow_all: false, scrub: None };

impl TestEngine {
    pub fn start() -> Self {
        Self::start_at(TempDir::new().unwrap())
    }

    pub fn start_at(dir: TempDir) -> Self {
        let log = FileLog::new(RealDisk::lock(dir.path()).unwrap(), SEGMENT_BYTES_MIN);
        let (engine, end) = Engine::start(Box::new(log), SETTINGS, &ReplayProgress::default()).unwrap();
        Self { engine, dir, end }
    }

    pub async fn restart(self) -> Self {
        Self::start_at(self.stop().await)
    }

    /// Stops the engine. Returns its directory.
    pub async fn stop(mut self) -> TempDir {
        self.engine.close();
        self.end.wait().await.unwrap();
        self.dir
    }

    /// Submits without a key. Returns what came of it, which must be accepted.
    pub async fn submit(&self, command: Command, by: Actor<'static>) -> Outcome {
        self.engine.submit(command, None, by).await.unwrap().receipt.outcome
    }

    /// Submits under a key.
    pub async fn submit_keyed(
        &self,
        key: &str,
        command: Command,
        by: Actor<'static>,
    ) -> Result<Accepted, SubmitError> {
        let key = IdempotencyKey::new(key.to_owned(), &command, &by).unwrap();
        self.engine.submit(command, Some(key), by).await
    }

    pub async fn add_user(&self, username: &str) -> UserId {
        let outcome = self.submit(add_user(username), Actor::Unknown).await;
        let Outcome::User(user) = outcome else { panic!("{outcome:?}") };
        user
    }
}

pub fn add_user(username: &str) -> Command {
    Command::AddUser { username: Username::try_from(username.to_owned()).unwrap() }
}

/// Returns the server key of this name.
pub fn server_key(name: &str) -> Actor<'static> {
    Actor::key(name.to_owned()).unwrap()
}

/// Returns the lines of the export of a directory.
pub fn exported(dir: &Path) -> String {
    let mut lines = Vec::new();
    dump(dir, Position(1), &mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

/// Returns a directory with the log of these lines.
pub fn imported(lines: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let into = Import { data: dir.path().to_owned(), segment_bytes: SEGMENT_BYTES_MIN };
    import(&into, &Lenience::default(), lines.as_bytes(), std::io::sink()).unwrap();
    dir
}
