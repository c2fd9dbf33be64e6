//! Many streams at once: over kills under load, opened and dropped by the thousand, and never read.
//!
//! `CHINWAG_STREAM_ROUNDS` and `CHINWAG_STREAMS` set the number of kills and of streams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::support::{Client, Event, RawConnection, TestServer, binary, head};

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// A client that follows a user, and reconnects after each kill.
struct Reader {
    user: String,
    read: Vec<Event>,
}

impl Reader {
    /// Reads until the server goes away.
    async fn read_until_it_dies(mut self, client: Client) -> Self {
        if let Ok(mut stream) = client.try_follow(&self.user, Some(self.last_id())).await {
            while let Some(event) = stream.next_ever().await {
                self.read.push(event);
            }
        }
        self
    }

    fn last_id(&self) -> u64 {
        self.read.last().map_or(0, |event| event.id)
    }
}

/// Sends messages, membership changes and read marks, one after the other, until the server goes away.
async fn write_until_it_dies(client: Client, chats: Vec<String>, users: Vec<String>, number: usize) {
    for step in 0_usize.. {
        let (chat, user) = (&chats[(step * 7 + number) % chats.len()], &users[(step + number) % users.len()]);
        let (path, body) = match (step + number) % 12 {
            2 => ("/chats/users/remove", json!({ "chat": chat, "user": user })),
            3 | 7 => ("/chats/users/add", json!({ "chat": chat, "user": user })),
            5 => ("/chats/read", json!({ "chat": chat, "user": user, "seq": step / 12 })),
            9 => {
                let message = json!({ "chat": chat, "author": users[0], "text": format!("{number} {step}") });
                ("/messages/batch", json!({ "messages": vec![message; 5] }))
            }
            _ => {
                ("/messages/add", json!({ "chat": chat, "author": user, "text": format!("{number} {step}") }))
            }
        };
        // A user who was just removed is refused.
        if client.try_post(path, &body).await.is_err() {
            return;
        }
    }
}

/// The events that users see, according to an export of the log.
pub struct History {
    /// Those of each user. A chat is its id only, because a stream shows it as it is when the event is sent.
    seen: BTreeMap<String, Vec<Event>>,
    /// The ids of the read marks that a later mark of the same user in the same chat has overtaken.
    overtaken: BTreeSet<u64>,
}

impl History {
    /// Returns the history that is in the log of this directory.
    pub fn exported(data: &Path) -> Self {
        let output = binary().arg("export").arg("--data").arg(data).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut seen: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut lasts: BTreeMap<String, u64> = BTreeMap::new();
        let mut marks: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut overtaken = BTreeSet::new();
        for line in String::from_utf8(output.stdout).expect("text").lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let id = line["position"].as_u64().expect("a position");
            let mut tell = |users: &[String], kind: &str, data: Value| {
                for user in users {
                    let event = Event { id, kind: kind.to_owned(), data: data.clone() };
                    seen.entry(user.clone()).or_default().push(event);
                }
            };
            let (chat, user) = (text("chat"), text("user"));
            let membership = json!({ "chat": chat, "user": user });
            match text("type").as_str() {
                "chat_added" => {
                    let users: Vec<String> = serde_json::from_value(line["users"].clone()).expect("ids");
                    tell(&users, "chat", line["id"].clone());
                    members.insert(text("id"), users);
                }
                "message_added" => {
                    let seq = lasts.entry(chat.clone()).or_default();
                    *seq += 1;
                    let data = json!({
                        "id": line["id"], "chat": chat, "author": line["author"], "text": line["text"],
                        "created_at": line["time"], "seq": seq,
                    });
                    tell(&members[&chat], "message", data);
                }
                "member_added" => {
                    let members = members.get_mut(&chat).expect("a chat");
                    tell(members, "member", membership);
                    tell(std::slice::from_ref(&user), "chat", json!(chat));
                    members.push(user);
                }
                "member_removed" => {
                    let members = members.get_mut(&chat).expect("a chat");
                    tell(members, "member_removed", membership);
                    members.retain(|member| *member != user);
                }
                "read_marked" => {
                    tell(&members[&chat], "read", json!({ "chat": chat, "user": user, "seq": line["seq"] }));
                    overtaken.extend(marks.insert((chat, user), id));
                }
                _ => {}
            }
        }
        Self { seen, overtaken }
    }

    /// Returns the number of events that a user sees.
    fn count(&self, user: &str) -> usize {
        self.seen[user].len()
    }

    /// Returns the id of the last event that a user sees.
    pub fn last_id(&self, user: &str) -> u64 {
        self.seen[user].last().expect("something happened").id
    }

    /// Checks that the streams of a user showed everything once and in order. Marks that were overtaken may be left
    /// out.
    pub fn check_read(&self, user: &str, mut read: Vec<Event>) {
        for event in read.iter_mut().filter(|event| event.kind == "chat") {
            event.data = event.data["id"].take();
        }
        let read_ids: BTreeSet<u64> = read.iter().map(|event| event.id).collect();
        let (found, mut missing): (Vec<_>, Vec<_>) =
            self.seen[user].iter().partition(|event| read_ids.contains(&event.id));
        missing.retain(|event| !self.overtaken.contains(&event.id));
        assert!(missing.is_empty(), "{user} did not read {missing:?}");
        assert!(read.iter().eq(found), "another history of {user}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_stay_complete_over_kills() {
    const WRITERS: usize = 8;
    let (rounds, streams) = (setting("CHINWAG_STREAM_ROUNDS", 3), setting("CHINWAG_STREAMS", 20));
    let mut server = TestServer::start();
    let mut users = Vec::new();
    for number in 0..10 {
        users.push(server.add_user(&format!("user {number}")).await);
    }
    let mut chats = Vec::new();
    for number in 0..6 {
        let members: Vec<&str> = users.iter().step_by(number + 1).map(String::as_str).collect();
        chats.push(server.add_chat(&format!("chat {number}"), &members).await);
    }
    let user_of = |number: usize| users[number % users.len()].clone();
    let mut readers: Vec<_> =
        (0..streams).map(|number| Reader { user: user_of(number), read: Vec::new() }).collect();
    for round in 0..rounds {
        let running: Vec<JoinHandle<Reader>> = readers
            .drain(..)
            .map(|reader| tokio::spawn(reader.read_until_it_dies(server.client())))
            .collect();
        let write = |number| write_until_it_dies(server.client(), chats.clone(), users.clone(), number);
        let writers: Vec<_> = (0..WRITERS).map(|number| tokio::spawn(write(number))).collect();
        tokio::time::sleep(Duration::from_millis(150 + 89 * (round as u64) % 300)).await;
        server = server.kill().restart();
        for writer in writers {
            writer.await.expect("no writer panics");
        }
        for reader in running {
            readers.push(reader.await.expect("no reader panics"));
        }
    }
    let history = History::exported(&server.data);
    for mut reader in readers {
        let mut stream = server.follow(&reader.user, Some(reader.last_id())).await;
        while reader.last_id() < history.last_id(&reader.user) {
            reader.read.push(stream.next().await.expect("the stream goes on"));
        }
        history.check_read(&reader.user, reader.read);
    }
    let told: usize = (0..streams).map(|number| history.count(&user_of(number))).sum();
    assert!(told > rounds * streams, "nothing was tried");
    eprintln!("{rounds} kills, {streams} streams: {told} events told, each once and in order");
}

fn open_files(server: &TestServer) -> usize {
    let files = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
    std::fs::read_dir(files).expect("Linux").count()
}

/// Returns the number of open streams, as the server counts them.
async fn open_streams(server: &TestServer) -> usize {
    let metrics = server.get("/metrics").await.text;
    let count = metrics.lines().find_map(|line| line.strip_prefix("chinwag_streams "));
    count.expect("it is among the metrics").parse().expect("a number")
}

#[tokio::test]
async fn dropped_streams_leave_nothing_behind() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    server.add_message(&den, &ann, "hello").await;
    let before = open_files(&server);
    for round in 0..40 {
        let mut streams = Vec::new();
        for number in 0..100 {
            let mut stream = RawConnection::open(&server.address);
            stream.send(head("GET", &format!("/events?user={ann}&after={}", number % 3), &[]));
            streams.push(stream);
        }
        if round % 2 == 0 {
            assert_eq!(streams[99].head().expect("answered").0, 200);
        }
        server.add_message(&den, &ann, "hello").await;
    }
    // The server notices that before a comment would show it.
    let deadline = Instant::now() + Duration::from_secs(10);
    // The client of this test keeps one.
    while open_files(&server) > before + 1 || open_streams(&server).await > 0 {
        let (files, streams) = (open_files(&server), open_streams(&server).await);
        assert!(Instant::now() < deadline, "{files} files (of {before}) and {streams} streams are open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_subscriber_is_disconnected_and_can_resume() {
    const LAZY: usize = 2;
    const BATCHES: usize = 4;
    /// Number of messages in a batch, and of those that are sent one by one right after it.
    const BATCH: usize = 500;
    const SINGLE: usize = 25;
    // The client's own idle connections are closed soon, too.
    let server = TestServer::start_with(&["--idle-timeout-s", "2", "--request-timeout-s", "2"]);
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let before = open_files(&server);
    let mut lazy: Vec<_> = (0..LAZY)
        .map(|_| {
            let mut lazy = RawConnection::open(&server.address);
            lazy.send(head("GET", &format!("/events?user={ann}"), &[]));
            assert_eq!(lazy.head().expect("answered").0, 200);
            lazy
        })
        .collect();
    let mut diligent = server.follow(&ann, None).await;
    // It reads in a task of its own, because a pause on a busy machine would get it disconnected.
    let diligent = tokio::spawn(async move { diligent.take_events(BATCHES * (BATCH + SINGLE)).await });
    // More than any socket's buffers hold.
    let message = json!({ "chat": den, "author": ann, "text": "x".repeat(16_000) });
    let batch = json!({ "messages": vec![message; BATCH] });
    let mut times = Vec::new();
    for _ in 0..BATCHES {
        assert_eq!(server.post("/messages/batch", &batch).await.status, 201);
        // Beside readers that have just stopped reading and are not yet disconnected.
        for _ in 0..SINGLE {
            let start = Instant::now();
            server.add_message(&den, &ann, "hello").await;
            times.push(start.elapsed());
        }
    }
    let next = 3 + (BATCHES * (BATCH + SINGLE)) as u64;
    let read = diligent.await.expect("the reader does not panic");
    assert!(read.iter().map(|event| event.id).eq(3..next));
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("sent beside readers who never read: median {median:?}, longest {longest:?}");
    assert!(median < Duration::from_millis(100) && longest < Duration::from_secs(5), "{times:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    // The connection of the calls is one of those before, and the stream that was read is closed.
    while open_files(&server) > before {
        assert!(Instant::now() < deadline, "they were not cut off");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // They read what they were sent, and resume from there.
    for lazy in &mut lazy {
        let text = String::from_utf8_lossy(&lazy.rest()).into_owned();
        let (read, _) = text.rsplit_once("\n\n").expect("something was sent");
        let ids = read.lines().filter_map(|line| line.strip_prefix("id: "));
        let ids: Vec<u64> = ids.map(|id| id.split('-').next().unwrap().parse().expect("a number")).collect();
        // The first id is that of `begin`.
        let last = 1 + ids.len() as u64;
        let left = BATCHES * (BATCH + SINGLE) - (ids.len() - 1);
        assert!(ids.iter().copied().eq(2..=last) && left > 0, "{} events", ids.len());
        let rest = server.follow(&ann, Some(last)).await.take_events(left).await;
        assert!(rest.iter().map(|event| event.id).eq(last + 1..next));
    }
}

/// Connects with a receive buffer of a few kilobytes, and follows a user.
async fn follow_with_a_tiny_buffer(server: &TestServer, user: &str) -> RawConnection {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("set");
    let stream = socket.connect(server.address.parse().expect("an address")).await.expect("connected");
    let stream = stream.into_std().expect("a socket");
    stream.set_nonblocking(false).expect("set");
    let mut connection = RawConnection::over(stream);
    connection.send(head("GET", &format!("/events?user={user}"), &[]));
    assert_eq!(connection.head().expect("answered").0, 200);
    connection
}

/// The bytes that wait are in the socket, so no write of the server waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_drops_a_reader_with_bytes_waiting() {
    let server = TestServer::start_with(&["--request-timeout-s", "1"]);
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let (den, empty) = (server.add_chat("den", &[&ann]).await, server.add_chat("empty", &[&bob]).await);
    let mut lazy = follow_with_a_tiny_buffer(&server, &ann).await;
    let mut diligent = server.follow(&ann, None).await;
    let mut nothing_waits = server.follow(&bob, None).await;
    for _ in 0..3 {
        server.add_message(&den, &ann, &"x".repeat(16_000)).await;
    }
    assert_eq!(diligent.take_events(3).await.len(), 3);
    // From here on, nothing happens on these streams.
    let deadline = Instant::now() + Duration::from_secs(20);
    while open_streams(&server).await == 3 {
        assert!(Instant::now() < deadline, "it was not disconnected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(lazy.rest().len() < 3 * 16_000, "it was sent everything");
    server.add_message(&den, &ann, "hello").await;
    server.add_message(&empty, &bob, "hello").await;
    for kept in [&mut diligent, &mut nothing_waits] {
        assert_eq!(kept.next().await.expect("an event").data["text"], "hello");
    }
    assert_eq!(open_streams(&server).await, 2);
}
