//! The API: requests to commands and look-ups, and their answers back. It never names the log.

mod array;
mod chats;
mod connections;
mod cursor;
mod fields;
mod health;
mod json;
mod messages;
mod problem;
mod users;
mod write;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::Limits;
use crate::engine::{Engine, ReplayProgress};
pub use connections::serve_connections;
use problem::{Code, Problem};

/// What every handler can reach.
pub struct App {
    /// None while the log is being replayed.
    engine: OnceLock<Arc<Engine>>,
    progress: Arc<ReplayProgress>,
    limits: Limits,
}

impl App {
    /// An app that answers 503 `starting` until it is [ready](Self::ready).
    #[must_use]
    pub fn starting(progress: Arc<ReplayProgress>, limits: Limits) -> Self {
        Self { engine: OnceLock::new(), progress, limits }
    }

    /// From now on the engine answers.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub fn ready(&self, engine: Arc<Engine>) {
        assert!(self.engine.set(engine).is_ok(), "an app becomes ready once");
    }

    fn engine(&self) -> Result<&Arc<Engine>, Problem> {
        self.engine.get().ok_or_else(Problem::starting)
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/users/add", post(users::add))
        .route("/chats/add", post(chats::add))
        .route("/chats/get", post(chats::get))
        .route("/messages/add", post(messages::add))
        .route("/messages/get", post(messages::get))
        .route("/health", get(health::get))
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()))
        .with_state(app)
}

async fn route_not_found(request: Request) -> Problem {
    let detail = format!("there is no route {}", problem::shown(request.uri().path()));
    json::discard(request.into_body());
    Problem::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let (method, path) = (problem::shown(request.method().as_str()), problem::shown(request.uri().path()));
    let detail = format!("{path} does not answer {method}; the header Allow says what it answers");
    json::discard(request.into_body());
    Problem::new(Code::MethodNotAllowed, detail)
}

/// The engine, once the log has been replayed. As a handler's first argument it refuses before the body is read.
struct Ready(Arc<Engine>);

impl FromRequestParts<Arc<App>> for Ready {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        app.engine().map(|engine| Self(Arc::clone(engine)))
    }
}
