//! A log in memory that several servers share, each on a socket of its own in this process. A test can hold a server
//! back: it then sees nothing that the others write. The servers can ask each other if the test wants that.
//!
//! ```ignore
//! let log = SharedLog::default();
//! let (here, there) = (log.serve(&[]).await, log.serve(&[]).await);
//! there.hold();                                          // from now on, it is behind
//! let position = here.post("/users/add", &json!({ "username": "ann" })).await.position();
//! there.release();                                       // it catches up
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chinwag::config::Cli;
use chinwag::domain::Epoch;
use chinwag::engine::{ReplayProgress, StreamStatus};
use chinwag::log::stream::{Answerer, PeerReply, Peers, WriterId};
use chinwag::log::{AppendError, Caught, EventLog, Frame, LogError, LogId, MemoryLog, Replay, Visit};
use chinwag::server::{Files, Keys, ServeError, serve};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::client::Client;

/// The log.
#[derive(Clone, Default)]
pub struct SharedLog(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    log: MemoryLog,
    /// The server that wrote each frame.
    writers: Vec<WriterId>,
    /// What the servers make of each other; `None` if they cannot ask each other.
    peers: Option<Arc<Mutex<HashMap<WriterId, Peer>>>>,
    /// What wakes each server.
    wakes: Vec<Arc<dyn Fn() + Send + Sync>>,
}

/// A server that can be asked.
#[derive(Clone)]
enum Peer {
    Answers(Arc<Answerer>),
    /// It gets questions, and does not answer.
    Silent,
    /// It ends with the questions that it has got.
    Dies,
    /// It answers everything with this.
    Says(&'static str),
}

impl SharedLog {
    /// Returns a log whose servers can ask each other.
    pub fn of_peers() -> Self {
        let log = Self::default();
        log.lock().peers = Some(Arc::default());
        log
    }

    /// Returns the number of frames that this server has written.
    pub fn written_by(&self, server: &SharedServer) -> usize {
        self.lock().writers.iter().filter(|writer| **writer == server.writer).count()
    }

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
        let writer = WriterId::random();
        let one = OneOfServers {
            shared: self.clone(),
            own: MemoryLog::default(),
            known: 0,
            writer,
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
        SharedServer { client, writer, status, is_held, log: self.clone(), stop, serving }
    }
}

/// A server on a shared log.
pub struct SharedServer {
    client: Client,
    writer: WriterId,
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

    /// Lets the server get questions of others, and answer none.
    pub fn keep_silent(&self) {
        self.be(Peer::Silent);
    }

    /// Lets the server end as soon as it has got a question.
    pub fn die_with_questions(&self) {
        self.be(Peer::Dies);
    }

    /// Returns what the server answers to a question of another one.
    pub async fn answer_to(&self, question: &str) -> String {
        let peers = self.log.lock().peers.clone().expect("servers that can ask each other");
        let own = SharedPeers { all: peers, own: self.writer };
        match own.ask(self.writer, question.into()).await {
            PeerReply::Answer(answer) => String::from_utf8(answer).expect("text"),
            PeerReply::Undelivered | PeerReply::Silent => panic!("no answer"),
        }
    }

    /// Lets the server answer everything with this.
    pub fn say(&self, answer: &'static str) {
        self.be(Peer::Says(answer));
    }

    fn be(&self, peer: Peer) {
        let peers = self.log.lock().peers.clone().expect("servers that can ask each other");
        peers.lock().expect("nobody panics with it").insert(self.writer, peer);
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
    writer: WriterId,
    is_held: Arc<AtomicBool>,
    status: Arc<StreamStatus>,
}

impl EventLog for OneOfServers {
    fn replay<'l>(&'l mut self, progress: &'l ReplayProgress) -> Result<Box<dyn Replay + 'l>, LogError> {
        self.own.replay(progress)
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        let mut shared = self.shared.lock();
        if self.known < shared.writers.len() {
            return Err(AppendError::Superseded);
        }
        shared.log.append(frame)?;
        shared.writers.push(self.writer);
        drop(shared);
        self.known += 1;
        self.status.set_writer(None);
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
        let writer = shared.writers.last().copied();
        self.status.set_writer(writer.filter(|writer| *writer != self.writer));
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

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        let all = self.shared.lock().peers.clone()?;
        Some(Arc::new(SharedPeers { all, own: self.writer }))
    }
}

/// A server that ends is not asked any more, whether it stops or panics.
impl Drop for OneOfServers {
    fn drop(&mut self) {
        let shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peers) = &shared.peers {
            peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.writer);
        }
    }
}

struct SharedPeers {
    all: Arc<Mutex<HashMap<WriterId, Peer>>>,
    own: WriterId,
}

impl Peers for SharedPeers {
    fn ask(
        &self,
        writer: WriterId,
        question: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = PeerReply> + Send + '_>> {
        let peer = self.all.lock().expect("nobody panics with it").get(&writer).cloned();
        Box::pin(async move {
            match peer {
                None => PeerReply::Undelivered,
                Some(Peer::Answers(answerer)) => PeerReply::Answer(answerer(question).await),
                Some(Peer::Silent) => PeerReply::Silent,
                Some(Peer::Dies) if question.is_empty() => PeerReply::Undelivered,
                Some(Peer::Dies) => std::future::pending().await,
                Some(Peer::Says(answer)) => PeerReply::Answer(answer.into()),
            }
        })
    }

    fn answer_by(&self, answerer: Answerer) {
        let peer = Peer::Answers(Arc::new(answerer));
        self.all.lock().expect("nobody panics with it").insert(self.own, peer);
    }
}

/// Waits until the answer to a call shows that this holds.
pub async fn wait_until(holds: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < until, "it does not come");
        sleep(Duration::from_millis(5)).await;
    }
}
