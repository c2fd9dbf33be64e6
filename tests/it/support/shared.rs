//! A log in memory that several servers share, each on a socket of its own in this process. A test can hold a server
//! back: it then sees nothing that the others write.
//!
//! ```ignore
//! let log = SharedLog::default();
//! let (here, there) = (log.serve(&[]).await, log.serve(&[]).await);
//! there.hold();                                          // from now on, it is behind
//! let position = here.post("/users/add", &json!({ "username": "ann" })).await.position();
//! there.release();                                       // it catches up
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chinwag::config::Cli;
use chinwag::domain::Epoch;
use chinwag::engine::{ReplayProgress, StreamStatus};
use chinwag::log::{AppendError, Caught, EventLog, Frame, LogError, LogId, MemoryLog, Replay, Visit};
use chinwag::server::{Files, Keys, ServeError, serve};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::Client;

/// The log.
#[derive(Clone, Default)]
pub struct SharedLog(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    log: MemoryLog,
    frames: usize,
    /// What wakes each server.
    wakes: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl SharedLog {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Wakes all servers.
    fn wake(&self) {
        let wakes = self.lock().wakes.clone();
        for wake in wakes {
            wake();
        }
    }

    /// Starts a server on the log, with these flags.
    pub async fn serve(&self, flags: &[&str]) -> SharedServer {
        let config = Cli::parse_from(["chinwag"].iter().chain(flags)).serve;
        let keys = Keys::read(&config.access).expect("good files");
        let (status, is_held) = (Arc::<StreamStatus>::default(), Arc::<AtomicBool>::default());
        let one = OneOfServers {
            shared: self.clone(),
            own: MemoryLog::default(),
            known: 0,
            is_held: Arc::clone(&is_held),
            status: Arc::clone(&status),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = Client::new(&listener.local_addr().expect("bound").to_string());
        let (ready, is_ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let files = Files { keys, ..Files::default() };
            let (ready, stopped) = (|| ready.send(()).expect("awaited"), async { drop(stopped.await) });
            serve(listener, Box::new(one), &config, files, ready, stopped).await
        });
        is_ready.await.expect("it becomes ready");
        SharedServer { client, status, is_held, log: self.clone(), stop, serving }
    }
}

/// A server on a shared log.
pub struct SharedServer {
    client: Client,
    /// What the server knows of its stream.
    pub status: Arc<StreamStatus>,
    is_held: Arc<AtomicBool>,
    log: SharedLog,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl SharedServer {
    /// Keeps from the server what others write.
    pub fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
    }

    /// Shows the server again what others write.
    pub fn release(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        self.log.wake();
    }

    /// Stops the server, as a signal does.
    pub async fn stop(self) {
        drop(self.stop);
        let ended = tokio::time::timeout(Duration::from_secs(15), self.serving).await;
        ended.expect("it ends in time").expect("no panic").expect("a clean end");
    }
}

/// A server is called through its client.
impl std::ops::Deref for SharedServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The log as one of the servers has it.
struct OneOfServers {
    shared: SharedLog,
    /// It holds nothing: all frames are in the shared log.
    own: MemoryLog,
    /// The number of frames that were shown, or appended here.
    known: usize,
    is_held: Arc<AtomicBool>,
    status: Arc<StreamStatus>,
}

impl EventLog for OneOfServers {
    fn replay<'l>(&'l mut self, progress: &'l ReplayProgress) -> Result<Box<dyn Replay + 'l>, LogError> {
        self.own.replay(progress)
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        let mut shared = self.shared.lock();
        if self.known < shared.frames {
            return Err(AppendError::Superseded);
        }
        shared.log.append(frame)?;
        shared.frames += 1;
        drop(shared);
        self.known += 1;
        self.status.set_sequence(self.known as u64);
        self.shared.wake();
        Ok(())
    }

    fn wake_by(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.lock().wakes.push(wake.into());
    }

    fn others(&mut self, visit: &mut Visit<'_>) -> Result<(), LogError> {
        if self.is_held.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut shared = self.shared.lock();
        let progress = ReplayProgress::default();
        let (mut replay, mut number) = (shared.log.replay(&progress)?, 0);
        while let Some(frame) = replay.next_frame()? {
            number += 1;
            if number > self.known {
                self.known = number;
                self.status.set_sequence(number as u64);
                visit(frame).expect("a frame of another server is good");
            }
        }
        self.status.note_complete(Duration::ZERO);
        Ok(())
    }

    fn catch_up(&mut self, visit: &mut Visit<'_>) -> Result<Caught, LogError> {
        let before = self.known;
        self.others(visit)?;
        Ok(if self.known == before { Caught::Nothing } else { Caught::Events })
    }

    fn epoch(&self) -> Epoch {
        self.shared.lock().log.epoch()
    }

    fn id(&self) -> LogId {
        self.shared.lock().log.id()
    }

    fn stream_status(&self) -> Option<Arc<StreamStatus>> {
        Some(Arc::clone(&self.status))
    }
}
