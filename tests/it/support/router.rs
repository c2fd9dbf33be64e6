//! The router in process: real handlers, a real engine, a log in memory; no process, no socket.
//!
//! ```ignore
//! let server = TestRouter::start();
//! let ann = server.add_user("ann").await;                // a `TestRouter` derefs to a `Client`
//! let reply = server.get("/health").await;
//! assert_eq!(reply.status, 200);
//! ```
//!
//! The server wraps each answer of the router once more: an answer in process has no `X-Request-Id`, a
//! problem has no `request_id`, and the metrics count nothing. A test of these starts a
//! [`TestServer`](super::TestServer).

use std::sync::Arc;

use axum::body::Body;
use chinwag::access::{Credentials, Secret};
use chinwag::config::ServeConfig;
use chinwag::engine::{Engine, EngineSettings, ReplayProgress};
use chinwag::http::{App, Keyed, Router};
use chinwag::log::MemoryLog;

use super::client::{Client, Reply, answer_in_process};

/// A router on an empty log, with the limits that the binary has by default.
pub struct TestRouter {
    router: Arc<Router>,
    client: Client,
}

impl TestRouter {
    /// Starts an engine on an empty log, and a router over it.
    pub fn start() -> Self {
        Self::start_with(&ServeConfig::default(), None)
    }

    /// Starts a router whose calls need credentials, and nobody has any: it shows what is said before that.
    pub fn start_keyed() -> Self {
        let config = ServeConfig::default();
        let keyed = Keyed::new(&config.access, Credentials::default(), Secret::random());
        Self::start_with(&config, Some(Arc::new(keyed)))
    }

    fn start_with(config: &ServeConfig, keyed: Option<Arc<Keyed>>) -> Self {
        let progress = Arc::new(ReplayProgress::default());
        let settings = EngineSettings {
            queue_max: config.limits.queue_max as usize,
            can_follow_all: false,
            scrub: None,
        };
        let (engine, _) = Engine::start(Box::new(MemoryLog::default()), settings, &progress)
            .expect("an empty log can be replayed");
        let app = App::starting(progress, config);
        let app = Arc::new(match keyed {
            Some(keyed) => app.with_credentials(keyed),
            None => app,
        });
        app.ready(Arc::new(engine));
        let router = Arc::new(Router::new(app));
        Self { client: Client::in_process(Arc::clone(&router)), router }
    }

    /// Returns the answer to a request, whose body may still be made.
    pub async fn answer(&self, request: axum::extract::Request) -> axum::response::Response {
        self.router.answer(request).await
    }

    /// Sends a request without a body whose path is exactly this one. [`Client`] would resolve `..` in it.
    pub async fn request_exactly(&self, method: &str, path: &str) -> Reply {
        let request = axum::http::Request::builder().method(method).uri(path);
        answer_in_process(&self.router, request.body(Body::empty()).expect("a request")).await
    }
}

/// A router is called through its client.
impl std::ops::Deref for TestRouter {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
