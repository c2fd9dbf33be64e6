//! The API: requests to commands and look-ups, and their answers back. It never names the log.

#![expect(unused_qualifications, reason = "utoipa's macros repeat a handler's types with their paths")]

mod array;
mod arriving;
mod chats;
mod connections;
mod cors;
mod cursor;
mod docs;
mod events;
mod fields;
mod health;
mod json;
mod message_json;
mod messages;
mod metrics;
mod observed;
mod page;
mod panics;
mod problem;
mod refusals;
mod rendered;
mod request_id;
mod schema;
mod users;
mod watched;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, OnceLock};

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{CorsOrigins, Limits};
use crate::engine::{Engine, ReplayProgress};
use arriving::Arriving;
pub use connections::serve_connections;
use metrics::HttpMetrics;
use observed::Slow;
pub use panics::log_panics;
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
    metrics: HttpMetrics,
    slow: Slow,
}

impl App {
    /// An app that answers 503 `starting` until it is [ready](Self::ready).
    #[must_use]
    pub fn starting(progress: Arc<ReplayProgress>, limits: Limits) -> Self {
        Self {
            engine: OnceLock::new(),
            progress,
            limits,
            arriving: Arriving::at_most(limits.body_bytes_max),
            rendered: Rendered::default(),
            metrics: HttpMetrics::default(),
            slow: Slow::default(),
        }
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

/// All routes; pages of these origins may call them too.
pub fn router(app: Arc<App>, cors_origins: Option<&CorsOrigins>) -> Router {
    let (routes, _) = routes().split_for_parts();
    let routes = routes.fallback(route_not_found).method_not_allowed_fallback(method_not_allowed);
    let routes = match cors_origins {
        Some(origins) => routes.layer(cors::layer(origins)),
        None => routes,
    };
    routes.with_state(app)
}

/// The route of this path, if it has one. No route has parameters, so a path is a route's whole name.
fn route_of(path: &str) -> Option<&'static str> {
    static ROUTES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let calls = routes().into_openapi().paths.paths.into_keys();
        let files =
            docs::ASSETS.iter().map(|asset| asset.path).chain(page::FILES.iter().map(|file| file.path));
        calls.chain(files.map(str::to_owned)).collect()
    });
    ROUTES.get(path).map(String::as_str)
}

/// All routes, each with its part of the API's document.
fn routes() -> OpenApiRouter<Arc<App>> {
    let calls = OpenApiRouter::with_openapi(docs::Api::openapi())
        .routes(routes!(users::add))
        .routes(routes!(users::get))
        .routes(routes!(chats::add))
        .routes(routes!(chats::get))
        .routes(routes!(chats::add_user))
        .routes(routes!(chats::remove_user))
        .routes(routes!(chats::read))
        .routes(routes!(messages::add))
        .routes(routes!(messages::batch))
        .routes(routes!(messages::get))
        .routes(routes!(events::get))
        .routes(routes!(health::get))
        .routes(routes!(metrics::get))
        .routes(routes!(docs::document))
        .routes(routes!(docs::page))
        .routes(routes!(page::get));
    let docs = docs::ASSETS
        .iter()
        .fold(calls, |routes, asset| routes.route(asset.path, get(async move || (asset.answer)())));
    page::FILES
        .iter()
        .fold(docs, |routes, file| routes.route(file.path, get(async move || file.into_response())))
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

/// The engine, once the log has been replayed, for a request without a body.
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

    #[test]
    fn a_route_is_known_by_its_path_and_no_other_path_is_one() {
        assert!(routes().into_openapi().paths.paths.keys().all(|path| !path.contains('{')), "no parameters");
        for path in ["/", "/messages/add", "/events", "/metrics", "/docs/start.js", "/page/page.js"] {
            assert_eq!(route_of(path), Some(path));
        }
        for path in ["", "/nothing", "/messages/add/", "/messages/Add"] {
            assert_eq!(route_of(path), None);
        }
    }
}
