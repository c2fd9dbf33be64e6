//! `/metrics`, for Prometheus; and what is measured of requests.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TEXT_FORMAT, TextEncoder,
};

use super::{App, Ready, refusals};

pub(super) struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    pub(super) connections: IntGauge,
}

/// What stands for the path of requests that no route answers, so that they add no series.
const NO_ROUTE: &str = "none";

impl Default for HttpMetrics {
    fn default() -> Self {
        let requests = Opts::new(
            "chinwag_http_requests_total",
            "Requests that were answered, by route and status; \"none\" stands for all paths without a route.",
        );
        let seconds = HistogramOpts::new(
            "chinwag_http_request_duration_seconds",
            "Time from a request's head to the head of its answer, by route.",
        );
        let buckets = prometheus::exponential_buckets(100e-6, 2.0, 18).expect("a start above 0");
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["path", "status"]).expect("a name"),
            seconds: HistogramVec::new(seconds.buckets(buckets), &["path"]).expect("a name"),
            connections: IntGauge::new("chinwag_http_connections", "Connections that are open.")
                .expect("a name"),
        };
        let build = Opts::new("chinwag_build_info", "The version that runs; always 1.");
        let build =
            IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION"))).expect("a name");
        build.set(1);
        metrics.show(metrics.requests.clone());
        metrics.show(metrics.seconds.clone());
        metrics.show(metrics.connections.clone());
        metrics.show(build);
        metrics.show(ProcessCollector::for_self());
        metrics
    }
}

impl HttpMetrics {
    fn show(&self, metric: impl Collector + 'static) {
        self.registry.register(Box::new(metric)).expect("each is registered once");
    }

    pub(super) fn observe(&self, route: Option<&str>, status: StatusCode, took: Duration) {
        let path = route.unwrap_or(NO_ROUTE);
        self.requests.with_label_values(&[path, status.as_str()]).inc();
        self.seconds.with_label_values(&[path]).observe(took.as_secs_f64());
    }
}

/// Tells Prometheus what is measured.
///
/// In its text format, version 0.0.4: requests by route and status, writes, the log, the process.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses(
        (status = OK, description = "The measurements.", body = String, content_type = "text/plain"),
        refusals::OfMetrics,
    )
)]
pub(super) async fn get(Ready(engine): Ready, State(app): State<Arc<App>>) -> Response {
    let mut families = app.metrics.registry.gather();
    families.extend(engine.metrics());
    let text = TextEncoder::new().encode_to_string(&families).expect("names and numbers are text");
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}
