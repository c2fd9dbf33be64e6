//! The server's calls, as far as loading and reading back needs them.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Error;

/// Speaks to one server.
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
}

/// An answer, and what it answers.
pub(super) struct Reply {
    path: &'static str,
    request: String,
    pub(super) status: u16,
    body: String,
    /// How often the server was too busy before it answered this.
    pub(super) overloaded: u64,
}

impl Api {
    pub(super) fn new(server: &str) -> Result<Self, Error> {
        /// Far beyond the slowest answer of a server that works.
        const PATIENCE: Duration = Duration::from_mins(1);
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(Error::Client)?;
        Ok(Self { http, base: server.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn add_user(&self, username: &str) -> Result<Reply, Error> {
        self.post("/users/add", json!({ "username": username })).await
    }

    pub(super) async fn add_chat(&self, name: &str, users: &[&str]) -> Result<Reply, Error> {
        self.post("/chats/add", json!({ "name": name, "users": users })).await
    }

    pub(super) async fn add_message(&self, chat: &str, author: &str, text: &str) -> Result<Reply, Error> {
        self.post("/messages/add", json!({ "chat": chat, "author": author, "text": text })).await
    }

    /// All chats of a user.
    pub(super) async fn chats<T: DeserializeOwned>(&self, user: &str) -> Result<Vec<T>, Error> {
        self.post("/chats/get", json!({ "user": user })).await?.list()
    }

    /// All messages of a chat.
    pub(super) async fn messages<T: DeserializeOwned>(&self, chat: &str) -> Result<Vec<T>, Error> {
        self.post("/messages/get", json!({ "chat": chat })).await?.list()
    }

    /// Asks until the server is not too busy to answer.
    async fn post(&self, path: &'static str, request: impl Serialize) -> Result<Reply, Error> {
        let request = serde_json::to_string(&request).expect("requests are text");
        let mut overloaded = 0;
        loop {
            match self.post_once(path, &request).await {
                Ok((reply, None)) => return Ok(Reply { overloaded, ..reply }),
                Ok((_, Some(pause))) => {
                    overloaded += 1;
                    tokio::time::sleep(pause).await;
                }
                Err(source) => return Err(Error::NoAnswer { path, request, source }),
            }
        }
    }

    /// The answer, and if it is 503 `overloaded` the time after which to ask again.
    async fn post_once(
        &self,
        path: &'static str,
        request: &str,
    ) -> reqwest::Result<(Reply, Option<Duration>)> {
        let post = self.http.post(format!("{}{path}", self.base));
        let response = post.header(CONTENT_TYPE, "application/json").body(request.to_owned()).send().await?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let reply =
            Reply { path, request: request.to_owned(), status, body: response.text().await?, overloaded: 0 };
        let pause = retry_after.filter(|_| reply.is_problem(503, "overloaded")).map(Duration::from_secs);
        Ok((reply, pause))
    }
}

impl Reply {
    /// The id of what was made; anything but 201 is unexpected.
    pub(super) fn created_id(self) -> Result<String, Error> {
        let id = serde_json::from_str::<Value>(&self.body)
            .ok()
            .and_then(|body| Some(body["id"].as_str()?.to_owned()));
        match id {
            Some(id) if self.status == 201 => Ok(id),
            Some(_) | None => Err(self.unexpected()),
        }
    }

    /// Whether it is the problem of this status and code.
    pub(super) fn is_problem(&self, status: u16, code: &str) -> bool {
        self.status == status
            && serde_json::from_str::<Value>(&self.body).is_ok_and(|body| body["code"] == code)
    }

    /// The error that this answer is.
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
