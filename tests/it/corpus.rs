//! A real conversation: its nicknames and texts are not made up by those who wrote the server.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, TestServer, problem};

const EXCERPT: &str = include_str!("corpus/ubuntu-irc-excerpt.jsonl");

/// A chat of the excerpt.
struct Chat {
    name: String,
    /// All who speak or join, in order of first appearance.
    members: Vec<String>,
    /// Authors and texts.
    messages: Vec<(String, String)>,
}

/// A chat that was loaded.
struct Loaded {
    id: String,
    members: Vec<String>,
    /// As they must be read.
    messages: Vec<Value>,
    refused: usize,
}

#[tokio::test]
async fn a_real_conversation_survives_kill_as_it_was_said() {
    let server = TestServer::start();
    let excerpt = excerpt();
    let names: HashSet<&String> = excerpt.iter().flat_map(|chat| &chat.members).collect();
    let add_user = async |name: &String| (name.clone(), server.add_user(name).await);
    let users: HashMap<_, _> = join_all(names.into_iter().map(add_user)).await.into_iter().collect();
    let mut ids = Vec::new();
    for chat in &excerpt {
        let members: Vec<&str> = chat.members.iter().map(|name| users[name].as_str()).collect();
        ids.push(server.add_chat(&chat.name, &members).await);
    }
    // All at once, so that commits hold events of several chats.
    let loaded = join_all(excerpt.iter().zip(ids).map(|(chat, id)| load(&server, chat, id, &users))).await;
    assert_eq!(loaded.iter().map(|chat| chat.messages.len()).sum::<usize>(), 362);
    assert_eq!(loaded.iter().map(|chat| chat.refused).sum::<usize>(), 1, "one text is empty");
    let position = server.get("/health").await.json()["position"].clone();

    let server = server.kill().restart();

    assert_eq!(server.get("/health").await.json()["position"], position);
    for chat in &loaded {
        assert_eq!(server.messages(&chat.id).await, chat.messages);
    }
    for (name, user) in &users {
        assert_eq!(listed(&server, user).await, expected_list(&loaded, user), "{name}");
    }
}

/// Sends a chat's messages, each when the one before is answered.
async fn load(server: &Client, chat: &Chat, id: String, users: &HashMap<String, String>) -> Loaded {
    let (mut messages, mut refused) = (Vec::new(), 0);
    for (author, text) in &chat.messages {
        let mut message = json!({ "chat": id, "author": users[author], "text": text });
        let reply = server.post("/messages/add", &message).await;
        if text.is_empty() {
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("text"));
            refused += 1;
            continue;
        }
        message["id"] = reply.id().into();
        message["created_at"] = reply.json()["created_at"].clone();
        message["seq"] = (messages.len() + 1).into();
        messages.push(message);
    }
    let members = chat.members.iter().map(|name| users[name].clone()).collect();
    Loaded { id, members, messages, refused }
}

/// A user's chats, without what only the server knows.
async fn listed(server: &Client, user: &str) -> Vec<Value> {
    let chats = server.chats(user).await;
    let part = |chat: &Value| json!([chat["id"], chat["users"], chat["last_message"]]);
    chats.iter().map(part).collect()
}

/// What [`listed`] must give: the chat with the latest message first.
fn expected_list(loaded: &[Loaded], user: &str) -> Vec<Value> {
    fn last(chat: &Loaded) -> &Value {
        chat.messages.last().expect("every chat of the excerpt has messages")
    }
    let mut chats: Vec<_> =
        loaded.iter().filter(|chat| chat.members.iter().any(|member| member == user)).collect();
    chats.sort_by_key(|chat| last(chat)["created_at"].to_string());
    chats.iter().rev().map(|chat| json!([chat.id, chat.members, last(chat)])).collect()
}

/// The chats, in order of first appearance. Names are trimmed: the contract has no white space at their ends.
fn excerpt() -> Vec<Chat> {
    let mut chats: Vec<Chat> = Vec::new();
    for line in EXCERPT.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let field = |name: &str| line[name].as_str().expect("a field is text").trim().to_owned();
        if line["op"] == "leave" {
            continue;
        }
        let (name, user) = (field("chat"), field("user"));
        let index = chats.iter().position(|chat| chat.name == name).unwrap_or_else(|| {
            chats.push(Chat { name, members: Vec::new(), messages: Vec::new() });
            chats.len() - 1
        });
        let chat = &mut chats[index];
        if !chat.members.contains(&user) {
            chat.members.push(user.clone());
        }
        if line["op"] == "message" {
            chat.messages.push((user, line["text"].as_str().expect("a text").to_owned()));
        }
    }
    chats
}
