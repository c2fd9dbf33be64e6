//! The API: requests to commands and look-ups, and their answers back. It never names the log.

mod array;
mod arriving;
mod chats;
mod connections;
mod cursor;
mod events;
mod fields;
mod health;
mod json;
mod messages;
mod page;
mod problem;
mod rendered;
mod users;
mod watched;
mod write;

use std::any::Any;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::Limits;
use crate::engine::{Engine, ReplayProgress};
use arriving::Arriving;
pub use connections::serve_connections;
use problem::{Code, Problem};
use rendered::Rendered;

/// What every handler can reach.
pub struct App {
    /// None while the log is being replayed.
    engine: OnceLock<Arc<Engine>>,
    progress: Arc<ReplayProgress>,
    limits: Limits,
    arriving: Arriving,
    rendered: Rendered,
}

impl App {
    /// An app that answers 503 `starting` until it is [ready](Self::ready).
    #[must_use]
    pub fn starting(progress: Arc<ReplayProgress>, limits: Limits) -> Self {
        let arriving = Arriving::at_most(limits.body_bytes_max);
        Self { engine: OnceLock::new(), progress, limits, arriving, rendered: Rendered::default() }
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
    let page = page::FILES
        .iter()
        .fold(Router::new(), |router, file| router.route(file.path, get(async move || file.into_response())));
    page.route("/users/add", post(users::add))
        .route("/users/get", post(users::get))
        .route("/chats/add", post(chats::add))
        .route("/chats/get", post(chats::get))
        .route("/chats/users/add", post(chats::add_user))
        .route("/chats/users/remove", post(chats::remove_user))
        .route("/chats/read", post(chats::read))
        .route("/messages/add", post(messages::add))
        .route("/messages/batch", post(messages::batch))
        .route("/messages/get", post(messages::get))
        .route("/events", get(events::get))
        .route("/health", get(health::get))
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app)
}

/// A bug in one handler is one client's 500. The panic's own message went to the log already.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}

async fn route_not_found(request: Request) -> Problem {
    let detail = format!("there is no route {}", problem::shown(request.uri().path()));
    json::discard(request);
    Problem::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let (method, path) = (problem::shown(request.method().as_str()), problem::shown(request.uri().path()));
    let detail = format!("{path} does not answer {method}; the header Allow says what it answers");
    json::discard(request);
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let router: Router = Router::new()
            .route("/", get(async || -> Response { panic!("an inner secret") }))
            .layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
        assert!(!body.to_string().contains("secret"));
    }
}
