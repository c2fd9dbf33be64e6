//! The metrics of a log.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// The metrics of a log. Clones share them.
#[derive(Debug, Clone)]
pub struct LogMetrics {
    write_seconds: Histogram,
    sync_seconds: Histogram,
    bytes: IntGauge,
    segments: IntGauge,
}

impl Default for LogMetrics {
    fn default() -> Self {
        // From the tenth of a millisecond of a fast disk to the seconds of a disk that hangs.
        let buckets = prometheus::exponential_buckets(25e-6, 2.0, 18).expect("a start above 0");
        let histogram = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.clone())).expect("a name")
        };
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("a name");
        Self {
            write_seconds: histogram(
                "chinwag_log_write_duration_seconds",
                "Time that the write of a frame took.",
            ),
            sync_seconds: histogram(
                "chinwag_log_sync_duration_seconds",
                "Time that the sync of a frame took, after its write.",
            ),
            bytes: gauge("chinwag_log_bytes", "Length of all segments of the log."),
            segments: gauge("chinwag_log_segments", "Segments of the log."),
        }
    }
}

impl LogMetrics {
    /// Registers the metrics, so that they are exposed.
    ///
    /// # Panics
    ///
    /// Panics if the metrics of another log are in the same registry.
    pub fn register(&self, registry: &Registry) {
        let registered = registry
            .register(Box::new(self.write_seconds.clone()))
            .and_then(|()| registry.register(Box::new(self.sync_seconds.clone())))
            .and_then(|()| registry.register(Box::new(self.bytes.clone())))
            .and_then(|()| registry.register(Box::new(self.segments.clone())));
        registered.expect("one log in a registry");
    }

    pub(super) fn observe(&self, write: Duration, sync: Duration) {
        self.write_seconds.observe(write.as_secs_f64());
        self.sync_seconds.observe(sync.as_secs_f64());
    }

    pub(super) fn add_segments(&self, count: usize, bytes: u64) {
        self.segments.add(i64::try_from(count).unwrap_or(i64::MAX));
        self.bytes.add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
