//! A real conversation: its nicknames and texts are not made up by those who wrote the server.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, TestServer, problem};

const EXCERPT: &str = include_str!("corpus/ubuntu-irc-excerpt.jsonl");

/// A chat of the excerpt.
struct Chat {
    name: String,
    /// The members from before the log began: users who speak or leave without having joined.
    founders: Vec<String>,
    steps: Vec<Step>,
}

/// The action of one line: `message`, `join` or `leave`.
struct Step {
    op: String,
    user: String,
    text: String,
}

/// A chat that was loaded.
struct Loaded {
    id: String,
    members: Vec<String>,
    /// The messages, as they must be read.
    messages: Vec<Value>,
    refused: usize,
}

#[tokio::test]
async fn a_real_conversation_survives_kill_unchanged() {
    let server = TestServer::start();
    let excerpt = excerpt();
    let names: HashSet<&String> =
        excerpt.iter().flat_map(|chat| &chat.steps).map(|step| &step.user).collect();
    let add_user = async |name: &String| (name.clone(), server.add_user(name).await);
    let users: HashMap<_, _> = join_all(names.into_iter().map(add_user)).await.into_iter().collect();
    // All at once, so that commits hold events of several chats.
    let loaded = join_all(excerpt.iter().map(|chat| load(&server, chat, &users))).await;
    assert_eq!(loaded.iter().map(|chat| chat.messages.len()).sum::<usize>(), 362);
    assert_eq!(loaded.iter().map(|chat| chat.refused).sum::<usize>(), 1, "one text is empty");
    assert_eq!(loaded.iter().map(|chat| chat.members.len()).sum::<usize>(), 154);
    let position = server.position().await;

    let server = server.kill().restart();

    assert_eq!(server.position().await, position);
    for chat in &loaded {
        assert_eq!(server.messages(&chat.id).await, chat.messages);
    }
    for (name, user) in &users {
        assert_eq!(listed(&server, user).await, expected_list(&loaded, user), "{name}");
    }
}

/// Performs the steps of a chat, each after the previous one is answered.
async fn load(server: &Client, chat: &Chat, users: &HashMap<String, String>) -> Loaded {
    let mut members: Vec<String> = chat.founders.iter().map(|name| users[name].clone()).collect();
    let ids: Vec<&str> = members.iter().map(String::as_str).collect();
    let id = server.add_chat(&chat.name, &ids).await;
    let (mut messages, mut refused) = (Vec::new(), 0);
    for Step { op, user, text } in &chat.steps {
        let user = &users[user];
        let member = json!({ "chat": id, "user": user });
        match op.as_str() {
            "join" => {
                assert_eq!(server.post("/chats/users/add", &member).await.status, 204);
                if !members.contains(user) {
                    members.push(user.clone());
                }
            }
            "leave" => {
                assert_eq!(server.post("/chats/users/remove", &member).await.status, 204);
                members.retain(|member| member != user);
            }
            _ => {
                let mut message = json!({ "chat": id, "author": user, "text": text });
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
        }
    }
    Loaded { id, members, messages, refused }
}

/// A user's chats, without what only the server knows.
async fn listed(server: &Client, user: &str) -> Vec<Value> {
    let chats = server.chats(user).await;
    let part = |chat: &Value| json!([chat["id"], chat["users"], chat["last_message"], chat["unread"]]);
    chats.iter().map(part).collect()
}

/// Returns the answer that [`listed`] must get: the chat with the latest message first. Nobody has moved a
/// read mark.
fn expected_list(loaded: &[Loaded], user: &str) -> Vec<Value> {
    fn last(chat: &Loaded) -> &Value {
        chat.messages.last().expect("every chat of the excerpt has messages")
    }
    let unread = |chat: &Loaded| chat.messages.iter().filter(|message| message["author"] != user).count();
    let mut chats: Vec<_> =
        loaded.iter().filter(|chat| chat.members.iter().any(|member| member == user)).collect();
    chats.sort_by_key(|chat| last(chat)["created_at"].to_string());
    chats.iter().rev().map(|chat| json!([chat.id, chat.members, last(chat), unread(chat)])).collect()
}

/// The chats, in order of first appearance. Names are trimmed: the contract has no white space at their ends.
fn excerpt() -> Vec<Chat> {
    let mut chats: Vec<Chat> = Vec::new();
    for line in EXCERPT.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let field = |name: &str| line[name].as_str().expect("a field is text").trim().to_owned();
        let (name, user, op) = (field("chat"), field("user"), field("op"));
        let index = chats.iter().position(|chat| chat.name == name).unwrap_or_else(|| {
            chats.push(Chat { name, founders: Vec::new(), steps: Vec::new() });
            chats.len() - 1
        });
        let chat = &mut chats[index];
        if op != "join" && chat.steps.iter().all(|step| step.user != user) {
            chat.founders.push(user.clone());
        }
        let text = line["text"].as_str().unwrap_or_default().to_owned();
        chat.steps.push(Step { op, user, text });
    }
    chats
}
