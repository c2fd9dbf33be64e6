//! Two users, a chat, and a right body for each call: the ground on which a test makes one mistake at a time.
//!
//! ```ignore
//! let scene = Scene::start().await;
//! for path in CALLS {
//!     let reply = scene.post_over(path, json!({ "more": 1 })).await;         // right, save for `more`
//!     assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("more"));
//! }
//! assert_eq!(scene.server.position().await, 3);          // ann, bob and den: nothing was stored
//! ```

use std::ops::Deref;

use serde_json::{Value, json};

use super::{Client, Reply, TestRouter};

/// The calls that take a body. Those that change a message succeed after `/messages/add`.
pub const CALLS: [&str; 22] = [
    "/users/add",
    "/users/get",
    "/users/list",
    "/users/find",
    "/chats/add",
    "/chats/get",
    "/chats/show",
    "/chats/users/add",
    "/chats/users/remove",
    "/chats/read",
    "/messages/add",
    "/messages/batch",
    "/messages/get",
    "/users/edit",
    "/chats/direct",
    "/chats/edit",
    "/messages/edit",
    "/messages/reactions/add",
    "/messages/reactions/remove",
    "/messages/reactions/get",
    "/messages/revisions/get",
    "/messages/delete",
];

/// A server, real or in process, on which `ann` is in the chat `den` and `bob` is in no chat.
pub struct Scene<S = TestRouter> {
    pub server: S,
    pub ann: String,
    pub bob: String,
    pub den: String,
}

impl Scene {
    /// Sets the scene on a router in process.
    pub async fn start() -> Self {
        Self::on(TestRouter::start()).await
    }
}

impl<S: Deref<Target = Client>> Scene<S> {
    /// Sets the scene on this server, whose log must be empty.
    pub async fn on(server: S) -> Self {
        let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
        let den = server.add_chat("den", &[&ann]).await;
        Self { server, ann, bob, den }
    }

    /// Returns a right body for the call, with the members of `over` put over it. `name` is the name of what
    /// the call creates, if it creates something.
    pub fn body(&self, path: &str, name: &str, over: &Value) -> Value {
        let Self { ann, bob, den, .. } = self;
        let mut body = match path {
            "/users/add" => json!({ "username": name }),
            "/chats/add" => json!({ "name": name, "users": [ann] }),
            "/users/get" | "/chats/get" => json!({ "user": ann }),
            "/users/list" => json!({}),
            "/users/find" => json!({ "prefix": "a" }),
            "/chats/users/add" | "/chats/users/remove" => json!({ "chat": den, "user": bob }),
            "/chats/read" => json!({ "chat": den, "user": ann, "seq": 0 }),
            "/messages/add" => json!({ "chat": den, "author": ann, "text": "hello" }),
            "/messages/batch" => json!({ "messages": [{ "chat": den, "author": ann, "text": "hello" }] }),
            "/chats/show" | "/messages/get" => json!({ "chat": den }),
            "/users/edit" => json!({ "user": ann, "username": format!("{name}, edited") }),
            "/chats/direct" => json!({ "users": [ann, bob] }),
            "/chats/edit" => json!({ "chat": den, "name": format!("{name}, edited") }),
            "/messages/edit" => json!({ "chat": den, "seq": 1, "user": ann, "text": "hello" }),
            "/messages/delete" => json!({ "chat": den, "seq": 1, "user": ann }),
            "/messages/reactions/add" | "/messages/reactions/remove" => {
                json!({ "chat": den, "seq": 1, "user": ann, "emoji": "hello" })
            }
            "/messages/reactions/get" | "/messages/revisions/get" => json!({ "chat": den, "seq": 1 }),
            other => panic!("there is no call {other}"),
        };
        for (name, value) in over.as_object().expect("members") {
            body[name] = value.clone();
        }
        body
    }

    /// Posts the call with these members over a right body.
    pub async fn post_over(&self, path: &str, over: Value) -> Reply {
        self.server.post(path, &self.body(path, "fresh", &over)).await
    }
}
