//! Metrics of requests and connections.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    pub(crate) connections: IntGauge,
    pub(crate) open: IntGauge,
    pub(crate) keys_stale: IntGauge,
    pub(crate) tls_stale: IntGauge,
}

/// Label of all paths without a route, so that they add no series.
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
            open: IntGauge::new(
                "chinwag_open",
                "1 if the server serves everyone without credentials, 0 if every call needs one.",
            )
            .expect("a name"),
            keys_stale: IntGauge::new(
                "chinwag_keys_stale",
                "1 while a file of keys cannot be used, and its earlier keys are still good.",
            )
            .expect("a name"),
            tls_stale: IntGauge::new(
                "chinwag_tls_stale",
                "1 while the files of the certificate cannot be used, and the one from before is served.",
            )
            .expect("a name"),
        };
        let build = Opts::new("chinwag_build_info", "The version that runs; always 1.");
        let build =
            IntGauge::with_opts(build.const_label("version", env!("CARGO_PKG_VERSION"))).expect("a name");
        build.set(1);
        metrics.show(metrics.requests.clone());
        metrics.show(metrics.seconds.clone());
        metrics.show(metrics.connections.clone());
        metrics.show(metrics.open.clone());
        metrics.show(build);
        #[cfg(target_os = "linux")]
        metrics.show(prometheus::process_collector::ProcessCollector::for_self());
        metrics
    }
}

impl HttpMetrics {
    /// Shows whether the keys are fresh. Servers without keys do not have this metric.
    pub(crate) fn show_keys_stale(&self) {
        self.show(self.keys_stale.clone());
    }

    /// Shows whether the certificate is fresh. Servers without TLS do not have this metric.
    pub(crate) fn show_tls_stale(&self) {
        self.show(self.tls_stale.clone());
    }

    /// Returns the current values of all metrics.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Returns the number of requests that were answered.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of whole numbers")]
    pub(crate) fn answered(&self) -> u64 {
        let families = self.requests.collect();
        families
            .iter()
            .flat_map(MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value() as u64)
            .sum()
    }

    /// Returns the metrics of a route, or, for `None`, of all paths without a route. The counters of these statuses begin
    /// at 0: a rate misses the first request of a series that begins with it.
    pub(crate) fn of_route(
        &self,
        route: Option<&str>,
        statuses: impl IntoIterator<Item = StatusCode>,
    ) -> RouteMetrics {
        let path = route.unwrap_or(NO_ROUTE);
        let requests =
            |status: StatusCode| (status, self.requests.with_label_values(&[path, status.as_str()]));
        RouteMetrics {
            path: path.to_owned(),
            requests: self.requests.clone(),
            expected: statuses.into_iter().map(requests).collect(),
            seconds: self.seconds.with_label_values(&[path]),
        }
    }

    fn show(&self, metric: impl Collector + 'static) {
        self.registry.register(Box::new(metric)).expect("each is registered once");
    }
}

/// The metrics of a route, or of all paths without one.
pub(crate) struct RouteMetrics {
    path: String,
    requests: IntCounterVec,
    /// The counters that began at 0. They need no look-up by their labels.
    expected: Vec<(StatusCode, IntCounter)>,
    seconds: Histogram,
}

impl RouteMetrics {
    /// Counts a request that was answered, and the time that it took.
    pub(crate) fn observe(&self, status: StatusCode, took: Duration) {
        match self.expected.iter().find(|(expected, _)| *expected == status) {
            Some((_, requests)) => requests.inc(),
            None => self.requests.with_label_values(&[&self.path, status.as_str()]).inc(),
        }
        self.seconds.observe(took.as_secs_f64());
    }
}
