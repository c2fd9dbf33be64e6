//! A client of the API with one method per call, for a real server and for the router in process alike.
//!
//! The convenience methods (`add_user`, `join`, `messages`, …) panic on any answer but success. The plain
//! ones (`get`, `post`, `post_raw`, `post_under`, `send`) return a [`Reply`], whatever its status.
//!
//! ```ignore
//! let ann = client.add_user("ann").await;                                   // 201, or a panic
//! let reply = client.post("/users/add", &json!({ "username": "ann" })).await;
//! assert_eq!(problem(&reply, 409, "username_taken").as_deref(), Some("username"));
//! let request = client.request("POST", "/users/add").header("idempotency-key", "k");
//! let reply = client.send(request.body("{}")).await;                        // full control over the request
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use chinwag::http::Router;
use http_body_util::BodyExt;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use serde_json::{Value, json};
use uuid::{Uuid, Variant};

/// Calls one server, or one router in process.
#[derive(Clone)]
pub struct Client {
    /// Builds the requests, and sends them if there is no router.
    http: reqwest::Client,
    base: String,
    /// The router that answers in process.
    router: Option<Arc<Router>>,
    /// The server key or the token that every request bears.
    credential: Option<String>,
}

/// An answer: its status, its headers and its whole body.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// Returns the body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Returns the text of a header, which must be there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {self:?}"));
        value.to_str().expect("a header of text")
    }

    /// Returns the position that a write is answered with.
    #[track_caller]
    pub fn position(&self) -> u64 {
        self.header("chinwag-position").parse().expect("a number")
    }

    /// Returns the id of what was created; the reply must be 201.
    #[track_caller]
    pub fn id(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.text);
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Returns the position of a write that creates nothing; the reply must be 204 and empty.
    #[track_caller]
    pub fn done(&self) -> u64 {
        assert_eq!((self.status.as_u16(), self.text.as_str()), (204, ""));
        self.position()
    }

    /// Returns whether this repeats the answer to an earlier request under the same key.
    #[track_caller]
    pub fn is_replayed(&self) -> bool {
        let replayed = self.headers.contains_key("idempotent-replayed");
        assert!(!replayed || self.header("idempotent-replayed") == "true");
        replayed
    }
}

/// Checks that a reply is a problem with this status and code, in the form that all problems have. Returns
/// its `field`, if it has one.
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

/// The members that a problem may have. A `starting` problem also reports the progress of the replay.
const PROBLEM_MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "code", "field", "request_id"];

/// Checks that this is an id as the server creates it: a UUID of version 7, hyphenated, in lower case.
#[track_caller]
pub fn assert_id(id: &Value) {
    let text = id.as_str().unwrap_or_else(|| panic!("not a string: {id}"));
    let uuid = Uuid::try_parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(uuid.hyphenated().to_string(), text);
    assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, Variant::RFC4122), "{text}");
}

/// Checks that this is a time as the server writes it, RFC 3339 in UTC with six digits, less than a minute
/// ago.
#[track_caller]
pub fn assert_time(time: &Value) {
    let text = time.as_str().unwrap_or_else(|| panic!("not a string: {time}"));
    let digits_as_0 = text.replace(|character: char| character.is_ascii_digit(), "0");
    assert_eq!(digits_as_0, "0000-00-00T00:00:00.000000Z", "{text}");
    let time: Timestamp = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(Timestamp::now().duration_since(time).unsigned_abs() < Duration::from_mins(1), "{text}");
}

/// Time after which a request counts as unanswered: far more than any takes on a busy machine.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

impl Client {
    /// Returns a client of the server that listens on this address.
    pub fn new(address: &str) -> Self {
        Self { http: http_client(), base: format!("http://{address}"), router: None, credential: None }
    }

    /// Returns a client that calls this router directly, without a socket.
    pub fn in_process(router: Arc<Router>) -> Self {
        let base = "http://in-process.test".to_owned();
        Self { http: http_client(), base, router: Some(router), credential: None }
    }

    /// Returns a client that bears this server key or token instead.
    pub fn bearing(&self, credential: Option<&str>) -> Self {
        Self { credential: credential.map(str::to_owned), ..self.clone() }
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_post(path, body).await.expect("answered")
    }

    /// Posts JSON to a server that may end before it answers.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Reply> {
        self.try_send(self.json_request(path).body(body.to_string())).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post_under(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.try_post_under(key, path, body).await.expect("answered")
    }

    /// Posts JSON under an idempotency key to a server that may end before it answers.
    pub async fn try_post_under(&self, key: &str, path: &str, body: &Value) -> reqwest::Result<Reply> {
        self.try_send(self.json_request(path).header("idempotency-key", key).body(body.to_string())).await
    }

    /// Posts exactly these bytes as `application/json`.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        self.send(self.json_request(path).body(body)).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path)).await
    }

    /// Returns a POST request with the content type of JSON, and without a body.
    pub fn json_request(&self, path: &str) -> reqwest::RequestBuilder {
        self.request("POST", path).header("content-type", "application/json")
    }

    /// Returns a request with the client's credential alone. It is sent with [`send`](Self::send).
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credential {
            Some(credential) => request.header("authorization", format!("Bearer {credential}")),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.expect("answered")
    }

    /// Sends a request to a server that may end before it answers.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        if let Some(router) = &self.router {
            let mut request = axum::http::Request::try_from(request.build()?)?;
            // Over a socket the client announces the length of the body.
            if let Some(bytes) = request.body().size_hint().exact() {
                request.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            }
            return Ok(answer_in_process(router, request.map(axum::body::Body::new)).await);
        }
        // The HTTP client has been seen to wait for ever for a connection of a server that was killed.
        let response = request.timeout(ANSWER_TIME_MAX).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    /// Returns the position of the last event.
    pub async fn position(&self) -> u64 {
        self.get("/health").await.json()["position"].as_u64().expect("a number")
    }

    /// Creates a user and returns its id.
    pub async fn add_user(&self, username: &str) -> String {
        self.post("/users/add", &json!({ "username": username })).await.id()
    }

    /// Creates a chat and returns its id.
    pub async fn add_chat(&self, name: &str, users: &[&str]) -> String {
        self.post("/chats/add", &json!({ "name": name, "users": users })).await.id()
    }

    /// Sends a message and returns the body of the answer.
    pub async fn add_message(&self, chat: &str, author: &str, text: &str) -> Value {
        let reply =
            self.post("/messages/add", &json!({ "chat": chat, "author": author, "text": text })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    /// Adds a user to a chat and returns the position.
    pub async fn join(&self, chat: &str, user: &str) -> u64 {
        self.post("/chats/users/add", &json!({ "chat": chat, "user": user })).await.done()
    }

    /// Removes a user from a chat and returns the position.
    pub async fn leave(&self, chat: &str, user: &str) -> u64 {
        self.post("/chats/users/remove", &json!({ "chat": chat, "user": user })).await.done()
    }

    /// Moves a user's read mark in a chat and returns the position.
    pub async fn mark_read(&self, chat: &str, user: &str, seq: usize) -> u64 {
        self.post("/chats/read", &json!({ "chat": chat, "user": user, "seq": seq })).await.done()
    }

    /// Returns the chats of a user.
    pub async fn chats(&self, user: &str) -> Vec<Value> {
        self.list("/chats/get", &json!({ "user": user })).await
    }

    /// Returns the messages of a chat.
    pub async fn messages(&self, chat: &str) -> Vec<Value> {
        self.list("/messages/get", &json!({ "chat": chat })).await
    }

    /// Posts a call that must be answered 200 with an array, and returns its items.
    pub async fn list(&self, path: &str, body: &Value) -> Vec<Value> {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/json");
        let Value::Array(items) = reply.json() else { panic!("not an array: {}", reply.text) };
        items
    }
}

fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// Sends a request to the router, which never fails: it turns each error into an answer.
pub async fn answer_in_process(router: &Router, request: axum::extract::Request) -> Reply {
    let response = router.answer(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("a body of text");
    Reply { status: head.status, headers: head.headers, text }
}
