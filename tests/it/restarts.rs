//! Start and stop, watched from outside: how far a long replay is, and what becomes of those who write
//! meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chinwag::domain::{Actor, Event, Position, Record, Timestamp};
use chinwag::log::{EventLog, FileLog, Frame, RealDisk};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{RawConnection, Reply, TestServer, free_address, head, post, post_under, problem};

/// Writes a log of this number of users.
fn log_of(users: u64) -> TempDir {
    const USERS_PER_FRAME: u64 = 100;
    let dir = TempDir::new().unwrap();
    let mut log = FileLog::new(RealDisk::lock(dir.path()).unwrap(), 1 << 20);
    log.make_ready().unwrap();
    let mut frame = Frame::new(Position(1));
    for position in 1..=users {
        let (time, id) = (Timestamp::from_micros(position).unwrap(), Uuid::from_u128(position.into()).into());
        let username = format!("user {position}").into();
        frame.push(&Record { time, by: Actor::Unknown, key: None, event: Event::UserAdded { id, username } });
        if position % USERS_PER_FRAME == 0 || position == users {
            log.append(&mut frame).unwrap();
            frame.restart(Position(position + 1));
        }
    }
    dir
}

/// The progress of a replay: its events, its bytes, and the bytes of the whole log.
fn progress(health: &Reply) -> [u64; 3] {
    problem(health, 503, "starting");
    ["replayed", "replayed_bytes", "total_bytes"].map(|name| health.json()[name].as_u64().unwrap())
}

#[test]
fn the_ready_line_follows_a_watchable_replay() {
    const EVENTS: u64 = 300_000;
    let log = log_of(EVENTS);
    let address = free_address();
    let starting = TestServer::starting_at(log.path(), &["--listen", &address]);
    let ready = std::thread::spawn(move || {
        let server = starting.ready();
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("GET", "/health", &[]));
        (connection.reply(), server)
    });
    let mut connection = connect(&address);
    let mut seen = Vec::new();
    loop {
        connection.send(head("GET", "/health", &[]));
        let health = connection.reply();
        if health.status == 200 {
            break;
        }
        seen.push(progress(&health));
        connection.send(post("/users/get", &json!({ "username": "user 1" })));
        let refused = connection.reply();
        // The server may have become ready in between.
        if refused.status != 200 {
            problem(&refused, 503, "starting");
        }
    }
    let replayed_and_more = seen.windows(2).all(|pair| (0..3).all(|of| pair[0][of] <= pair[1][of]));
    assert!(replayed_and_more, "{seen:?}");
    let under_way = |&&[events, bytes, bytes_total]: &&[u64; 3]| {
        (1..EVENTS).contains(&events) && (1..bytes_total).contains(&bytes)
    };
    assert!(seen.iter().filter(under_way).count() > 1, "nothing was seen of it: {seen:?}");
    let (health, server) = ready.join().expect("it becomes ready");
    assert_eq!(server.address, address);
    assert_eq!((health.status.as_u16(), health.json()["position"].as_u64()), (200, Some(EVENTS)));
}

/// Connects to a server that will listen soon.
fn connect(address: &str) -> RawConnection {
    loop {
        match RawConnection::try_open(address) {
            Ok(connection) => return connection,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// While a process is stopped, the kernel accepts its connections and their bytes. When the process
/// continues, all of them are there at once.
#[tokio::test]
async fn requests_before_a_stop_are_answered() {
    const EACH: usize = 20;
    // At most as many as the kernel queues on a usual machine.
    const WAITING: usize = 100;
    let server = TestServer::start();
    let user = |number: usize| post("/users/add", &json!({ "username": format!("user {number}") }));
    let mut kept: Vec<_> = (0..EACH).map(|_| RawConnection::open(&server.address)).collect();
    for connection in &mut kept {
        connection.send(head("GET", "/health", &[]));
        assert_eq!(connection.reply().status, 200);
    }
    let unused = (0..EACH).map(|_| RawConnection::open(&server.address));
    let mut connections: Vec<_> = kept.into_iter().chain(unused).collect();
    let mut last = RawConnection::open(&server.address);
    last.send(head("GET", "/health", &[]));
    assert_eq!(last.reply().status, 200, "all before it were accepted");
    server.signal(Signal::STOP);
    connections.extend((0..WAITING).map(|_| RawConnection::open(&server.address)));
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.send(user(number));
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    let mut answered = Vec::new();
    for (number, connection) in connections.iter_mut().enumerate() {
        let Some(reply) = connection.reply_or_end() else { continue };
        assert_eq!(reply.status, 201, "{}", reply.text);
        assert!(connection.rest().is_empty(), "closed after its answer");
        answered.push(number);
    }
    let (stopped, ended) = server.ended(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(answered.iter().copied().eq(0..2 * EACH + WAITING), "answered: {answered:?}");
    assert_eq!(stopped.restart().position().await, connections.len() as u64);
}

/// Otherwise a client that keeps its connection could send a request just as the connection is closed, and
/// would get no answer.
#[test]
fn a_stop_announces_closing_in_an_answer() {
    const ROUNDS: usize = 10;
    // The answer must come within half a second, and in one round the machine may be too busy for that.
    let told = (0..ROUNDS).any(|_| {
        let server = TestServer::start();
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("GET", "/health", &[]));
        assert!(!connection.reply().headers.contains_key("connection"));
        server.signal(Signal::TERM);
        while RawConnection::try_open(&server.address).is_ok() {}
        std::thread::sleep(Duration::from_millis(50));
        let sent = connection.try_send(post("/users/add", &json!({ "username": "ann" })));
        let reply = sent.ok().and_then(|()| connection.reply_or_end());
        if let Some(reply) = &reply {
            assert_eq!((reply.status.as_u16(), reply.header("connection")), (201, "close"), "{}", reply.text);
            assert!(connection.rest().is_empty());
        }
        let (_, ended) = server.ended(Duration::from_secs(10));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        reply.is_some()
    });
    assert!(told, "closed without a word, {ROUNDS} times");
}

/// The results of one writer.
#[derive(Default)]
struct Diary {
    /// Texts that were answered 201, with the answer.
    said: Vec<(String, Value)>,
    /// Requests that had no byte of an answer, and were sent again.
    unanswered: usize,
    /// Requests that were answered 503, and were sent again.
    refused: usize,
}

impl Diary {
    /// Sends one message after the other, each until it is answered 201, over connections that it keeps.
    fn write(&mut self, address: &str, (chat, author): (&str, &str), name: &str, is_over: impl Fn() -> bool) {
        let mut connection = None;
        for number in 0.. {
            if is_over() {
                return;
            }
            let text = format!("{name}: {number} {}", "x".repeat(number * 37 % 400));
            let body = json!({ "chat": chat, "author": author, "text": text });
            let request = post_under(&format!("{name}-{number}"), "/messages/add", &body);
            let sent = self.send(address, &mut connection, &request);
            self.said.push((text, sent.json()));
        }
    }

    fn send(&mut self, address: &str, kept: &mut Option<RawConnection>, request: &[u8]) -> Reply {
        loop {
            let mut connection = kept.take().unwrap_or_else(|| connect(address));
            let sent = connection.try_send(request);
            // The answer is complete, or there is no answer.
            let Some(reply) = sent.ok().and_then(|()| connection.reply_or_end()) else {
                self.unanswered += 1;
                continue;
            };
            if !reply.headers.contains_key("connection") {
                *kept = Some(connection);
            }
            if reply.status == 201 {
                return reply;
            }
            let code = reply.json()["code"].as_str().unwrap().to_owned();
            assert!(["starting", "shutting_down"].contains(&code.as_str()), "{}", reply.text);
            problem(&reply, 503, &code);
            self.refused += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test]
async fn a_rolling_restart_loses_and_repeats_nothing() {
    const WRITERS: usize = 32;
    const ROUNDS: usize = 5;
    let address = free_address();
    let server = TestServer::start_with(&["--listen", &address]);
    let author = server.add_user("ann").await;
    let chat = server.add_chat("tea", &[&author]).await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let is_over = AtomicBool::new(false);
    let write = |number: usize| {
        let mut diary = Diary::default();
        let is_over = || is_over.load(Ordering::Relaxed) || Instant::now() > deadline;
        diary.write(&address, (&chat, &author), &format!("writer-{number}"), is_over);
        diary
    };
    let (server, diaries) = std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(move || write(number))).collect();
        let server = (0..ROUNDS).fold(server, |server, round| {
            std::thread::sleep(Duration::from_millis(200 + 61 * round as u64));
            server.signal(Signal::TERM);
            let (stopped, ended) = server.ended(Duration::from_secs(10));
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            stopped.restart()
        });
        assert_eq!(server.address, address);
        is_over.store(true, Ordering::Relaxed);
        let diaries = writers.into_iter().map(|writer| writer.join().expect("no writer panics"));
        (server, diaries.collect::<Vec<_>>())
    });

    let messages = server.messages(&chat).await;
    assert!(messages.iter().zip(1_u64..).all(|(message, seq)| message["seq"] == seq));
    let there: BTreeMap<_, _> =
        messages.iter().map(|message| (message["text"].as_str().expect("text"), message)).collect();
    assert_eq!(there.len(), messages.len(), "a message is there twice");
    let sum = |of: fn(&Diary) -> usize| diaries.iter().map(of).sum::<usize>();
    let said = sum(|diary| diary.said.len());
    for (text, answer) in diaries.iter().flat_map(|diary| &diary.said) {
        let message = there.get(text.as_str()).unwrap_or_else(|| panic!("acknowledged and lost: {text}"));
        for member in ["id", "seq", "created_at"] {
            assert_eq!(message[member], answer[member], "{text}");
        }
    }
    assert_eq!(said, there.len(), "a message that nobody sent");
    assert!(said > WRITERS * ROUNDS, "nothing was tried");
    eprintln!(
        "{ROUNDS} restarts, {WRITERS} writers: {said} messages, each there once; {} requests had no byte of an answer \
         and {} were refused, and were sent again",
        sum(|diary| diary.unanswered),
        sum(|diary| diary.refused),
    );
}
