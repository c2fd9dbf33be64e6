//! The metrics of a log.

use std::path::PathBuf;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// The metrics of a log. Clones share them.
#[derive(Debug, Clone)]
pub struct LogMetrics {
    write_seconds: Histogram,
    sync_seconds: Histogram,
    bytes: IntGauge,
    used_bytes: IntGauge,
    segments: IntGauge,
    /// `None` for a log that keeps nothing on disk.
    free: Option<FreeBytes>,
}

/// The free bytes of the file system that a directory is on.
#[derive(Debug, Clone)]
struct FreeBytes {
    dir: PathBuf,
    bytes: IntGauge,
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
            used_bytes: gauge(
                "chinwag_log_used_bytes",
                "Length of the log's frames, which hold its events; the rest of its segments is for more.",
            ),
            segments: gauge("chinwag_log_segments", "Segments of the log."),
            free: None,
        }
    }
}

impl LogMetrics {
    /// Creates the metrics of a log in this directory.
    pub(super) fn of_dir(dir: PathBuf) -> Self {
        let help = "Bytes that the server may still write on the file system of the log.";
        let bytes = IntGauge::new("chinwag_log_filesystem_free_bytes", help).expect("a name");
        Self { free: Some(FreeBytes { dir, bytes }), ..Self::default() }
    }

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
            .and_then(|()| registry.register(Box::new(self.used_bytes.clone())))
            .and_then(|()| registry.register(Box::new(self.segments.clone())))
            .and_then(|()| match &self.free {
                Some(free) => registry.register(Box::new(free.bytes.clone())),
                None => Ok(()),
            });
        registered.expect("one log in a registry");
    }

    /// Reads the values that change without the log.
    pub fn sample(&self) {
        let Some(FreeBytes { dir, bytes }) = &self.free else { return };
        // While it cannot be read, the last value stays: a server that has lost its directory ends at its
        // next write.
        if let Ok(system) = rustix::fs::statvfs(dir) {
            bytes.set(to_gauge(system.f_bavail.saturating_mul(system.f_frsize)));
        }
    }

    pub(super) fn add_used(&self, bytes: u64) {
        self.used_bytes.add(to_gauge(bytes));
    }

    pub(super) fn observe(&self, write: Duration, sync: Duration) {
        self.write_seconds.observe(write.as_secs_f64());
        self.sync_seconds.observe(sync.as_secs_f64());
    }

    pub(super) fn add_segments(&self, count: usize, bytes: u64) {
        self.segments.add(to_gauge(count as u64));
        self.bytes.add(to_gauge(bytes));
    }
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
