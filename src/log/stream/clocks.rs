//! The clock of a server beside that of the node which leads.
//!
//! A time of an event is never before that of the event before it. So one server whose clock is far ahead would date
//! the events of all servers, long after its clock is right again.

/// Maximum difference of two clocks without a warning, in milliseconds.
const OFF_MS_MAX: u64 = 1_000;
/// Maximum time by which a writing server's clock may be ahead, in milliseconds.
const AHEAD_MS_MAX: i64 = 5_000;

/// The state of a server's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ClockState {
    /// It agrees with that of the node which leads.
    #[default]
    Right,
    /// It differs so much that an operator should know.
    Off,
    /// It is so far ahead that the server must not write.
    FarAhead,
}

impl ClockState {
    /// Returns the state of a clock that is ahead by this time, or behind if it is negative.
    pub(super) fn of(ahead_ms: i64) -> Self {
        if ahead_ms > AHEAD_MS_MAX {
            Self::FarAhead
        } else if ahead_ms.unsigned_abs() > OFF_MS_MAX {
            Self::Off
        } else {
            Self::Right
        }
    }

    /// Logs that the clock has come to be in this state.
    pub(super) fn log(self, ahead_ms: i64) {
        match self {
            Self::Right => {
                tracing::info!(ahead_ms, "the clock agrees again with that of the node which leads");
            }
            Self::Off => tracing::warn!(
                ahead_ms,
                "the clock differs from that of the node which leads; one of them is wrong"
            ),
            Self::FarAhead => tracing::error!(
                ahead_ms,
                "the clock is far ahead of that of the node which leads; refusing writes until they agree"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_a_second_off_and_five_ahead() {
        use ClockState::{FarAhead, Off, Right};
        for (ahead_ms, state) in [
            (0, Right),
            (1_000, Right),
            (-1_000, Right),
            (1_001, Off),
            (-1_001, Off),
            (i64::MIN, Off),
            (5_000, Off),
            (5_001, FarAhead),
            (i64::MAX, FarAhead),
        ] {
            assert_eq!(ClockState::of(ahead_ms), state, "{ahead_ms}");
        }
    }
}
