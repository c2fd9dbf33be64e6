//! `kill -9` while messages change: every change that was answered is there, and the one in flight wholly or not
//! at all.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer};

/// A message, as its author has left it. Nobody else changes it.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    seq: u64,
    text: String,
    metadata: Option<Value>,
    is_deleted: bool,
    emoji: BTreeSet<String>,
}

impl Message {
    fn sent(seq: u64, text: String) -> Self {
        Self { seq, text, metadata: None, is_deleted: false, emoji: BTreeSet::new() }
    }

    /// Returns a message as the server shows it. All its reactions must be of one user each.
    fn shown(message: &Value) -> Self {
        let reactions = message.get("reactions").map_or(&[][..], |all| all.as_array().expect("a list"));
        assert!(reactions.iter().all(|reaction| reaction["count"] == 1), "{message}");
        let emoji = reactions.iter().map(|reaction| reaction["emoji"].as_str().expect("a text").to_owned());
        Self {
            seq: message["seq"].as_u64().expect("a number"),
            text: message["text"].as_str().expect("a text").to_owned(),
            metadata: message.get("metadata").cloned(),
            is_deleted: message.get("deleted_at").is_some(),
            emoji: emoji.collect(),
        }
    }
}

/// A write, and what it makes of the author's messages.
struct Change {
    path: &'static str,
    body: Value,
    after: Message,
}

/// A user who sends messages and changes them, one write after the other.
struct Author {
    chat: String,
    user: String,
    /// The number of the next write.
    number: usize,
    /// Number of writes that were answered.
    acknowledged: usize,
    messages: Vec<Message>,
    /// The write that was in flight when the server went away.
    in_doubt: Option<Change>,
}

impl Author {
    fn next(&mut self) -> Change {
        let number = self.number;
        self.number += 1;
        let Self { chat, user, .. } = &*self;
        let mut there = self.messages.iter().filter(|message| !message.is_deleted);
        let count = there.clone().count();
        // There are four messages to change, until one of them is deleted and another one sent.
        if count < 4 {
            let text = format!("message {number}");
            let body = json!({ "chat": chat, "author": user, "text": text });
            return Change { path: "/messages/add", body, after: Message::sent(0, text) };
        }
        let before = there.nth(number % count).expect("it is there").clone();
        let seq = before.seq;
        let with = |name: &str, value: Value| json!({ "chat": chat, "seq": seq, "user": user, name: value });
        let emoji = format!("emoji {}", number % 3);
        match number % 8 {
            0 | 4 => {
                let text = format!("edit {number} {}", "x".repeat(number * 37 % 400));
                let body = with("text", json!(text));
                Change { path: "/messages/edit", body, after: Message { text, ..before } }
            }
            1 => {
                let metadata = json!({ "number": number });
                let body = with("metadata", metadata.clone());
                let after = Message { metadata: Some(metadata), ..before };
                Change { path: "/messages/edit", body, after }
            }
            7 if number % 32 == 7 => {
                let (body, text) = (json!({ "chat": chat, "seq": seq, "user": user }), String::new());
                let after = Message { is_deleted: true, ..Message::sent(seq, text) };
                Change { path: "/messages/delete", body, after }
            }
            5 => {
                let (body, mut after) = (with("emoji", json!(emoji)), before);
                after.emoji.remove(&emoji);
                Change { path: "/messages/reactions/remove", body, after }
            }
            _ => {
                let (body, mut after) = (with("emoji", json!(emoji)), before);
                after.emoji.insert(emoji);
                Change { path: "/messages/reactions/add", body, after }
            }
        }
    }

    /// Writes until the server goes away.
    async fn write_until_it_dies(mut self, client: Client) -> Self {
        loop {
            let mut change = self.next();
            let Ok(reply) = client.try_post(change.path, &change.body).await else {
                self.in_doubt = Some(change);
                return self;
            };
            assert!(reply.status.is_success(), "{} {}: {}", change.path, change.body, reply.text);
            if change.path == "/messages/add" {
                change.after.seq = reply.json()["seq"].as_u64().expect("a number");
            }
            self.acknowledged += 1;
            self.note(change.after);
        }
    }

    fn note(&mut self, after: Message) {
        match self.messages.iter_mut().find(|message| message.seq == after.seq) {
            Some(message) => *message = after,
            None => self.messages.push(after),
        }
    }

    /// Checks the messages that a server shows of this author, and takes the write in flight as it turned out.
    fn check(&mut self, shown: &[Value]) {
        let own = shown.iter().filter(|message| message["author"] == self.user);
        let own: Vec<_> = own.map(Message::shown).collect();
        if let Some(Change { path, mut after, .. }) = self.in_doubt.take() {
            if path == "/messages/add" {
                let found = own.iter().find(|message| message.text == after.text);
                after.seq = found.map_or(0, |message| message.seq);
            }
            if own.contains(&after) {
                self.note(after);
            }
        }
        assert_eq!(own, self.messages);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acked_changes_survive_kill() {
    const AUTHORS: usize = 12;
    let mut server = TestServer::start();
    let mut users = Vec::new();
    for number in 0..AUTHORS {
        users.push(server.add_user(&format!("user {number}")).await);
    }
    let members: Vec<_> = users.iter().map(String::as_str).collect();
    let chats = [server.add_chat("one", &members).await, server.add_chat("two", &members).await];
    let new = |(number, user): (usize, &String)| {
        let (chat, user) = (chats[number % 2].clone(), user.clone());
        Author { chat, user, number: 0, acknowledged: 0, messages: Vec::new(), in_doubt: None }
    };
    let mut authors: Vec<_> = users.iter().enumerate().map(new).collect();
    for round in 0..5 {
        let running: Vec<_> = authors
            .drain(..)
            .map(|author| tokio::spawn(author.write_until_it_dies(server.client())))
            .collect();
        tokio::time::sleep(Duration::from_millis(120 + 83 * round % 240)).await;
        server = server.kill().restart();
        for author in running {
            authors.push(author.await.expect("no author panics"));
        }
        for chat in &chats {
            let shown = server.messages(chat).await;
            authors.iter_mut().filter(|author| author.chat == *chat).for_each(|author| author.check(&shown));
        }
    }
    let acknowledged: usize = authors.iter().map(|author| author.acknowledged).sum();
    let deleted = authors.iter().flat_map(|author| &author.messages).filter(|message| message.is_deleted);
    assert!(acknowledged > 5 * AUTHORS && deleted.count() > 0, "nothing was tried: {acknowledged}");
}
