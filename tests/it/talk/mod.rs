//! Messages that change: `/messages/edit`, `/messages/delete`, replies, reactions, and what a client asks for that was
//! away.

mod away;
mod deletions;
mod edits;
mod reactions;
mod refusals;
mod replies;
mod streams;

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestServer};

/// A server, and two members of a chat in which messages change.
struct Talk {
    server: TestServer,
    ann: String,
    bob: String,
    den: String,
}

impl Talk {
    async fn start() -> Self {
        let server = TestServer::start();
        let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
        let den = server.add_chat("den", &[&ann, &bob]).await;
        Self { server, ann, bob, den }
    }

    /// Sends a message of ann, and returns its seq.
    async fn say(&self, text: &str) -> u64 {
        self.server.add_message(&self.den, &self.ann, text).await["seq"].as_u64().expect("a number")
    }

    async fn edit(&self, seq: u64, text: &str) -> Reply {
        let body = json!({ "chat": self.den, "seq": seq, "user": self.ann, "text": text });
        self.server.post("/messages/edit", &body).await
    }

    async fn delete(&self, seq: u64) -> u64 {
        let body = json!({ "chat": self.den, "seq": seq, "user": self.ann });
        self.server.post("/messages/delete", &body).await.done()
    }

    async fn react(&self, seq: u64, user: &str, emoji: &str) -> Reply {
        let body = json!({ "chat": self.den, "seq": seq, "user": user, "emoji": emoji });
        self.server.post("/messages/reactions/add", &body).await
    }

    async fn take_back(&self, seq: u64, user: &str, emoji: &str) -> Reply {
        let body = json!({ "chat": self.den, "seq": seq, "user": user, "emoji": emoji });
        self.server.post("/messages/reactions/remove", &body).await
    }

    async fn message(&self, seq: u64) -> Value {
        message(&self.server, &self.den, seq).await
    }
}

async fn message(client: &Client, chat: &str, seq: u64) -> Value {
    client.list("/messages/get", &json!({ "chat": chat, "seqs": [seq] })).await.remove(0)
}
