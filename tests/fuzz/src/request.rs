//! Makes a request of arbitrary bytes. It is sent to the real router over a log in memory.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use chinwag::access::{Credentials, Secret, ServerKeys};
use chinwag::config::{Limits, ServeConfig};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress, WriterEnd};
use chinwag::http::{App, Keyed, Router};
use chinwag::log::MemoryLog;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// Sends a request made of these bytes: a line `METHOD PATH`, lines `Name: value`, an empty line, and a body.
/// `$USER` in the path or the body, and `$CHAT` in the body, stand for an id that exists.
///
/// It is sent to an open server, and to one whose calls need credentials, of which only the [key](KEY) is good.
///
/// The answer must be one that the API describes, and JSON if its type says so. A stored message must be read
/// back as it was sent.
pub fn send(bytes: &[u8]) {
    thread_local!(static SERVERS: RefCell<[Server; 2]> = RefCell::new([false, true].map(Server::start)));
    SERVERS.with_borrow_mut(|servers| {
        for server in servers {
            // A new server, before the written data fills the memory.
            if server.requests == 10_000 {
                *server = Server::start(server.is_keyed);
            }
            server.requests += 1;
            server.check(bytes);
        }
    });
}

/// A server key, which is in some of the seeds.
const KEY: &str = "cw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// The server's file of keys.
const KEYS: &[u8] = b"fuzz all 7caafc0fe33c038481b8ba5cbb271acf5616537485a78c20c22165ebd9b95c27\n";

struct Server {
    is_keyed: bool,
    runtime: Runtime,
    router: Router,
    _end: WriterEnd,
    user: String,
    chat: String,
    requests: u32,
}

impl Server {
    fn start(is_keyed: bool) -> Self {
        let progress = Arc::new(ReplayProgress::default());
        let limits = Limits {
            queue_max: 8,
            body_bytes_max: 4096,
            idle_timeout_s: 75,
            request_timeout_s: 30,
            follow_timeout_ms: 1,
            connections_max: 8,
            streams_max: 8,
        };
        let settings = EngineSettings { queue_max: 8, can_follow_all: is_keyed, scrub: None };
        let (engine, end) = Engine::start(Box::new(MemoryLog::default()), settings, &progress).unwrap();
        let config = ServeConfig { limits, ..ServeConfig::default() };
        let app = App::starting(progress, &config);
        let app = Arc::new(if is_keyed {
            let credentials = Credentials {
                server_keys: Arc::new(ServerKeys::parse(KEYS).unwrap()),
                ..Credentials::default()
            };
            app.with_credentials(Arc::new(Keyed::new(&config.access, credentials, Secret::random())))
        } else {
            app
        });
        app.ready(Arc::new(engine));
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let mut server = Self {
            is_keyed,
            runtime,
            router: Router::new(app),
            _end: end,
            user: String::new(),
            chat: String::new(),
            requests: 0,
        };
        server.user = server.add("/users/add", &json!({ "username": "ann" }));
        server.chat = server.add("/chats/add", &json!({ "name": "tea", "users": [server.user] }));
        server
    }

    fn add(&self, path: &str, body: &Value) -> String {
        let (status, body) = self.post(path, body);
        assert_eq!(status, StatusCode::CREATED);
        body["id"].as_str().unwrap().to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        let request =
            if self.is_keyed { request.header(AUTHORIZATION, format!("Bearer {KEY}")) } else { request };
        let (head, body) = self.answer(request.body(body.to_string().into()).unwrap());
        (head.status(), serde_json::from_slice(&body).unwrap())
    }

    fn answer(&self, request: Request<Body>) -> (Response<()>, Bytes) {
        self.runtime.block_on(async {
            let (head, mut body) = self.router.answer(request).await.into_parts();
            let is_endless =
                head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream; charset=utf-8");
            let answer = if is_endless {
                body.frame().await.map(|first| first.unwrap().into_data().unwrap()).unwrap_or_default()
            } else {
                body.collect().await.unwrap().to_bytes()
            };
            (Response::from_parts(head, ()), answer)
        })
    }

    fn check(&self, bytes: &[u8]) {
        let Some((request, body)) = self.request(bytes) else { return };
        let path = request.uri().path().to_owned();
        let has_body = request.method() != Method::HEAD;
        let (head, answer) = self.answer(request);
        let status = head.status();
        if !status.is_success() {
            assert_eq!(head.headers()[CONTENT_TYPE], "application/problem+json");
            if !has_body {
                return;
            }
            let problem: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(problem["status"], status.as_u16());
            assert!(self.is_keyed || status != StatusCode::UNAUTHORIZED, "{problem}");
            assert!(
                matches!(status.as_u16(), 400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 422),
                "{problem}"
            );
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() < 1_000), "{problem}");
            return;
        }
        let is_json = head.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if has_body && is_json {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if path == "/messages/add" && !head.headers().contains_key("idempotent-replayed") {
                self.check_message(&serde_json::from_slice(&body).unwrap(), &answer);
            }
        }
    }

    fn check_message(&self, sent: &Value, answer: &Value) {
        let before =
            json!({ "chat": sent["chat"], "after": answer["seq"].as_u64().unwrap() - 1, "limit": 1 });
        let (_, read) = self.post("/messages/get", &before);
        assert_eq!(read[0]["text"], sent["text"]);
        assert_eq!(read[0]["id"], answer["id"]);
    }

    /// Returns the request and its body, or `None` if the bytes do not contain a request's head.
    fn request(&self, bytes: &[u8]) -> Option<(Request<Body>, Vec<u8>)> {
        let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
        let line = replaced(lines.next()?, b"$USER", &self.user);
        let (method, path) = std::str::from_utf8(&line).ok()?.split_once(' ')?;
        let mut rest = lines.next()?;
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).ok()?).uri(path);
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n')?;
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = line[colon + 1..].trim_ascii();
            request = request.header(name, HeaderValue::from_bytes(value).ok()?);
        }
        let body = replaced(&replaced(rest, b"$USER", &self.user), b"$CHAT", &self.chat);
        Some((request.body(body.clone().into()).ok()?, body))
    }
}

fn replaced(bytes: &[u8], word: &[u8; 5], by: &str) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(word.len()).position(|window| window == word) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(by.as_bytes());
        rest = &rest[at + word.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
