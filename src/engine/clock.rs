//! The clock, which gives each event its time and its id. Stamps never go backwards.
//!
//! **Invariant:** the writer makes all times and ids, and `decide` gets them with the command. Two replays of
//! one log give equal models.

use std::time::SystemTime;

use uuid::{ContextV7, Uuid};

use crate::domain::{Stamp, Timestamp};

pub(super) struct Clock {
    last: Timestamp,
    uuids: ContextV7,
}

impl Clock {
    /// Returns a clock whose stamps are all later than `last`.
    pub(super) fn after(last: Timestamp) -> Self {
        Self { last, uuids: ContextV7::new() }
    }

    /// Returns a stamp of the current time, or of one microsecond after the last stamp if that is later.
    pub(super) fn stamp(&mut self) -> Stamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let system = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
        let micros = system.max(self.last.as_micros() + 1);
        self.last = Timestamp::from_micros(micros).expect("the clock shows a year before 9999");
        Stamp { time: self.last, id: self.uuid(micros) }
    }

    /// Replaces the stamps with `count` later ones.
    pub(super) fn stamp_each(&mut self, stamps: &mut Vec<Stamp>, count: usize) {
        stamps.clear();
        stamps.extend((0..count).map(|_| self.stamp()));
    }

    fn uuid(&self, micros: u64) -> Uuid {
        let nanos = u32::try_from(micros % 1_000_000 * 1_000).expect("less than a second");
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.uuids, micros / 1_000_000, nanos))
    }
}

#[cfg(test)]
mod tests {
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
}
