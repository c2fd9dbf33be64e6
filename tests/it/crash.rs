//! `kill -9` at any time: acknowledged ⊆ recovered ⊆ submitted, in order, each once. When every unanswered
//! write is retried under its key, recovered = submitted.
//!
//! `CHINWAG_KILL_ROUNDS` and `CHINWAG_KILL_WRITERS` set the number of kills and of writers in the test of
//! retries.

mod changes;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Client, Reply, TestServer};

const WRITERS: usize = 16;

/// The messages of one writer, which sends them one after the other, and their answers.
pub struct Diary {
    pub chat: String,
    /// Texts that were answered 201, with the answer.
    pub acknowledged: Vec<(String, Value)>,
    /// The text in flight when the server went away.
    pub in_doubt: String,
    /// The answer to that text, if there was one.
    pub last_words: Option<Reply>,
}

/// Sends one message after the other and shows each answer to `note`, until an answer is not 201.
pub async fn write_until_it_dies(
    client: Client,
    chat: String,
    author: String,
    name: String,
    note: impl Fn(&Reply),
) -> Diary {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("{name}: {number} {}", "x".repeat(number * 37 % 400));
        let body = json!({ "chat": chat, "author": author, "text": text });
        match client.try_post("/messages/add", &body).await {
            Ok(reply) if reply.status == 201 => {
                note(&reply);
                acknowledged.push((text, reply.json()));
            }
            other => return Diary { chat, acknowledged, in_doubt: text, last_words: other.ok() },
        }
    }
    unreachable!("the loop ends with the server")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acked_messages_survive_kill() {
    kill_under_load(6, WRITERS, |round| Duration::from_millis(60 + 70 * u64::from(round))).await;
}

/// Kills a server under load, again and again, and checks its messages each time. Returns the number of
/// acknowledged messages.
pub async fn kill_under_load(rounds: u32, writers: usize, load: impl Fn(u32) -> Duration) -> usize {
    let mut server = TestServer::start();
    let author = server.add_user("ann").await;
    let mut chats = Vec::new();
    for number in 0..4 {
        chats.push(server.add_chat(&format!("chat {number}"), &[&author]).await);
    }
    let mut expected = BTreeMap::new();
    let mut acknowledged = 0;

    for round in 0..rounds {
        let name = format!("round {round}");
        let writers = start_writers(&server, &chats, &author, writers, &name, |_| {});
        tokio::time::sleep(load(round)).await;
        server = server.kill().restart();
        let diaries = finish_writers(writers).await;
        assert!(diaries.iter().all(|diary| diary.last_words.is_none()), "all is well until the end");
        check_chats(&server, &chats, &mut expected, &diaries).await;
        acknowledged += diaries.iter().map(|diary| diary.acknowledged.len()).sum::<usize>();
    }
    // On a busy machine, not in every round.
    assert!(acknowledged > rounds as usize, "nothing was tried");
    acknowledged
}

/// Starts this number of writers, spread over the chats.
pub fn start_writers(
    client: &Client,
    chats: &[String],
    author: &str,
    writers: usize,
    name: &str,
    note: impl Fn(&Reply) + Clone + Send + 'static,
) -> Vec<JoinHandle<Diary>> {
    let start = |number: usize| {
        let (client, chat) = (client.clone(), chats[number % chats.len()].clone());
        let name = format!("{name}, writer {number}");
        tokio::spawn(write_until_it_dies(client, chat, author.to_owned(), name, note.clone()))
    };
    (0..writers).map(start).collect()
}

/// Waits until the server has ended and returns the diary of each writer.
pub async fn finish_writers(writers: Vec<JoinHandle<Diary>>) -> Vec<Diary> {
    let mut diaries = Vec::new();
    for writer in writers {
        diaries.push(writer.await.expect("no writer panics"));
    }
    diaries
}

/// Checks every chat against the earlier messages and those written since. Then `known` holds the chat's
/// messages.
pub async fn check_chats(
    client: &Client,
    chats: &[String],
    known: &mut BTreeMap<String, Vec<Value>>,
    diaries: &[Diary],
) {
    for chat in chats {
        let recovered = client.messages(chat).await;
        let before = known.entry(chat.clone()).or_default();
        let of_chat: Vec<_> = diaries.iter().filter(|diary| diary.chat == *chat).collect();
        check_round(before, &recovered, &of_chat);
        *before = recovered;
    }
}

/// Checks that the earlier messages are unchanged. Every acknowledged message follows them as it was
/// answered, and an unanswered one may; each is there once.
fn check_round(before: &[Value], recovered: &[Value], diaries: &[&Diary]) {
    assert!(recovered.len() >= before.len(), "{} were there, and are {}", before.len(), recovered.len());
    assert_eq!(&recovered[..before.len()], before);
    for (index, message) in recovered.iter().enumerate() {
        assert_eq!(message["seq"], index + 1);
    }
    let new: BTreeMap<&str, &Value> = recovered[before.len()..]
        .iter()
        .map(|message| (message["text"].as_str().expect("text"), message))
        .collect();
    assert_eq!(new.len(), recovered.len() - before.len(), "a message is there twice");
    let mut accounted = 0;
    for diary in diaries {
        for (text, answer) in &diary.acknowledged {
            let message = new.get(text.as_str()).unwrap_or_else(|| panic!("acknowledged and lost: {text}"));
            for member in ["id", "seq", "created_at"] {
                assert_eq!(message[member], answer[member], "{text}");
            }
        }
        accounted += diary.acknowledged.len() + usize::from(new.contains_key(diary.in_doubt.as_str()));
    }
    assert_eq!(accounted, new.len(), "a message that nobody sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_only_what_survives() {
    let server = TestServer::start();
    let author = server.add_user("ann").await;
    let chat = server.add_chat("tea", &[&author]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = start_writers(&server, std::slice::from_ref(&chat), &author, WRITERS, "load", |_| {});
    let reader = tokio::spawn({
        let (client, chat, stop) = (server.client(), chat.clone(), Arc::clone(&stop));
        async move {
            let mut last_seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let body = json!({ "chat": chat, "limit": 50 });
                let Ok(reply) = client.try_post("/messages/get", &body).await else { break };
                last_seen = reply.json().as_array().expect("a list").clone();
            }
            last_seen
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopped = server.kill();
    stop.store(true, Ordering::Relaxed);
    let seen = reader.await.expect("the reader does not panic");
    finish_writers(writers).await;
    assert!(!seen.is_empty());
    let recovered = stopped.restart().messages(&chat).await;
    for message in &seen {
        assert!(recovered.contains(message), "was seen, and is gone: {message}");
    }
}

/// A writer that sends one write after the other, each under a key, and retries it until it is answered.
pub struct Retrier {
    name: String,
    chat: String,
    user: String,
    /// The number of its next write.
    pub number: usize,
    /// The write that is not answered yet.
    pub unanswered: Option<Keyed>,
    /// The texts that it has sent, with their answers.
    said: Vec<(String, Value)>,
    /// The users that it has created, with their ids.
    made: Vec<(String, String)>,
    /// The last message that it has read.
    mark: u64,
    positions: Vec<u64>,
    pub tally: Tally,
}

#[derive(Clone)]
pub struct Keyed {
    pub key: String,
    pub path: &'static str,
    pub body: Value,
    pub is_retry: bool,
}

impl Keyed {
    /// Returns it as it is sent again.
    pub fn again(self) -> Self {
        Self { is_retry: true, ..self }
    }
}

/// The outcomes of the retried writes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of writes that were already stored: only the answer was lost.
    pub done_before: usize,
    /// Number of writes that were not yet stored.
    pub done_now: usize,
}

impl Retrier {
    pub fn new(name: String, chat: String, user: String) -> Self {
        Self {
            name,
            chat,
            user,
            number: 0,
            unanswered: None,
            said: Vec::new(),
            made: Vec::new(),
            mark: 0,
            positions: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Returns the next write: mostly a message, but also a join, a leave, a read mark or a new user.
    /// Carrying out any of them twice would be noticed.
    fn next(&mut self) -> Keyed {
        let number = self.number;
        self.number += 1;
        let Self { name, chat, user, .. } = self;
        let (path, body) = match number % 16 {
            3 => ("/users/add", json!({ "username": format!("{name}, guest {number}") })),
            6 => ("/chats/users/remove", json!({ "chat": chat, "user": user })),
            7 => ("/chats/users/add", json!({ "chat": chat, "user": user })),
            10 => {
                let read =
                    self.said.last().map_or(0, |(_, answer)| answer["seq"].as_u64().expect("a number"));
                ("/chats/read", json!({ "chat": chat, "user": user, "seq": read }))
            }
            _ => {
                let text = format!("{name}: {number} {}", "x".repeat(number * 37 % 400));
                ("/messages/add", json!({ "chat": chat, "author": user, "text": text }))
            }
        };
        Keyed { key: format!("{name}-{number}"), path, body, is_retry: false }
    }

    /// Writes until the server goes away.
    async fn write_until_it_dies(mut self, client: Client) -> Self {
        while self.write(&client).await {}
        self
    }

    /// Returns the write to send: the unanswered one, or else the next.
    pub fn begin(&mut self) -> Keyed {
        self.unanswered.take().unwrap_or_else(|| self.next())
    }

    /// Sends the next write, or retries the unanswered one. Returns `false` if the server went away.
    async fn write(&mut self, client: &Client) -> bool {
        let write = self.begin();
        match client.try_post_under(&write.key, write.path, &write.body).await {
            Ok(reply) => self.take(&write, &reply),
            Err(_) => self.unanswered = Some(write.again()),
        }
        self.unanswered.is_none()
    }

    /// Notes the answer to a write.
    pub fn take(&mut self, write: &Keyed, reply: &Reply) {
        let Keyed { path, body, is_retry, .. } = write;
        assert!(reply.status.is_success(), "{path} {body}: {}", reply.text);
        match (is_retry, reply.is_replayed()) {
            (false, replayed) => assert!(!replayed, "sent for the first time: {path} {body}"),
            (true, true) => self.tally.done_before += 1,
            (true, false) => self.tally.done_now += 1,
        }
        self.positions.push(reply.position());
        let text = |name: &str| body[name].as_str().expect("text").to_owned();
        match *path {
            "/messages/add" => self.said.push((text("text"), reply.json())),
            "/users/add" => self.made.push((text("username"), reply.id())),
            "/chats/read" => self.mark = body["seq"].as_u64().expect("a number"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_retried_after_kill_is_stored_once() {
    let setting = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
    };
    let (rounds, writers) = (setting("CHINWAG_KILL_ROUNDS", 5), setting("CHINWAG_KILL_WRITERS", 16));
    let started = Instant::now();
    let mut server = TestServer::start();
    let mut retriers = Vec::new();
    let mut users = Vec::new();
    for number in 0..writers {
        users.push(server.add_user(&format!("writer-{number}")).await);
    }
    let users_of_all: Vec<_> = users.iter().map(String::as_str).collect();
    let mut chats = Vec::new();
    for number in 0..4 {
        chats.push(server.add_chat(&format!("chat {number}"), &users_of_all).await);
    }
    for (number, user) in users.iter().enumerate() {
        let chat = chats[number % chats.len()].clone();
        retriers.push(Retrier::new(format!("writer-{number}"), chat, user.clone()));
    }
    let made_before = server.position().await;

    for round in 0..rounds {
        let running: Vec<_> = retriers
            .drain(..)
            .map(|retrier| tokio::spawn(retrier.write_until_it_dies(server.client())))
            .collect();
        // Long enough to be at work, and never at the same place.
        tokio::time::sleep(Duration::from_millis(120 + 83 * (round as u64) % 240)).await;
        server = server.kill().restart();
        for retrier in running {
            retriers.push(retrier.await.expect("no writer panics"));
        }
    }
    for retrier in &mut retriers {
        while retrier.unanswered.is_some() {
            assert!(retrier.write(&server).await, "nobody kills it any more");
        }
    }
    for when in ["as it is", "replayed"] {
        check_all_there_once(&server, &chats, &retriers, made_before, when).await;
        server = server.kill().restart();
    }
    let sum = |of: fn(&Retrier) -> usize| retriers.iter().map(of).sum::<usize>();
    let (done_before, done_now) =
        (sum(|retrier| retrier.tally.done_before), sum(|retrier| retrier.tally.done_now));
    assert!(done_before + done_now > 0, "nothing was tried");
    eprintln!(
        "{rounds} kills, {writers} writers: {} writes, {} of them messages, each there once; of those cut off, \
         {done_before} had been done and {done_now} had not; {:.1} s",
        sum(|retrier| retrier.number),
        sum(|retrier| retrier.said.len()),
        started.elapsed().as_secs_f64(),
    );
}

/// Checks that everything submitted is there, as it was answered, in each writer's order, and once.
pub async fn check_all_there_once(
    server: &Client,
    chats: &[String],
    retriers: &[Retrier],
    made_before: u64,
    when: &str,
) {
    let submitted: usize = retriers.iter().map(|retrier| retrier.number).sum();
    let positions: HashSet<_> = retriers.iter().flat_map(|retrier| &retrier.positions).collect();
    assert_eq!(positions.len(), submitted, "{when}: each write has its own event");
    assert_eq!(server.position().await, made_before + submitted as u64, "{when}: and there is no other");
    for chat in chats {
        let messages = server.messages(chat).await;
        assert!(messages.iter().zip(1_u64..).all(|(message, seq)| message["seq"] == seq), "{when}");
        let of_chat = || retriers.iter().filter(|retrier| retrier.chat == *chat);
        assert_eq!(messages.len(), of_chat().map(|retrier| retrier.said.len()).sum::<usize>(), "{when}");
        for retrier in of_chat() {
            let own: Vec<_> = messages.iter().filter(|message| message["author"] == retrier.user).collect();
            assert_eq!(own.len(), retrier.said.len(), "{when}");
            for (message, (text, answer)) in own.into_iter().zip(&retrier.said) {
                assert_eq!(message["text"], *text, "{when}");
                for member in ["id", "seq", "created_at"] {
                    assert_eq!(message[member], answer[member], "{when}: {text}");
                }
            }
            check_listed(server, retrier, &messages).await;
        }
    }
    for retrier in retriers {
        for (username, id) in retrier.made.iter().take(8) {
            let user = server.post("/users/get", &json!({ "username": username })).await;
            assert_eq!(user.json()["id"], *id, "{when}");
        }
    }
}

/// Checks that membership and read mark are as the writer left them.
async fn check_listed(server: &Client, retrier: &Retrier, messages: &[Value]) {
    let listed = server.chats(&retrier.user).await;
    let chat = listed.iter().find(|listed| listed["id"] == retrier.chat);
    // Its last write was to leave: it has not come back yet.
    assert_eq!(chat.is_none(), retrier.number % 16 == 7);
    let after_mark = messages.iter().filter(|message| message["seq"].as_u64() > Some(retrier.mark));
    let unread = after_mark.filter(|message| message["author"] != retrier.user).count();
    assert!(
        chat.is_none_or(
            |chat| chat["unread"] == unread && chat["last_message"] == messages[messages.len() - 1]
        )
    );
}
