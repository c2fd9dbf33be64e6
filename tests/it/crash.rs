//! `kill -9` at any time: acknowledged ⊆ recovered ⊆ submitted, in order, once each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer};

const WRITERS: usize = 16;

/// What one writer knows of its messages, which it sent one after the other.
struct Diary {
    chat: String,
    /// Texts that were answered 201, with the answer.
    acknowledged: Vec<(String, Value)>,
    /// The text in flight when the server went away.
    in_doubt: String,
}

async fn write_until_it_dies(client: Client, chat: String, author: String, name: String) -> Diary {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("{name}: {number} {}", "x".repeat(number * 37 % 400));
        let body = json!({ "chat": chat, "author": author, "text": text });
        match client.try_post("/messages/add", &body).await {
            Ok(reply) => {
                assert_eq!(reply.status, 201, "{}", reply.text);
                acknowledged.push((text, reply.json()));
            }
            Err(_) => return Diary { chat, acknowledged, in_doubt: text },
        }
    }
    unreachable!("the loop ends with the server")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acked_messages_survive_kill() {
    let mut server = TestServer::start();
    let author = server.add_user("ann").await;
    let mut chats = Vec::new();
    for number in 0..4 {
        chats.push(server.add_chat(&format!("chat {number}"), &[&author]).await);
    }
    let mut expected: BTreeMap<String, Vec<Value>> =
        chats.iter().map(|chat| (chat.clone(), Vec::new())).collect();

    for round in 0..6 {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (client, chat) = (server.client(), chats[number % chats.len()].clone());
                let name = format!("round {round}, writer {number}");
                tokio::spawn(write_until_it_dies(client, chat, author.clone(), name))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 70 * round)).await;
        server = server.kill().restart();
        let mut diaries = Vec::new();
        for writer in writers {
            diaries.push(writer.await.expect("no writer panics"));
        }
        for chat in &chats {
            let recovered = server.messages(chat).await;
            let known = expected.get_mut(chat).expect("a chat");
            let of_chat: Vec<_> = diaries.iter().filter(|diary| diary.chat == *chat).collect();
            check_round(known, &recovered, &of_chat);
            *known = recovered;
        }
        assert!(diaries.iter().map(|diary| diary.acknowledged.len()).sum::<usize>() > 0, "nothing was tried");
    }
}

/// What was there before is there as it was; behind it stands all that was acknowledged, as it was answered, and at
/// most what was in doubt; nothing twice.
fn check_round(before: &[Value], recovered: &[Value], diaries: &[&Diary]) {
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
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (client, chat, author) = (server.client(), chat.clone(), author.clone());
            tokio::spawn(write_until_it_dies(client, chat, author, format!("writer {number}")))
        })
        .collect();
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
    for writer in writers {
        writer.await.expect("no writer panics");
    }
    assert!(!seen.is_empty());
    let recovered = stopped.restart().messages(&chat).await;
    for message in &seen {
        assert!(recovered.contains(message), "was seen, and is gone: {message}");
    }
}
