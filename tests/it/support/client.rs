//! A client of the API that says what it means.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use uuid::{Uuid, Variant};

/// Speaks to one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header that must be there, as text.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"));
        value.to_str().expect("a header of text")
    }

    /// The position that a write answers with.
    #[track_caller]
    pub fn position(&self) -> u64 {
        self.header("chinwag-position").parse().expect("a number")
    }

    /// The id of what was made; the reply must be 201.
    #[track_caller]
    pub fn id(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.text);
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The position of a write that makes nothing to be told of; the reply must be 204, and empty.
    #[track_caller]
    pub fn done(&self) -> u64 {
        assert_eq!((self.status.as_u16(), self.text.as_str()), (204, ""));
        self.position()
    }

    /// Whether it is the answer to an earlier request under the same key.
    #[track_caller]
    pub fn is_replayed(&self) -> bool {
        let replayed = self.headers.contains_key("idempotent-replayed");
        assert!(!replayed || self.header("idempotent-replayed") == "true");
        replayed
    }
}

/// Checks that a reply is the problem of this status and code, in the form that all problems have, and gives its
/// `field`.
#[track_caller]
pub fn problem(reply: &Reply, status: u16, code: &str) -> Option<String> {
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), body["code"].as_str()), (status, Some(code)), "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(body["status"], status);
    assert!(body["type"].as_str().is_some_and(|kind| !kind.is_empty()), "{body}");
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(' ')), "{body}");
    if status == 503 {
        assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    }
    let others =
        body.as_object().expect("an object").keys().filter(|&name| !PROBLEM_MEMBERS.contains(&name.as_str()));
    let others: Vec<_> = others.filter(|_| code != "starting").collect();
    assert!(others.is_empty(), "{others:?} in {body}");
    body.get("field").map(|field| field.as_str().expect("a name").to_owned())
}

/// What a problem may hold; the one that is `starting` also tells how far the replay is.
const PROBLEM_MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "code", "field", "request_id"];

/// Checks that it is an id as the server makes them: version 7, hyphenated, in lower case.
#[track_caller]
pub fn assert_id(id: &Value) {
    let text = id.as_str().unwrap_or_else(|| panic!("not a string: {id}"));
    let uuid = Uuid::try_parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(uuid.hyphenated().to_string(), text);
    assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, Variant::RFC4122), "{text}");
}

/// Checks that it is a time as the server gives them, RFC 3339 in UTC with six digits, and of this minute.
#[track_caller]
pub fn assert_time(time: &Value) {
    let text = time.as_str().unwrap_or_else(|| panic!("not a string: {time}"));
    let digits_as_0 = text.replace(|character: char| character.is_ascii_digit(), "0");
    assert_eq!(digits_as_0, "0000-00-00T00:00:00.000000Z", "{text}");
    let time: Timestamp = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(Timestamp::now().duration_since(time).unsigned_abs() < Duration::from_mins(1), "{text}");
}

impl Client {
    pub fn new(address: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { http, base: format!("http://{address}") }
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_post(path, body).await.expect("answered")
    }

    /// Posts JSON to a server that may go away meanwhile.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Reply> {
        let request = self.request("POST", path).header("content-type", "application/json");
        Self::send(request.body(body.to_string())).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post_under(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.try_post_under(key, path, body).await.expect("answered")
    }

    /// Posts JSON under an idempotency key to a server that may go away meanwhile.
    pub async fn try_post_under(&self, key: &str, path: &str, body: &Value) -> reqwest::Result<Reply> {
        let request = self.request("POST", path).header("content-type", "application/json");
        Self::send(request.header("idempotency-key", key).body(body.to_string())).await
    }

    /// Posts these very bytes as `application/json`.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.request("POST", path).header("content-type", "application/json").body(body);
        Self::send(request).await.expect("answered")
    }

    pub async fn get(&self, path: &str) -> Reply {
        Self::send(self.request("GET", path)).await.expect("answered")
    }

    /// A request to be added to.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends it and takes the answer whole.
    pub async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    /// The position of the last event.
    pub async fn position(&self) -> u64 {
        self.get("/health").await.json()["position"].as_u64().expect("a number")
    }

    /// Makes a user; gives its id.
    pub async fn add_user(&self, username: &str) -> String {
        self.post("/users/add", &json!({ "username": username })).await.id()
    }

    /// Makes a chat; gives its id.
    pub async fn add_chat(&self, name: &str, users: &[&str]) -> String {
        self.post("/chats/add", &json!({ "name": name, "users": users })).await.id()
    }

    /// Sends a message; gives the answer's body.
    pub async fn add_message(&self, chat: &str, author: &str, text: &str) -> Value {
        let reply =
            self.post("/messages/add", &json!({ "chat": chat, "author": author, "text": text })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    /// Puts a user into a chat; gives the position.
    pub async fn join(&self, chat: &str, user: &str) -> u64 {
        self.post("/chats/users/add", &json!({ "chat": chat, "user": user })).await.done()
    }

    /// Takes a user out of a chat; gives the position.
    pub async fn leave(&self, chat: &str, user: &str) -> u64 {
        self.post("/chats/users/remove", &json!({ "chat": chat, "user": user })).await.done()
    }

    /// Tells how far a user has read a chat; gives the position.
    pub async fn mark_read(&self, chat: &str, user: &str, seq: usize) -> u64 {
        self.post("/chats/read", &json!({ "chat": chat, "user": user, "seq": seq })).await.done()
    }

    /// All chats of a user.
    pub async fn chats(&self, user: &str) -> Vec<Value> {
        self.list("/chats/get", &json!({ "user": user })).await
    }

    /// All messages of a chat.
    pub async fn messages(&self, chat: &str) -> Vec<Value> {
        self.list("/messages/get", &json!({ "chat": chat })).await
    }

    /// A call that answers 200 with an array.
    pub async fn list(&self, path: &str, body: &Value) -> Vec<Value> {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json");
        let Value::Array(items) = reply.json() else { panic!("not an array: {}", reply.text) };
        items
    }
}
