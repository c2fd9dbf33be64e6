//! The system's clock, and ids that begin with a time.
//!
//! A clock that is wrong may show any time, but an event has a time from 1970 on, with a year of four digits.
//! So every look at the time of day goes through this file, which never panics.

use std::time::SystemTime;

use uuid::{ClockSequence, NoContext, Uuid};

use crate::domain::Timestamp;

/// A time of the system's clock that no event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// The time is before 1970.
    #[error("the system's clock is wrong: it shows a time before 1970")]
    Before,
    /// The time is after [`Timestamp::CLOCK_MAX`].
    #[error("the system's clock is wrong: it shows a time after the year 9998")]
    After,
}

/// Checks that the clock shows a time that an event can have.
///
/// # Errors
///
/// See [`OutOfRange`].
pub fn check() -> Result<(), OutOfRange> {
    in_range(SystemTime::now()).map(|_| ())
}

/// Returns the time that the clock shows, or the nearest one that an event can have.
#[must_use]
pub fn now() -> Timestamp {
    clamped(SystemTime::now())
}

/// Returns a UUID of version 7 of the current time.
#[must_use]
pub fn uuid() -> Uuid {
    uuid_at(now(), NoContext)
}

/// Returns a UUID of version 7 that begins with this time. The sequence orders UUIDs of the same millisecond.
#[expect(clippy::missing_panics_doc, reason = "it does not panic")]
pub fn uuid_at(time: Timestamp, sequence: impl ClockSequence<Output = impl Into<u128>>) -> Uuid {
    let micros = time.as_micros();
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).expect("less than a second");
    Uuid::new_v7(uuid::Timestamp::from_unix(sequence, micros / 1_000_000, nanos))
}

fn clamped(time: SystemTime) -> Timestamp {
    match in_range(time) {
        Ok(time) => time,
        Err(OutOfRange::Before) => Timestamp::UNIX_EPOCH,
        Err(OutOfRange::After) => Timestamp::CLOCK_MAX,
    }
}

fn in_range(time: SystemTime) -> Result<Timestamp, OutOfRange> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| OutOfRange::Before)?;
    let micros = u64::try_from(since_epoch.as_micros()).ok();
    let time = micros.and_then(Timestamp::from_micros).filter(|&time| time <= Timestamp::CLOCK_MAX);
    time.ok_or(OutOfRange::After)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_clock_of_any_time_gives_a_time() {
        let epoch = SystemTime::UNIX_EPOCH;
        let (second, micro) = (Duration::from_secs(1), Duration::from_micros(1));
        let max = Duration::from_micros(Timestamp::CLOCK_MAX.as_micros());
        let at = |micros| Timestamp::from_micros(micros).expect("in range");
        for (time, shown, checked) in [
            (epoch - Duration::from_secs(1 << 62), Timestamp::UNIX_EPOCH, Err(OutOfRange::Before)),
            (epoch - second, Timestamp::UNIX_EPOCH, Err(OutOfRange::Before)),
            (epoch, Timestamp::UNIX_EPOCH, Ok(Timestamp::UNIX_EPOCH)),
            (epoch + micro, at(1), Ok(at(1))),
            (epoch + second + micro, at(1_000_001), Ok(at(1_000_001))),
            (epoch + max, Timestamp::CLOCK_MAX, Ok(Timestamp::CLOCK_MAX)),
            (epoch + max + micro, Timestamp::CLOCK_MAX, Err(OutOfRange::After)),
            (epoch + max + 400 * 86_400 * second, Timestamp::CLOCK_MAX, Err(OutOfRange::After)),
            (epoch + Duration::from_secs(1 << 62), Timestamp::CLOCK_MAX, Err(OutOfRange::After)),
        ] {
            assert_eq!((clamped(time), in_range(time)), (shown, checked), "{time:?}");
        }
    }

    #[test]
    fn an_id_begins_with_its_time() {
        for time in [Timestamp::UNIX_EPOCH, Timestamp::CLOCK_MAX, now()] {
            let id = uuid_at(time, NoContext);
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.as_u128() >> 80, u128::from(time.as_micros() / 1_000), "{time}");
            assert_ne!(id, uuid_at(time, NoContext), "the rest is drawn at random");
        }
    }
}
