//! The state that every call can reach: the engine, once there is one, and what the API itself keeps.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use crate::config::{CorsOrigins, Limits, ServeConfig};
use crate::engine::{Engine, ReplayProgress};
use crate::http::admission::{Caller, Cost, Head, Keyed};
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
    pub(crate) access: Access,
    pub(crate) body_budget: BodyBudget,
    pub(crate) event_cache: EventCache,
    /// A permit for each stream that may be opened.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) metrics: HttpMetrics,
}

/// Who may call.
pub(crate) enum Access {
    /// Everyone. The name that a browser calls, one of these, is all that tells the server's own pages from others.
    Open { hosts: Vec<String> },
    /// Callers with credentials.
    Keyed(Arc<Keyed>),
}

impl App {
    /// Returns an app that answers 503 `starting` until it is [ready](Self::ready).
    #[must_use]
    pub fn starting(progress: Arc<ReplayProgress>, config: &ServeConfig) -> Self {
        let limits = config.limits;
        let metrics = HttpMetrics::default();
        metrics.open.set(1);
        Self {
            engine: OnceLock::new(),
            progress,
            limits,
            cors_origins: config.cors_origins.clone(),
            access: Access::Open { hosts: config.access.hosts.clone() },
            body_budget: BodyBudget::new(limits.body_bytes_max as usize * BODIES_IN_PARTS_MAX),
            event_cache: EventCache::default(),
            streams: Arc::new(Semaphore::new(limits.streams_max as usize)),
            metrics,
        }
    }

    /// Makes each call need the credentials that its rule asks for.
    #[must_use]
    pub fn with_credentials(self, keyed: Arc<Keyed>) -> Self {
        self.metrics.open.set(0);
        self.metrics.show_keys_stale();
        Self { access: Access::Keyed(keyed), ..self }
    }

    /// Returns the admission, unless calls need no credentials.
    #[must_use]
    pub fn keyed(&self) -> Option<&Arc<Keyed>> {
        match &self.access {
            Access::Open { .. } => None,
            Access::Keyed(keyed) => Some(keyed),
        }
    }

    /// Sets the metric that says whether a file of keys could not be used when it was read again.
    pub fn set_keys_stale(&self, is_stale: bool) {
        self.metrics.keys_stale.set(is_stale.into());
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

    /// Admits the caller of a call, before anything but the head of the request is looked at.
    pub(crate) fn admit<'r>(
        &self,
        engine: &Engine,
        head: impl Into<Head<'r>>,
        cost: Cost,
    ) -> Result<Caller, Problem> {
        match &self.access {
            Access::Open { .. } => Ok(Caller::Anyone),
            Access::Keyed(keyed) => keyed.admit(engine, head.into(), cost),
        }
    }

    /// Shows the metric that says whether the files of the certificate could not be used when they were read again.
    pub fn show_tls_stale(&self) {
        self.metrics.show_tls_stale();
    }

    /// Sets that metric.
    pub fn set_tls_stale(&self, is_stale: bool) {
        self.metrics.tls_stale.set(is_stale.into());
    }

    /// Admits the caller again, once the whole request is there: the credentials may have been revoked meanwhile.
    pub(crate) fn admit_again(&self, engine: &Engine, caller: &Caller) -> Result<(), Problem> {
        match (self.keyed(), caller.session()) {
            (Some(keyed), Some(session)) => keyed.admit_again(engine, session),
            (None, _) | (_, None) => Ok(()),
        }
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>, Problem> {
        self.engine.get().ok_or_else(|| Problem::usual(Code::Starting))
    }
}

/// The engine and the caller, for a request without a body. The request is refused with 503 `starting` while the log
/// is replayed.
pub(crate) struct Ready {
    pub(crate) engine: Arc<Engine>,
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<App>> for Ready {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let engine = app.engine()?;
        let caller = app.admit(engine, &*parts, Cost::Read)?;
        Ok(Self { engine: Arc::clone(engine), caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Credentials, Secret};

    #[test]
    fn a_metric_says_whether_the_server_is_open() {
        let config = ServeConfig::default();
        let app = App::starting(Arc::default(), &config);
        assert_eq!(app.metrics.open.get(), 1);
        let keyed = Keyed::new(&config.access, Credentials::default(), Secret::random());
        assert_eq!(app.with_credentials(Arc::new(keyed)).metrics.open.get(), 0);
    }
}
