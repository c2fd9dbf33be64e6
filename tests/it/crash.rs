//! `kill -9` at any time: acknowledged ⊆ recovered ⊆ submitted, in order, once each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Client, Reply, TestServer};

const WRITERS: usize = 16;

/// What one writer knows of its messages, which it sent one after the other.
pub struct Diary {
    pub chat: String,
    /// Texts that were answered 201, with the answer.
    pub acknowledged: Vec<(String, Value)>,
    /// The text in flight when the server went away.
    pub in_doubt: String,
    /// What that was answered, if it was answered at all.
    pub last_words: Option<Reply>,
}

/// Sends one message after the other, each answer shown to `note`, until one is not answered 201.
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

/// Kills a server under load, again and again, and looks each time at what is there; gives the number of messages
/// that were acknowledged.
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
    // Not in every round, on a machine that is busy.
    assert!(acknowledged > rounds as usize, "nothing was tried");
    acknowledged
}

/// So many writers, spread over the chats.
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

/// What they wrote, once the server is gone.
pub async fn finish_writers(writers: Vec<JoinHandle<Diary>>) -> Vec<Diary> {
    let mut diaries = Vec::new();
    for writer in writers {
        diaries.push(writer.await.expect("no writer panics"));
    }
    diaries
}

/// Checks every chat against what was there before and what was written since; what is there is `known` afterwards.
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

/// What was there before is there as it was; behind it stands all that was acknowledged, as it was answered, and at
/// most what was in doubt; nothing twice.
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
