//! Whether a stream is still the one that this server has seen, by what the node tells that leads.

use std::time::Duration;

use super::Told;

/// What was told of a stream, against which later answers are held.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The time of the stream's creation, when it was first told.
    created: Option<u64>,
    /// Set while the nodes tell of fewer messages than this server has seen.
    shorter: Option<Shorter>,
    /// The time of the last look at the last message.
    looked_at: Duration,
    /// What was judged at some time. What a node tells later must have it.
    judged_at: (Duration, u64),
}

/// A stream that is told to be shorter than it was.
#[derive(Debug)]
struct Shorter {
    since: Duration,
    /// Times that it was told so.
    looks: u32,
}

/// Time after which a stream that is told to be shorter is believed to be. A node that led before may tell of fewer
/// messages for a while.
const SHORTER_TIMEOUT: Duration = Duration::from_secs(15);
/// Times that it must be told to be shorter until then.
const SHORTER_LOOKS: u32 = 10;
/// Time between two looks at the last message.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Watch {
    /// Notes what was told, now that this server has judged the message `judged`.
    ///
    /// # Errors
    ///
    /// It is not the same stream any more. The sentence says why.
    pub(super) fn note_told(&mut self, now: Duration, told: &Told, judged: u64) -> Result<(), String> {
        if told.created != *self.created.get_or_insert(told.created) {
            return Err("it was deleted and created again".to_owned());
        }
        let (time, judged_then) = self.judged_at;
        // A node that was asked earlier cannot tell of what was judged since.
        if told.at < time {
            return Ok(());
        }
        self.judged_at = (now, judged);
        self.note_last(now, judged_then, told.last)
    }

    /// Notes the sequence of the last message, as it was told. This server has seen the message `seen`.
    ///
    /// # Errors
    ///
    /// The stream has lost messages. The sentence says which.
    pub(super) fn note_last(&mut self, now: Duration, seen: u64, last: u64) -> Result<(), String> {
        if last >= seen {
            self.shorter = None;
            return Ok(());
        }
        let Shorter { since, looks } = self.shorter.get_or_insert(Shorter { since: now, looks: 0 });
        *looks += 1;
        if now.saturating_sub(*since) < SHORTER_TIMEOUT || *looks < SHORTER_LOOKS {
            return Ok(());
        }
        Err(format!("it ends at message {last}, and this server has seen message {seen}"))
    }

    /// Returns whether the stream was last told to be shorter than it was.
    pub(super) fn is_told_shorter(&self) -> bool {
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
    fn a_stream_is_shorter_if_that_is_told_for_long() {
        let mut watch = Watch::default();
        let mut tell = |seconds, last, judged| {
            watch.note_told(Duration::from_secs(seconds), &told(seconds, last), judged)
        };
        tell(1, 5, 5).expect("as it was");
        // A node that has just started tells of fewer messages, and then of all.
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
    fn a_node_asked_earlier_tells_of_less() {
        let mut watch = Watch::default();
        let second = Duration::from_secs;
        watch.note_told(second(3), &told(1, 5), 5).expect("as it was");
        // It was asked before 5 messages were judged, so what it tells is not compared.
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
