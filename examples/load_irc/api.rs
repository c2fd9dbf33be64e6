//! The calls of this program to the server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Error;

/// Client of one server.
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
    retries: RefCell<Retries>,
}

/// Number of retries after 503, for each call.
#[derive(Debug, Clone, Default)]
pub(super) struct Retries(BTreeMap<&'static str, u64>);

/// An answer and its request.
pub(super) struct Reply {
    path: &'static str,
    request: String,
    pub(super) status: u16,
    pub(super) body: String,
    /// Position of the write in the log.
    pub(super) position: Option<String>,
    /// Whether this is the answer to an earlier request with the same key.
    pub(super) replayed: bool,
    /// Time from the first attempt to the answer, with all retries.
    pub(super) latency: Duration,
}

impl Api {
    pub(super) fn new(server: &str) -> Result<Self, Error> {
        /// Deadline far beyond the slowest answer of a working server.
        const TIMEOUT: Duration = Duration::from_mins(1);
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(Error::Client)?;
        Ok(Self { http, base: server.trim_end_matches('/').to_owned(), retries: RefCell::default() })
    }

    pub(super) fn retries(&self) -> Retries {
        self.retries.borrow().clone()
    }

    /// Sends a write under an idempotency key.
    pub(super) async fn write(&self, path: &'static str, key: &str, request: &Value) -> Result<Reply, Error> {
        self.post(path, Some(key), request).await
    }

    /// Returns a user's id.
    pub(super) async fn user_id(&self, username: &str) -> Result<String, Error> {
        let reply = self.post("/users/get", None, json!({ "username": username })).await?;
        reply.id().filter(|_| reply.status == 200).ok_or_else(|| reply.unexpected())
    }

    /// Returns all chats of a user.
    pub(super) async fn chats<T: DeserializeOwned>(&self, user: &str) -> Result<Vec<T>, Error> {
        self.post("/chats/get", None, json!({ "user": user })).await?.list()
    }

    /// Returns all messages of a chat.
    pub(super) async fn messages<T: DeserializeOwned>(&self, chat: &str) -> Result<Vec<T>, Error> {
        self.post("/messages/get", None, json!({ "chat": chat })).await?.list()
    }

    /// Posts, and retries as long as the answer is 503.
    async fn post(
        &self,
        path: &'static str,
        key: Option<&str>,
        request: impl Serialize,
    ) -> Result<Reply, Error> {
        let request = serde_json::to_string(&request).expect("requests are text");
        let begun = Instant::now();
        loop {
            match self.post_once(path, key, &request).await {
                Ok((reply, None)) => return Ok(Reply { latency: begun.elapsed(), ..reply }),
                Ok((_, Some(pause))) => {
                    *self.retries.borrow_mut().0.entry(path).or_default() += 1;
                    tokio::time::sleep(pause).await;
                }
                Err(source) => return Err(Error::NoAnswer { path, request, source }),
            }
        }
    }

    /// Posts once. Returns the answer, and the time to wait before a retry if it is 503.
    async fn post_once(
        &self,
        path: &'static str,
        key: Option<&str>,
        request: &str,
    ) -> reqwest::Result<(Reply, Option<Duration>)> {
        let mut post =
            self.http.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            post = post.header("Idempotency-Key", key);
        }
        let response = post.body(request.to_owned()).send().await?;
        let status = response.status().as_u16();
        let header = |name: &str| text_of(response.headers(), name);
        let retry_after = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        let position = header("chinwag-position");
        let replayed = header("idempotent-replayed").is_some_and(|value| value == "true");
        let (request, body, latency) = (request.to_owned(), response.text().await?, Duration::ZERO);
        let reply = Reply { path, request, status, body, position, replayed, latency };
        Ok((reply, retry_after.filter(|_| status == 503).map(Duration::from_secs)))
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| Some(value.to_str().ok()?.to_owned()))
}

impl Reply {
    /// Returns the id in the body.
    pub(super) fn id(&self) -> Option<String> {
        let body = serde_json::from_str::<Value>(&self.body).ok()?;
        Some(body["id"].as_str()?.to_owned())
    }

    /// Returns whether this is the problem with this status and code.
    pub(super) fn is_problem(&self, status: u16, code: &str) -> bool {
        self.status == status
            && serde_json::from_str::<Value>(&self.body).is_ok_and(|body| body["code"] == code)
    }

    /// Returns the error for an unexpected answer.
    pub(super) fn unexpected(self) -> Error {
        Error::Answer { path: self.path, request: self.request, status: self.status, answer: self.body }
    }

    fn list<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        match serde_json::from_str(&self.body) {
            Ok(list) if self.status == 200 => Ok(list),
            Ok(_) | Err(_) => Err(self.unexpected()),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, body, position, replayed, .. } = self;
        write!(f, "{status} {body:?}, position {position:?}, replayed: {replayed}")
    }
}

impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(|(path, times)| format!("{path} {times}")).collect();
        f.write_str(if each.is_empty() { "none" } else { "" })?;
        f.write_str(&each.join(", "))
    }
}
