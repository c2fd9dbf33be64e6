//! The clock, which gives each event its time and its id. Stamps never go backwards.
//!
//! **Invariant:** the writer makes all times and ids, and `decide` gets them with the command. Two replays of
//! one log give equal models.

use std::time::Duration;

use uuid::ContextV7;

use crate::domain::{Stamp, Timestamp};
use crate::system_clock;

pub(super) struct Clock {
    /// The time that the system's clock showed when it was last read.
    now: Timestamp,
    /// The time of the last stamp, or of a later event.
    last: Timestamp,
    uuids: ContextV7,
}

impl Clock {
    /// Returns a clock whose stamps are all later than `last`.
    pub(super) fn after(last: Timestamp) -> Self {
        Self { now: system_clock::now(), last, uuids: ContextV7::new() }
    }

    /// Reads the system's clock, once for each batch. All further stamps are also later than `last`, the time of the last
    /// event, which another server may have stamped.
    pub(super) fn read(&mut self, last: Timestamp) {
        self.now = system_clock::now();
        self.last = self.last.max(last);
    }

    /// Returns a stamp of the time that was read, or of one microsecond after the last stamp if that is later.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.last = self.now.max(self.last.next());
        Stamp { time: self.last, id: system_clock::uuid_at(self.last, &self.uuids) }
    }

    /// Replaces the stamps with `count` later ones.
    pub(super) fn stamp_each(&mut self, stamps: &mut Vec<Stamp>, count: usize) {
        stamps.clear();
        stamps.extend((0..count).map(|_| self.stamp()));
    }
}

/// Warns if the log is ahead of the system's clock. `last` is the time of its last event.
pub(super) fn warn_if_behind(last: Timestamp) {
    let clock = system_clock::now();
    if let Some(behind_s) = whole_seconds(last.saturating_since(clock)) {
        tracing::warn!(
            last_event = %last, %clock, behind_s,
            "the system's clock is behind the log: until it has caught up, new events are dated one microsecond \
             apart, after the log's last one"
        );
    }
}

/// Returns the time by which the clock is behind, in seconds, rounded up. Returns `None` if it is less than a
/// second, because many writes in one microsecond put a log that far ahead of a clock that is right.
pub(super) fn whole_seconds(behind: Duration) -> Option<u64> {
    let is_behind = behind >= Duration::from_secs(1);
    is_behind.then(|| behind.as_secs() + u64::from(behind.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn stamps_grow_even_if_the_log_is_ahead() {
        let in_2100 = Timestamp::from_micros(4_102_444_800_000_000).expect("in range");
        for last in [Timestamp::default(), in_2100] {
            let mut clock = Clock::after(last);
            let mut before = Stamp { time: last, id: Uuid::nil() };
            for _ in 0..10_000 {
                let stamp = clock.stamp();
                assert!(stamp.time > before.time && stamp.id > before.id, "{before:?} {stamp:?}");
                assert_eq!(stamp.id.get_version_num(), 7);
                before = stamp;
            }
        }
    }

    #[test]
    fn a_clock_is_behind_from_a_second_on() {
        let seconds = |micros| whole_seconds(Duration::from_micros(micros));
        assert_eq!([seconds(0), seconds(1), seconds(999_999)], [None; 3]);
        assert_eq!(seconds(1_000_000), Some(1));
        assert_eq!(seconds(1_000_001), Some(2));
        assert_eq!(seconds(86_400_000_000), Some(86_400));
    }
}
