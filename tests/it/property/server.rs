//! The whole server, except its sockets.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use chinwag::config::ServeConfig;
use chinwag::domain::{Actor, Command, IdempotencyKey, Refusal};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress, SubmitError, WriterEnd};
use chinwag::http::{App, Router};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::Outcome;
use http_body_util::BodyExt;
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) path: &'static str,
    pub(super) body: Value,
    pub(super) key: Option<String>,
    /// Present if the request goes to the engine directly, as a call that the API does not have.
    pub(super) revocation: Option<Revocation>,
}

/// The one who sends a revocation, and the time that the server chooses for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Revocation {
    pub(super) by: Actor<'static>,
    pub(super) from: u64,
}

impl Request {
    /// Returns a request without a key.
    pub(super) fn new(path: &'static str, body: Value) -> Self {
        Self { path, body, key: None, revocation: None }
    }

    pub(super) fn by(&self) -> Actor<'static> {
        self.revocation.as_ref().map_or(Actor::Unknown, |revocation| revocation.by.clone())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// `null` if there is no such value.
    pub(super) body: Value,
    pub(super) position: Option<usize>,
    pub(super) replayed: bool,
}

/// The whole server, except its sockets.
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) engine: Arc<Engine>,
    end: WriterEnd,
}

impl Server {
    pub(super) fn open(dir: &Path) -> Self {
        let disk = RealDisk::lock(dir).expect("nobody else has it");
        let log = FileLog::new(disk, SEGMENT_BYTES_MIN);
        let progress = Arc::new(ReplayProgress::default());
        let settings = EngineSettings { queue_max: 100, can_follow_all: false, scrub: None };
        let (engine, end) = Engine::start(Box::new(log), settings, &progress).expect("a sound log");
        let engine = Arc::new(engine);
        let app = Arc::new(App::starting(progress, &ServeConfig::default()));
        app.ready(Arc::clone(&engine));
        Self { router: Router::new(app), engine, end }
    }

    pub(super) async fn close(mut self) {
        self.engine.close();
        self.end.wait().await.expect("a clean end");
    }

    pub(super) async fn send(&self, request: &Request) -> Reply {
        if let Some(revocation) = &request.revocation {
            return self.revoke(request, revocation).await;
        }
        let Request { path, body, key, .. } = request;
        let mut request = HttpRequest::post(*path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body.to_string())).expect("a well-formed request");
        let response = self.router.answer(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
        let position = headers.get("chinwag-position");
        let position = position.map(|value| value.to_str().expect("text").parse().expect("a number"));
        Reply { status, body, position, replayed: headers.contains_key("idempotent-replayed") }
    }

    async fn revoke(
        &self,
        Request { body, key, .. }: &Request,
        Revocation { by, from }: &Revocation,
    ) -> Reply {
        let user = body["user"].as_str().expect("an id").parse().expect("an id");
        let command = Command::RevokeTokens { user, from: *from };
        let key = key.clone().map(|key| IdempotencyKey::new(key, &command, by).expect("a key"));
        let refused = |status, code: &str, field: &str| {
            let body = json!({ "code": code, "field": field });
            Reply { status, body, position: None, replayed: false }
        };
        match self.engine.submit(command, key, by.clone()).await {
            Ok(accepted) => {
                let Outcome::TokensFrom(from) = accepted.receipt.outcome else { panic!("{accepted:?}") };
                let position = usize::try_from(accepted.receipt.position.0).expect("small");
                Reply {
                    status: StatusCode::OK,
                    body: json!({ "tokens_from": from }),
                    position: Some(position),
                    replayed: accepted.replayed,
                }
            }
            Err(SubmitError::Refused(Refusal::UserNotFound { .. })) => {
                refused(StatusCode::NOT_FOUND, "user_not_found", "user")
            }
            Err(SubmitError::Refused(Refusal::KeyReused { .. })) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Idempotency-Key")
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn list(&self, path: &'static str, body: Value) -> Vec<Value> {
        match self.send(&Request::new(path, body)).await {
            Reply { status: StatusCode::OK, body: Value::Array(items), .. } => items,
            other => panic!("{path}: {other:?}"),
        }
    }
}
