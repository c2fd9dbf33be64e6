//! The state that every call can reach: the engine, once there is one, and what the API itself keeps.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use crate::config::{CorsOrigins, Limits, ServeConfig};
use crate::engine::{Engine, ReplayProgress};
use crate::http::answer::codes::Code;
use crate::http::answer::event_cache::EventCache;
use crate::http::answer::problem::Problem;
use crate::http::body_budget::BodyBudget;
use crate::http::limits::BODIES_IN_PARTS_MAX;
use crate::http::metrics::HttpMetrics;

/// The state of the API, shared by all requests.
pub struct App {
    /// Empty while the log is being replayed.
    engine: OnceLock<Arc<Engine>>,
    pub(crate) progress: Arc<ReplayProgress>,
    pub(crate) limits: Limits,
    /// Web pages of these origins may call the API.
    pub(crate) cors_origins: Option<CorsOrigins>,
    pub(crate) body_budget: BodyBudget,
    pub(crate) event_cache: EventCache,
    /// A permit for each stream that may be opened.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) metrics: HttpMetrics,
}

impl App {
    /// Returns an app that answers 503 `starting` until it is [ready](Self::ready).
    #[must_use]
    pub fn starting(progress: Arc<ReplayProgress>, config: &ServeConfig) -> Self {
        let limits = config.limits;
        Self {
            engine: OnceLock::new(),
            progress,
            limits,
            cors_origins: config.cors_origins.clone(),
            body_budget: BodyBudget::new(limits.body_bytes_max as usize * BODIES_IN_PARTS_MAX),
            event_cache: EventCache::default(),
            streams: Arc::new(Semaphore::new(limits.streams_max as usize)),
            metrics: HttpMetrics::default(),
        }
    }

    /// Makes the app ready: from now on, the engine answers.
    ///
    /// # Panics
    ///
    /// Panics if it is called twice.
    pub fn ready(&self, engine: Arc<Engine>) {
        assert!(self.engine.set(engine).is_ok(), "an app becomes ready once");
    }

    /// Returns the number of connections that are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.metrics.connections.get()).unwrap_or(0)
    }

    /// Returns the number of requests that were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.metrics.answered()
    }

    /// Shows in the metrics whether the certificate that is served is no longer the one in the files.
    pub fn show_tls_stale(&self, is_stale: bool) {
        self.metrics.show_tls_stale(is_stale);
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, Problem> {
        self.engine.get().ok_or_else(|| Problem::usual(Code::Starting))
    }
}

/// The engine, for a request without a body. The request is refused with 503 `starting` while the log is
/// replayed.
pub(crate) struct Ready(pub(crate) Arc<Engine>);

impl FromRequestParts<Arc<App>> for Ready {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        app.engine().map(|engine| Self(Arc::clone(engine)))
    }
}
