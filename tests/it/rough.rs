//! Thousands of rough clients: the server disconnects them in time, serves an honest client beside them at
//! once, and keeps nothing of them.
//!
//! `CHINWAG_ROUGH_CLIENTS` sets the number of clients of each kind.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{RawConnection, TestServer, head, post, post_bytes, problem};

const JSON: &str = "Content-Type: application/json";
/// The deadline of the server for each rough client.
const TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT_FLAGS: [&str; 4] = ["--idle-timeout-s", "2", "--request-timeout-s", "2"];
/// The usual time within which an honest client is served.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The time within which each call of an honest client is served. It allows for a busy machine.
const STALLED: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Rough {
    Idle,
    IdleAfterARequest,
    HalfAHead,
    HalfABody,
    HalfAChunk,
    EndlessHead,
    TooLongABody,
    Garbage,
    TakesNoAnswer,
    TakesNoneOfManyAnswers,
    Vanishes,
}

use Rough::{
    EndlessHead, Garbage, HalfABody, HalfAChunk, HalfAHead, Idle, IdleAfterARequest, TakesNoAnswer,
    TakesNoneOfManyAnswers, TooLongABody, Vanishes,
};

const KINDS: [Rough; 11] = [
    Idle,
    IdleAfterARequest,
    HalfAHead,
    HalfABody,
    HalfAChunk,
    EndlessHead,
    TooLongABody,
    Garbage,
    TakesNoAnswer,
    TakesNoneOfManyAnswers,
    Vanishes,
];

impl Rough {
    /// Returns the request that it sends; some kinds repeat it.
    fn request(self, chat: &str) -> Vec<u8> {
        let get_all = || post("/messages/get", &json!({ "chat": chat }));
        match self {
            Idle => Vec::new(),
            IdleAfterARequest => head("GET", "/health", &[]).into(),
            HalfAHead => b"POST /users/add HTTP/1.1\r\nHost: chinw".to_vec(),
            HalfABody | Vanishes => {
                (head("POST", "/users/add", &[JSON, "Content-Length: 900000"]) + "{").into()
            }
            HalfAChunk => {
                let head = head("POST", "/messages/batch", &[JSON, "Transfer-Encoding: chunked"]);
                (head + "ffff\r\n{\"messages\":[").into()
            }
            EndlessHead => head("GET", "/health", &[&format!("Cookie: {}", "x".repeat(100_000))]).into(),
            TooLongABody => post_bytes("/users/add", &vec![b' '; 2 << 20]),
            Garbage => {
                (0..4_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
            }
            TakesNoAnswer => get_all(),
            TakesNoneOfManyAnswers => get_all().repeat(50),
        }
    }

    fn call(self, address: &str, chat: &str) -> Option<RawConnection> {
        let mut connection = RawConnection::open(address);
        // The server may close the connection before everything is sent.
        drop(connection.try_send(self.request(chat)));
        if matches!(self, Vanishes) { None } else { Some(connection) }
    }
}

fn clients_of_a_kind() -> usize {
    std::env::var("CHINWAG_ROUGH_CLIENTS").map_or(4, |count| count.parse().expect("a number"))
}

/// A server with a chat whose messages fill any socket's buffers.
async fn server_with_a_long_chat() -> (TestServer, String, String) {
    rlimit::increase_nofile_limit(u64::MAX).expect("room for many connections");
    let server = TestServer::start_with(&TIMEOUT_FLAGS);
    let ann = server.add_user("ann").await;
    let chat = server.add_chat("tea", &[&ann]).await;
    let message = json!({ "chat": chat, "author": ann, "text": "x".repeat(16_000) });
    let batch = json!({ "messages": vec![message; 1_000] });
    assert_eq!(server.post("/messages/batch", &batch).await.status, 201);
    (server, ann, chat)
}

/// Connects, writes and reads like an honest client. Returns the time of the slower call.
fn be_honest(server: &TestServer, ann: &str, chat: &str) -> Duration {
    let mut connection = RawConnection::open(&server.address);
    let mut slowest = Duration::ZERO;
    let mut call = |path: &str, body: &Value| {
        let started = Instant::now();
        connection.send(post(path, body));
        let reply = connection.reply();
        slowest = slowest.max(started.elapsed());
        assert!(slowest < STALLED, "{path} took {slowest:?}");
        reply
    };
    let sent = call("/messages/add", &json!({ "chat": chat, "author": ann, "text": "hello" }));
    assert_eq!(sent.status, 201);
    let last = call("/messages/get", &json!({ "chat": chat, "limit": 1 }));
    assert_eq!(last.json()[0]["text"], "hello");
    slowest
}

#[expect(clippy::cast_sign_loss, reason = "a process id is positive")]
fn of_process(server: &TestServer, name: &str) -> String {
    format!("/proc/{}/{name}", server.pid().as_raw_nonzero().get() as u32)
}

fn open_files(server: &TestServer) -> usize {
    std::fs::read_dir(of_process(server, "fd")).expect("Linux").count()
}

fn resident_kilobytes(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(of_process(server, "status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn rough_clients_are_disconnected_and_harm_nobody() {
    let (server, ann, chat) = server_with_a_long_chat().await;
    be_honest(&server, &ann, &chat);
    let files_before = open_files(&server);
    let mut residents = Vec::new();
    let mut honest_calls = Vec::new();
    for _ in 0..4 {
        let mut rough = Vec::new();
        for kind in KINDS {
            rough.extend((0..clients_of_a_kind()).filter_map(|_| kind.call(&server.address, &chat)));
            honest_calls.push(be_honest(&server, &ann, &chat));
        }
        let all_here = Instant::now();
        while all_here.elapsed() < TIMEOUT / 2 {
            honest_calls.push(be_honest(&server, &ann, &chat));
        }
        residents.push(resident_kilobytes(&server));
        // The clients keep their ends open: the server closes the connections.
        while open_files(&server) > files_before {
            assert!(all_here.elapsed() < TIMEOUT * 10, "{} of {files_before} files", open_files(&server));
            honest_calls.push(be_honest(&server, &ann, &chat));
        }
        drop(rough);
    }
    honest_calls.sort_unstable();
    let (median, slowest) = (honest_calls[honest_calls.len() / 2], honest_calls[honest_calls.len() - 1]);
    eprintln!("honest calls: median {median:?}, slowest {slowest:?}; resident: {residents:?} kB");
    assert!(median < AT_ONCE, "honest clients wait {median:?}");
    // The allocator keeps some for the next ones; a leak would double it.
    assert!(residents[3] < residents[0] * 2, "memory grows: {residents:?} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endless_sender_is_disconnected() {
    let (server, ann, chat) = server_with_a_long_chat().await;
    let slow = |request: &[u8]| {
        let mut connection = RawConnection::open(&server.address);
        connection.send(request);
        connection
    };
    let mut heads: Vec<_> = (0..clients_of_a_kind()).map(|_| slow(&HalfAHead.request(&chat))).collect();
    let mut bodies: Vec<_> = (0..clients_of_a_kind()).map(|_| slow(&HalfABody.request(&chat))).collect();
    let started = Instant::now();
    while started.elapsed() < TIMEOUT * 2 {
        for connection in heads.iter_mut().chain(&mut bodies) {
            // The server may have closed the connection.
            drop(connection.try_send("a"));
        }
        be_honest(&server, &ann, &chat);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for connection in &mut heads {
        assert!(!connection.is_silent(Duration::from_secs(1)), "it is still listened to");
    }
    for connection in &mut bodies {
        assert_eq!(connection.head().expect("answered").0, 408);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_disconnected() {
    let (server, _, chat) = server_with_a_long_chat().await;
    let whole = 16_000 * 1_000;
    let mut connection = TakesNoAnswer.call(&server.address, &chat).expect("it stays");
    tokio::time::sleep(TIMEOUT * 2).await;
    assert!(connection.rest().len() < whole, "the server went on sending");
    // A client that reads late, but within the deadline, gets the whole answer.
    let mut connection = TakesNoAnswer.call(&server.address, &chat).expect("it stays");
    tokio::time::sleep(TIMEOUT / 2).await;
    assert!(connection.rest().len() > whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait() {
    let server = TestServer::start_with(&[&TIMEOUT_FLAGS[..], &["--connections-max", "20"]].concat());
    let idle: Vec<_> = (0..20).map(|_| RawConnection::open(&server.address)).collect();
    // The last ones may not be accepted yet.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut waiting = RawConnection::open(&server.address);
    waiting.send(head("GET", "/health", &[]));
    assert!(waiting.is_silent(TIMEOUT / 4), "twenty are enough");
    assert_eq!(waiting.reply().status, 200);
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_bodies_give_way_to_others() {
    const STALLED: usize = 8;
    // A batch may have 32 times 1,024 bytes, and all arriving bodies together 256 times 1,024 bytes.
    let server = TestServer::start_with(&["--body-bytes-max", "1024"]);
    let part = head("POST", "/messages/batch", &[JSON, "Content-Length: 32000"]) + &" ".repeat(30_000);
    let mut stalled: Vec<_> = (0..STALLED).map(|_| RawConnection::open(&server.address)).collect();
    for connection in &mut stalled {
        connection.send(&part);
    }
    // At first none of them is slow, so a further long body may be refused.
    let started = Instant::now();
    let gave_way = loop {
        let mut next = RawConnection::open(&server.address);
        next.send(part.clone() + &" ".repeat(2_000));
        let reply = next.reply();
        match reply.status.as_u16() {
            400 => assert_eq!(problem(&reply, 400, "invalid_json"), None),
            _ => assert_eq!(problem(&reply, 503, "overloaded"), None),
        }
        let is_silent = |connection: &mut RawConnection| connection.is_silent(Duration::from_millis(10));
        if let Some(which) = stalled.iter_mut().position(|connection| !is_silent(connection)) {
            let answered = &mut stalled[which];
            let reply = answered.reply();
            if reply.status == 408 {
                break reply;
            }
            // On a busy machine, the end of its part may come when others have used the memory up.
            problem(&reply, 503, "overloaded");
            *answered = RawConnection::open(&server.address);
            answered.send(&part);
        }
        assert!(started.elapsed() < Duration::from_secs(20), "stalled bodies keep the memory");
    };
    assert_eq!(problem(&gave_way, 408, "request_timeout"), None);
    assert!(gave_way.text.contains("too slowly"), "{}", gave_way.text);
    let mut next = RawConnection::open(&server.address);
    next.send(part.clone() + &" ".repeat(2_000));
    assert_eq!(next.reply().status, 400, "there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_cannot_delay_a_stop() {
    let (server, _, chat) = server_with_a_long_chat().await;
    let calls = KINDS.into_iter().flat_map(|kind| (0..10).map(move |_| kind));
    let rough: Vec<_> = calls.filter_map(|kind| kind.call(&server.address, &chat)).collect();
    server.signal(Signal::TERM);
    let (_, ended) = server.ended(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    drop(rough);
}
