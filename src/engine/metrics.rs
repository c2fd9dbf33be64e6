//! The metrics of an engine and of its contents.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{Engine, SubmitError};
use crate::domain::Timestamp;
use crate::log::stream::StreamStatus;
use crate::log::{LogMetrics, Scrubbed};

/// The values of the label `reason`.
const REASONS: [&str; 7] =
    ["rule", "overloaded", "storage_full", "unavailable", "unconfirmed", "shutting_down", "log_failed"];

pub(super) struct EngineMetrics {
    registry: Registry,
    log: LogMetrics,
    has_room: AtomicBool,
    batch_writes: Histogram,
    refused: IntCounterVec,
    sampled: Sampled,
    scrubs: ScrubMetrics,
}

/// Values that are read only when the metrics are collected.
struct Sampled {
    writable: IntGauge,
    queue_writes: IntGauge,
    queue_bytes: IntGauge,
    position: IntGauge,
    users: IntGauge,
    chats: IntGauge,
    messages: IntGauge,
    streams: IntGauge,
    erasures_due: IntGauge,
    clock_behind: Gauge,
}

/// The metrics of a scrubber.
#[derive(Debug, Clone)]
pub(super) struct ScrubMetrics {
    scrubs: IntCounter,
    failures: IntCounter,
    segments: IntCounter,
    bytes: IntCounter,
    last_success: IntGauge,
    /// The number of erasures that were carried out.
    erased: Arc<AtomicU64>,
}

impl ScrubMetrics {
    fn shown_in(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| IntCounter::new(name, help).expect("a name");
        let metrics = Self {
            scrubs: counter("chinwag_scrubs_total", "Scrubs of the log that were finished."),
            failures: counter("chinwag_scrub_failures_total", "Scrubs of the log that failed."),
            segments: counter("chinwag_scrubbed_segments_total", "Segments that scrubs have rewritten."),
            bytes: counter("chinwag_scrubbed_bytes_total", "Length of these segments before."),
            last_success: IntGauge::new(
                "chinwag_scrub_last_success_timestamp_seconds",
                "Unix time at which the last scrub was finished; 0 before the first one.",
            )
            .expect("a name"),
            // Nothing is due in a log that is not scrubbed.
            erased: Arc::new(AtomicU64::new(u64::MAX)),
        };
        show(registry, &metrics.scrubs);
        show(registry, &metrics.failures);
        show(registry, &metrics.segments);
        show(registry, &metrics.bytes);
        show(registry, &metrics.last_success);
        metrics
    }

    pub(super) fn set_erased(&self, erasures: u64) {
        self.erased.store(erasures, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failures.inc();
    }

    pub(super) fn note(&self, scrubbed: &Scrubbed, at: Timestamp) {
        self.scrubs.inc();
        self.segments.inc_by(scrubbed.segments);
        self.bytes.inc_by(scrubbed.bytes);
        self.last_success.set(i64::try_from(at.as_micros() / 1_000_000).unwrap_or(i64::MAX));
    }
}

impl EngineMetrics {
    pub(super) fn new(log: &LogMetrics, replay: Duration) -> Self {
        let registry = Registry::new();
        log.register(&registry);
        let buckets = prometheus::exponential_buckets(1.0, 2.0, 11).expect("a start above 0");
        let batch =
            HistogramOpts::new("chinwag_batch_writes", "Writes that were decided together, for one sync.");
        let batch_writes = Histogram::with_opts(batch.buckets(buckets)).expect("a name");
        let refused = Opts::new("chinwag_writes_refused_total", "Writes that were refused, by reason.");
        let refused = IntCounterVec::new(refused, &["reason"]).expect("a name");
        // A rate misses the first refusal of a series that begins with it.
        for reason in REASONS {
            refused.with_label_values(&[reason]).inc_by(0);
        }
        let replayed = Gauge::new("chinwag_replay_duration_seconds", "Time that the replay at start took.")
            .expect("a name");
        replayed.set(replay.as_secs_f64());
        show(&registry, &batch_writes);
        show(&registry, &refused);
        show(&registry, &replayed);
        let (sampled, log, scrubs) =
            (Sampled::shown_in(&registry), log.clone(), ScrubMetrics::shown_in(&registry));
        Self { registry, log, has_room: AtomicBool::new(true), batch_writes, refused, sampled, scrubs }
    }

    pub(super) fn scrubs(&self) -> &ScrubMetrics {
        &self.scrubs
    }

    pub(super) fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Relaxed)
    }

    pub(super) fn set_has_room(&self, has_room: bool) {
        self.has_room.store(has_room, Ordering::Relaxed);
    }

    pub(super) fn observe_batch(&self, writes: usize) {
        self.batch_writes.observe(u32::try_from(writes).unwrap_or(u32::MAX).into());
    }

    pub(super) fn count_refused(&self, error: &SubmitError) {
        let [rule, overloaded, storage_full, unavailable, unconfirmed, shutting_down, log_failed] = REASONS;
        let reason = match error {
            SubmitError::Refused(_) | SubmitError::TooLarge { .. } => rule,
            SubmitError::Overloaded => overloaded,
            SubmitError::StorageFull => storage_full,
            SubmitError::Unavailable => unavailable,
            SubmitError::Unconfirmed => unconfirmed,
            SubmitError::ShuttingDown => shutting_down,
            SubmitError::Failed => log_failed,
        };
        self.refused.with_label_values(&[reason]).inc();
    }
}

impl Sampled {
    fn shown_in(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a name");
            show(registry, &gauge);
            gauge
        };
        let clock_behind = Gauge::new(
            "chinwag_clock_behind_log_seconds",
            "Time by which the system's clock is behind the log's last event.",
        );
        let clock_behind = clock_behind.expect("a name");
        show(registry, &clock_behind);
        Self {
            clock_behind,
            writable: gauge("chinwag_writable", "1 if writes are taken, 0 if they are refused."),
            queue_writes: gauge("chinwag_queue_writes", "Writes that wait for the disk."),
            queue_bytes: gauge("chinwag_queue_bytes", "Length of the writes that wait for the disk."),
            position: gauge("chinwag_log_position", "Position of the log's last event."),
            users: gauge("chinwag_users", "Users."),
            chats: gauge("chinwag_chats", "Chats."),
            messages: gauge("chinwag_messages", "Messages in all chats."),
            streams: gauge("chinwag_streams", "Streams of events that are open."),
            erasures_due: gauge(
                "chinwag_erasures_due",
                "Erased messages and users that may still be on the disk.",
            ),
        }
    }
}

fn show(registry: &Registry, metric: &(impl Collector + Clone + 'static)) {
    registry.register(Box::new(metric.clone())).expect("each is registered once");
}

impl Engine {
    /// Collects all metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricFamily> {
        let sampled = &self.metrics.sampled;
        let (position, counts, erasures) =
            self.read(|model| (model.position(), model.counts(), model.index().erasures()));
        let erased = self.metrics.scrubs.erased.load(Ordering::Relaxed);
        for (gauge, value) in [
            (&sampled.writable, self.is_writable().into()),
            (&sampled.queue_writes, self.queued.writes() as u64),
            (&sampled.queue_bytes, self.queued.bytes() as u64),
            (&sampled.position, position.0),
            (&sampled.users, counts.users),
            (&sampled.chats, counts.chats),
            (&sampled.messages, counts.messages),
            (&sampled.streams, self.live.followers() as u64),
            (&sampled.erasures_due, erasures.saturating_sub(erased)),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        sampled.clock_behind.set(self.clock_behind().as_secs_f64());
        self.metrics.log.sample();
        let mut families = self.metrics.registry.gather();
        families.extend(self.stream().into_iter().flat_map(of_stream));
        families
    }
}

/// Collects the metrics of a stream that servers share.
fn of_stream(status: &StreamStatus) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: u64| {
        let gauge = IntGauge::new(name, help).expect("a name");
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        show(&registry, &gauge);
    };
    let counter = |name: &str, help: &str, value: u64| {
        let counter = IntCounter::new(name, help).expect("a name");
        counter.inc_by(value);
        show(&registry, &counter);
    };
    gauge(
        "chinwag_stream_sequence",
        "Sequence of the last message of the stream that is known here.",
        status.sequence(),
    );
    gauge(
        "chinwag_stream_writable",
        "1 if the stream takes writes, as far as is known, 0 from a write that it did not take.",
        status.is_writable().into(),
    );
    gauge(
        "chinwag_stream_copying",
        "1 if the stream is copied to this server's disk, 0 if that has ended until the next start.",
        status.is_copying().into(),
    );
    counter(
        "chinwag_stream_superseded_total",
        "Messages of the stream that do not count, because others were first.",
        status.superseded(),
    );
    counter(
        "chinwag_stream_strays_total",
        "Messages of the stream that are not ones of this log.",
        status.strays(),
    );
    counter(
        "chinwag_stream_forwarded_total",
        "Writes that another server carried out for this one.",
        status.forwarded(),
    );
    let help = "Time for which this server may lack what others have written.";
    let stale = Gauge::new("chinwag_stream_stale_seconds", help).expect("a name");
    stale.set(status.stale().as_secs_f64());
    show(&registry, &stale);
    let help = "Time by which this server's clock is ahead of that of the node which leads; negative if it is behind.";
    let clock = Gauge::new("chinwag_stream_clock_ahead_seconds", help).expect("a name");
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 ms, which is 285,000 years")]
    clock.set(status.clock_ahead_ms() as f64 / 1_000.0);
    show(&registry, &clock);
    registry.gather()
}
