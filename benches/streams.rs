//! Measures the memory of an idle stream, and the time until a message reaches a thousand members.
//!
//! `cargo bench --bench streams`; with `-- --test`, small sizes that only show that it runs.

#![expect(clippy::print_stdout, reason = "its result goes to stdout")]

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

struct Sizes {
    idle: usize,
    members: usize,
    messages: u32,
}

#[tokio::main]
async fn main() {
    let is_test = env::args().any(|argument| argument == "--test");
    let sizes = if is_test {
        Sizes { idle: 20, members: 10, messages: 3 }
    } else {
        Sizes { idle: 10_000, members: 1_000, messages: 200 }
    };
    rlimit::increase_nofile_limit(u64::MAX).expect("room for many connections");
    measure_idle(sizes.idle).await;
    for others in [0, 8] {
        measure_latency(&sizes, others).await;
    }
}

struct Server {
    process: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = Command::new(env!("CARGO_BIN_EXE_chinwag"))
            .args(["serve", "--listen", "127.0.0.1:0", "--connections-max", "20000", "--data"])
            .arg(dir.path().join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let address = line.trim_end().rsplit('/').next().expect("an address").to_owned();
        Self { process, address, _dir: dir }
    }

    fn resident_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).await.expect("connected");
        stream.set_nodelay(true).expect("an open connection");
        stream
    }

    /// Opens a stream, and reads the head of the answer and its first chunk.
    async fn follow(&self, user: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("GET /events?user={user} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut read = Vec::new();
        while !read.windows(3).any(|window| window == b"\n\n\r") {
            assert!(stream.read_buf(&mut read).await.expect("read") > 0, "disconnected");
        }
        stream
    }

    async fn add_user(&self, name: &str) -> String {
        self.add("/users/add", &json!({ "username": name })).await
    }

    async fn add(&self, path: &str, body: &Value) -> String {
        let answer = post(&mut self.connect().await, path, body).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["id"].as_str().expect("an id").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Sends a request, and returns the body of its answer, which is short.
async fn post(stream: &mut TcpStream, path: &str, body: &Value) -> String {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.expect("read");
    let answer = std::str::from_utf8(&answer[..length]).expect("text");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
async fn measure_idle(streams: usize) {
    let server = Server::start();
    let user = server.add_user("ann").await;
    server.add("/chats/add", &json!({ "name": "den", "users": [user] })).await;
    // The first stream also costs what all streams share.
    let mut open = vec![server.follow(&user).await];
    let before = server.resident_bytes();
    while open.len() <= streams {
        open.push(server.follow(&user).await);
    }
    let each = (server.resident_bytes() - before) as f64 / streams as f64;
    println!("{streams} idle streams: {:.1} KiB of the server's memory each", each / 1024.0);
}

/// Sends messages to a chat whose members all have streams, while others write to other chats as fast as they
/// can.
async fn measure_latency(sizes: &Sizes, others: usize) {
    let server = Arc::new(Server::start());
    let mut users = Vec::new();
    for number in 0..sizes.members {
        users.push(server.add_user(&format!("user {number}")).await);
    }
    let crowd = server.add("/chats/add", &json!({ "name": "crowd", "users": users })).await;
    let began = Instant::now();
    let latency_us = Arc::new(Mutex::new(Histogram::<u64>::new(3).expect("three digits")));
    let mut readers = JoinSet::new();
    for user in &users {
        let stream = server.follow(user).await;
        readers.spawn(read(stream, sizes.messages, began, Arc::clone(&latency_us)));
    }
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for number in 0..others {
        let other = server.add_user(&format!("other {number}")).await;
        let chat = json!({ "name": format!("other {number}"), "users": [other] });
        let body = json!({ "chat": server.add("/chats/add", &chat).await, "author": other, "text": "hello" });
        let (mut stream, stop, written) = (server.connect().await, Arc::clone(&stop), Arc::clone(&written));
        writers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                post(&mut stream, "/messages/add", &body).await;
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut sender = server.connect().await;
    let started = Instant::now();
    for _ in 0..sizes.messages {
        let text = format!("sent at {}", began.elapsed().as_micros());
        post(&mut sender, "/messages/add", &json!({ "chat": crowd, "author": users[0], "text": text })).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seconds = started.elapsed().as_secs();
    while let Some(read) = readers.join_next().await {
        read.expect("no reader panics");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(wrote) = writers.join_next().await {
        wrote.expect("no writer panics");
    }
    let latency_us = latency_us.lock();
    let ms =
        |quantile: f64| Duration::from_micros(latency_us.value_at_quantile(quantile)).as_secs_f64() * 1e3;
    println!(
        "a message to {} members, {others} others writing {} messages/s: sent to received p50 {:.1} ms, \
         p99 {:.1} ms, max {:.1} ms",
        sizes.members,
        written.load(Ordering::Relaxed) / seconds.max(1),
        ms(0.5),
        ms(0.99),
        ms(1.0),
    );
}

/// Reads `messages` messages, each of which contains the time when it was sent.
async fn read(mut stream: TcpStream, messages: u32, began: Instant, latency_us: Arc<Mutex<Histogram<u64>>>) {
    let mut text = Vec::new();
    let mut received = 0;
    while received < messages {
        assert!(stream.read_buf(&mut text).await.expect("read") > 0, "disconnected");
        let now = began.elapsed();
        while let Some(end) = text.windows(2).position(|window| window == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = std::str::from_utf8(&event).expect("text");
            if let Some((_, rest)) = event.split_once("sent at ") {
                let sent = rest.split_once('"').expect("text ends").0.parse().expect("a number");
                let took = now.saturating_sub(Duration::from_micros(sent)).as_micros();
                latency_us.lock().record(u64::try_from(took).expect("short")).expect("in range");
                received += 1;
            }
        }
    }
}
