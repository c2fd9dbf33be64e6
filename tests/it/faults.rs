//! Faults of the disk that a test cannot cause from outside: a slow replay, a full disk, a failing disk. The
//! server runs in this process, on real sockets, over a log that the test scripts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use chinwag::config::ServeConfig;
use chinwag::domain::Epoch;
use chinwag::log::{AppendError, EventLog, Frame, LogError, LogId, MemoryLog, Progress, Replay};
use chinwag::server::{Files, ServeError, serve};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::support::{AppendOutcome, CALLS, Client, RawConnection, post_bytes, problem};

/// A log that waits for the test before it replays, and whose appends end as the test says.
struct FaultyLog {
    log: MemoryLog,
    replay_now: Receiver<()>,
    outcomes: Receiver<AppendOutcome>,
    has_room: Arc<AtomicBool>,
}

fn error(kind: std::io::ErrorKind) -> LogError {
    LogError::Io { doing: "write", path: "/secret/path".into(), source: kind.into() }
}

impl EventLog for FaultyLog {
    fn replay<'l>(&'l mut self, progress: &'l Progress) -> Result<Box<dyn Replay + 'l>, LogError> {
        self.replay_now.recv().map_err(|_| error(std::io::ErrorKind::Other))?;
        self.log.replay(progress)
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        match self.outcomes.recv() {
            Ok(AppendOutcome::Stored) => self.log.append(frame),
            Ok(AppendOutcome::NoRoom) => Err(AppendError::NoRoom(error(std::io::ErrorKind::StorageFull))),
            Ok(AppendOutcome::Failed) | Err(_) => Err(AppendError::Failed(error(std::io::ErrorKind::Other))),
        }
    }

    /// Room for four of the longest messages.
    fn frame_bytes_max(&self) -> usize {
        80 * 1024
    }

    fn look_for_room(&mut self, _: usize) -> Option<Result<(), LogError>> {
        let has_room = self.has_room.load(Ordering::SeqCst);
        Some(if has_room { Ok(()) } else { Err(error(std::io::ErrorKind::StorageFull)) })
    }

    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn id(&self) -> LogId {
        self.log.id()
    }
}

struct FaultyServer {
    address: String,
    client: Client,
    replay_now: Sender<()>,
    outcome: Sender<AppendOutcome>,
    /// Whether the log says that it has room, when it is asked.
    has_room: Arc<AtomicBool>,
    ready: Arc<Notify>,
    shutdown: oneshot::Sender<()>,
    end: JoinHandle<Result<(), ServeError>>,
}

impl FaultyServer {
    /// Returns a server that is still starting.
    async fn starting() -> Self {
        let (replay_now, is_replay_now) = channel();
        let (outcome, outcomes) = channel();
        let has_room = Arc::new(AtomicBool::new(true));
        let log = MemoryLog::default();
        let log = FaultyLog { log, replay_now: is_replay_now, outcomes, has_room: Arc::clone(&has_room) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = Client::new(&address);
        let ready = Arc::new(Notify::new());
        let is_ready = Arc::clone(&ready);
        let (shutdown, is_shut_down) = oneshot::channel();
        let config = ServeConfig::default();
        let end = tokio::spawn(async move {
            let shutdown = async { drop(is_shut_down.await) };
            let ready = move || is_ready.notify_one();
            serve(listener, Box::new(log), &config, Files::default(), ready, shutdown).await
        });
        Self { address, client, replay_now, outcome, has_room, ready, shutdown, end }
    }

    /// Sends a message of this length, whose append has this outcome. Returns the status.
    async fn send(&self, chat: &str, author: &str, bytes: usize, outcome: AppendOutcome) -> u16 {
        self.outcome.send(outcome).unwrap();
        let message = json!({ "chat": chat, "author": author, "text": "x".repeat(bytes) });
        self.client.post("/messages/add", &message).await.status.as_u16()
    }

    /// Returns what `/health` says.
    async fn is_writable(&self) -> bool {
        let health = self.client.get("/health").await;
        assert_eq!(health.status, 200, "reads go on");
        health.json()["writable"].as_bool().expect("yes or no")
    }

    async fn expect_metric(&self, writable: u8) {
        let metrics = self.client.get("/metrics").await.text;
        assert!(metrics.contains(&format!("\nchinwag_writable {writable}\n")), "not {writable}: {metrics}");
    }

    async fn becomes_writable(&self) {
        let asked = Instant::now();
        while !self.is_writable().await {
            assert!(asked.elapsed() < Duration::from_secs(20), "it never becomes writable");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ready() -> Self {
        let server = Self::starting().await;
        server.replay_now.send(()).unwrap();
        server.ready.notified().await;
        server
    }
}

#[tokio::test]
async fn during_replay_calls_are_503_and_health_reports_progress() {
    let server = FaultyServer::starting().await;
    for call in CALLS {
        problem(&server.client.post(call, &json!({ "nonsense": 1 })).await, 503, "starting");
    }
    for call in ["/events?user=nonsense", "/metrics"] {
        problem(&server.client.get(call).await, 503, "starting");
    }
    let health = server.client.get("/health").await;
    problem(&health, 503, "starting");
    for member in ["replayed", "replayed_bytes", "total_bytes"] {
        assert!(health.json()[member].is_u64(), "{member}: {}", health.text);
    }
    server.replay_now.send(()).unwrap();
    server.ready.notified().await;
    let health = server.client.get("/health").await.json();
    assert_eq!((&health["status"], &health["position"]), (&json!("ready"), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn during_replay_long_bodies_get_their_refusal() {
    let server = FaultyServer::starting().await;
    let body = vec![b' '; 16 << 20];
    let mut connection = RawConnection::open(&server.address);
    connection.send(post_bytes("/messages/batch", &body));
    problem(&connection.reply(), 503, "starting");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_room_returns() {
    let server = FaultyServer::ready().await;
    server.outcome.send(AppendOutcome::Stored).unwrap();
    let ann = server.client.add_user("ann").await;
    for _ in 0..2 {
        server.outcome.send(AppendOutcome::NoRoom).unwrap();
        let refused = server.client.post("/users/add", &json!({ "username": "bob" })).await;
        problem(&refused, 507, "storage_full");
        assert!(!refused.text.contains("secret"), "nothing internal leaks: {}", refused.text);
        assert!(server.client.chats(&ann).await.is_empty());
    }
    let taken = server.client.post("/users/add", &json!({ "username": "ann" })).await;
    problem(&taken, 409, "username_taken");
    server.outcome.send(AppendOutcome::Stored).unwrap();
    let stored = server.client.post("/users/add", &json!({ "username": "bob" })).await;
    assert_eq!((stored.status.as_u16(), stored.position()), (201, 2));
}

#[tokio::test]
async fn a_write_that_the_log_cannot_take_is_413() {
    let server = FaultyServer::ready().await;
    (0..3).for_each(|_| server.outcome.send(AppendOutcome::Stored).unwrap());
    let ann = server.client.add_user("ann").await;
    let den = server.client.add_chat("den", &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16 * 1024) });
    let batch = |count| json!({ "messages": vec![&message; count] });
    let refused = server.client.post("/messages/batch", &batch(5)).await;
    problem(&refused, 413, "body_too_large");
    assert!(refused.text.contains("may take 81920"), "{}", refused.text);
    assert_eq!(server.client.post("/messages/batch", &batch(4)).await.status, 201);
}

#[tokio::test]
async fn health_says_whether_writes_have_room() {
    let server = FaultyServer::ready().await;
    for _ in 0..2 {
        server.outcome.send(AppendOutcome::Stored).unwrap();
    }
    let ann = server.client.add_user("ann").await;
    let den = server.client.add_chat("den", &[&ann]).await;
    assert!(server.is_writable().await);
    server.has_room.store(false, Ordering::SeqCst);
    assert_eq!(server.send(&den, &ann, 500, AppendOutcome::NoRoom).await, 507);
    assert!(!server.is_writable().await);
    server.expect_metric(0).await;
    // What still fits proves nothing for what does not.
    assert_eq!(server.send(&den, &ann, 10, AppendOutcome::Stored).await, 201);
    assert!(!server.is_writable().await);
    // No write arrives: the server finds by itself that there is room.
    server.has_room.store(true, Ordering::SeqCst);
    server.becomes_writable().await;
    server.expect_metric(1).await;
}

/// The server looks for room under load, too.
#[tokio::test]
async fn health_follows_the_room_while_others_write() {
    let server = FaultyServer::ready().await;
    for _ in 0..2 {
        server.outcome.send(AppendOutcome::Stored).unwrap();
    }
    let ann = server.client.add_user("ann").await;
    let den = server.client.add_chat("den", &[&ann]).await;
    for has_room in [false, true] {
        server.has_room.store(has_room, Ordering::SeqCst);
        let changed = Instant::now();
        while server.is_writable().await != has_room {
            assert!(changed.elapsed() < Duration::from_secs(20), "it does not look");
            assert_eq!(server.send(&den, &ann, 10, AppendOutcome::Stored).await, 201);
        }
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_is_not_writable() {
    let server = FaultyServer::starting().await;
    server.has_room.store(false, Ordering::SeqCst);
    server.replay_now.send(()).unwrap();
    server.ready.notified().await;
    let started = Instant::now();
    while server.is_writable().await {
        assert!(started.elapsed() < Duration::from_secs(20), "it does not look");
    }
    server.has_room.store(true, Ordering::SeqCst);
    server.becomes_writable().await;
}

#[tokio::test]
async fn a_failed_write_ends_the_server_without_success() {
    let server = FaultyServer::ready().await;
    server.outcome.send(AppendOutcome::Failed).unwrap();
    // The server may end before it answers. If it answers, the status is 500.
    if let Ok(reply) = server.client.try_post("/users/add", &json!({ "username": "ann" })).await {
        problem(&reply, 500, "internal");
        assert!(!reply.text.contains("secret"), "nothing internal leaks: {}", reply.text);
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), server.end).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(ServeError::Writer(_))), "{ended:?}");
}

#[tokio::test]
async fn an_unreadable_log_ends_the_server() {
    let server = FaultyServer::starting().await;
    drop(server.replay_now);
    let ended = tokio::time::timeout(Duration::from_secs(5), server.end).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(ServeError::Log(_))), "{ended:?}");
}

#[tokio::test]
async fn a_queued_write_is_answered_at_shutdown() {
    let server = FaultyServer::ready().await;
    let client = server.client.clone();
    let write = tokio::spawn(async move { client.post("/users/add", &json!({ "username": "ann" })).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!write.is_finished() && !server.end.is_finished());
    server.outcome.send(AppendOutcome::Stored).unwrap();
    assert_eq!(write.await.unwrap().status, 201);
    server.end.await.unwrap().expect("a clean end");
}

#[tokio::test]
async fn a_hanging_disk_cannot_block_shutdown() {
    let server = FaultyServer::ready().await;
    let client = server.client.clone();
    let write =
        tokio::spawn(async move { client.try_post("/users/add", &json!({ "username": "ann" })).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), server.end).await.expect("in time").unwrap();
    assert!(matches!(ended, Err(ServeError::Unfinished)), "{ended:?}");
    // A process would have ended, and could not answer this.
    write.abort();
    assert!(write.await.is_err_and(|error| error.is_cancelled()), "not answered");
}

#[tokio::test]
async fn a_shutdown_during_replay_is_clean() {
    let server = FaultyServer::starting().await;
    server.shutdown.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.end).await.expect("it ends").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}
