//! Whether a stream is still the one that this server has seen, by what the node reports that leads.

use std::time::Duration;

use super::Told;

/// What was reported of a stream, and what later reports are compared with.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The time of the stream's creation, as it was first reported.
    created: Option<u64>,
    /// Set while the nodes report fewer messages than this server has seen.
    shorter: Option<Shorter>,
    /// The time of the last look at the last message.
    looked_at: Duration,
    /// A time, and the last message judged by then. A report that was asked for later must include it.
    judged_at: (Duration, u64),
}

/// A stream that is reported to be shorter than it was.
#[derive(Debug)]
struct Shorter {
    since: Duration,
    /// Number of such reports.
    reports: u32,
}

/// Time for which a stream must be reported to be shorter before that is believed. A node that led before may report
/// fewer messages for a while.
const SHORTER_TIMEOUT: Duration = Duration::from_secs(15);
/// Number of reports that this takes.
const SHORTER_REPORTS: u32 = 10;
/// Time between two looks at the last message.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Watch {
    /// Notes a report, now that this server has judged the message `judged`.
    ///
    /// # Errors
    ///
    /// It is not the same stream any more. The sentence says why.
    pub(super) fn note_told(&mut self, now: Duration, told: &Told, judged: u64) -> Result<(), String> {
        if told.created != *self.created.get_or_insert(told.created) {
            return Err("it was deleted and created again".to_owned());
        }
        let (time, judged_then) = self.judged_at;
        // A node that was asked earlier cannot report what was judged since.
        if told.at < time {
            return Ok(());
        }
        self.judged_at = (now, judged);
        self.note_last(now, judged_then, told.last)
    }

    /// Notes the sequence of the last message, as it was reported. This server has seen the message `seen`.
    ///
    /// # Errors
    ///
    /// The stream has lost messages. The sentence says which.
    pub(super) fn note_last(&mut self, now: Duration, seen: u64, last: u64) -> Result<(), String> {
        if last >= seen {
            self.shorter = None;
            return Ok(());
        }
        let Shorter { since, reports } = self.shorter.get_or_insert(Shorter { since: now, reports: 0 });
        *reports += 1;
        if now.saturating_sub(*since) < SHORTER_TIMEOUT || *reports < SHORTER_REPORTS {
            return Ok(());
        }
        Err(format!("it ends at message {last}, and this server has seen message {seen}"))
    }

    /// Returns whether the stream was last reported to be shorter than it was.
    pub(super) fn is_reported_shorter(&self) -> bool {
        self.shorter.is_some()
    }

    /// Returns whether it is time to look at the last message. Then the next time comes later.
    pub(super) fn is_look_due(&mut self, now: Duration) -> bool {
        let is_due = now.saturating_sub(self.looked_at) >= LOOK_INTERVAL;
        if is_due {
            self.looked_at = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seconds: u64, last: u64) -> Told {
        Told { last, created: 1, at: Duration::from_secs(seconds), clock_ahead_ms: 0 }
    }

    #[test]
    fn a_stream_is_shorter_if_that_is_reported_for_long() {
        let mut watch = Watch::default();
        let mut tell = |seconds, last, judged| {
            watch.note_told(Duration::from_secs(seconds), &told(seconds, last), judged)
        };
        tell(1, 5, 5).expect("as it was");
        // A node that has just started reports fewer messages, and then all.
        for seconds in 2..16 {
            tell(seconds, 3, 5).expect("not believed yet");
        }
        tell(16, 5, 5).expect("as it was");
        for seconds in 17..32 {
            tell(seconds, 3, 5).expect("not believed yet");
        }
        let lost = tell(32, 3, 5).expect_err("it is believed");
        assert!(lost.contains("ends at message 3, and this server has seen message 5"), "{lost}");
    }

    #[test]
    fn a_node_asked_earlier_reports_less() {
        let mut watch = Watch::default();
        let second = Duration::from_secs;
        watch.note_told(second(3), &told(1, 5), 5).expect("as it was");
        // It was asked before 5 messages were judged, so its report is not compared.
        for seconds in 4..60 {
            watch.note_told(second(seconds), &told(2, 3), 5).expect("nothing new");
        }
    }

    #[test]
    fn a_stream_that_was_created_again_is_another_one() {
        let mut watch = Watch::default();
        watch.note_told(Duration::ZERO, &told(0, 5), 5).expect("as it was");
        let created = Told { created: 2, ..told(1, 5) };
        let other = watch.note_told(Duration::from_secs(1), &created, 5).expect_err("another one");
        assert!(other.contains("created again"), "{other}");
    }
}
