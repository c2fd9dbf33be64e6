//! What was heard of the stream without asking.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::domain::Timestamp;
use crate::log::stream::{Heard, Told};
use crate::system_clock;

/// What was heard of the stream.
pub(super) struct News {
    /// The moment from which on time is counted.
    began: Instant,
    state: Mutex<NewsState>,
    heard: Condvar,
}

impl Default for News {
    fn default() -> Self {
        Self { began: Instant::now(), state: Mutex::default(), heard: Condvar::default() }
    }
}

/// What is known when the node that leads is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct BeforeAsking {
    /// The [time](News::time).
    at: Duration,
    /// What this server's clock shows.
    clock: Timestamp,
    /// The last sequence. The stream is shorter than it was only if it is said to be shorter than that.
    seen: u64,
}

#[derive(Default)]
struct NewsState {
    last: u64,
    told: Option<Told>,
    /// The sequence of this server's own publication, of which nobody has to be woken.
    own: u64,
    /// Whether something was heard since somebody last waited for that.
    is_new: bool,
    /// Whether the one who is woken has not looked yet.
    is_woken: bool,
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

impl News {
    /// Returns the time since it began.
    pub(super) fn time(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns what is known when the node that leads is about to be asked.
    pub(super) fn ask(&self) -> BeforeAsking {
        BeforeAsking { at: self.time(), clock: system_clock::now(), seen: self.state.lock().last }
    }

    /// Notes that the stream holds a message of this sequence.
    pub(super) fn note(&self, sequence: u64) {
        let mut state = self.state.lock();
        if sequence <= state.last {
            return;
        }
        state.last = sequence;
        if let Some(told) = &mut state.told {
            told.last = sequence;
        }
        state.is_new = true;
        self.heard.notify_all();
        let is_due = sequence != state.own && !std::mem::replace(&mut state.is_woken, true);
        if let Some(wake) = state.wake.as_ref().filter(|_| is_due) {
            wake();
        }
    }

    /// Notes what the node that leads has answered.
    pub(super) fn tell(&self, BeforeAsking { at, clock, seen }: BeforeAsking, info: &Value) {
        let time = |member: &str| info[member].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let last = info["state"]["last_seq"].as_u64().unwrap_or(0);
        let created = time("created").and_then(|created| u64::try_from(created.as_nanosecond()).ok());
        let created = created.unwrap_or(0);
        let node = time("ts").map(jiff::Timestamp::as_microsecond);
        let clock_ahead_ms = node.map_or(0, |node| ahead_ms(clock, system_clock::now(), node));
        {
            let mut state = self.state.lock();
            let last = if last < seen { last } else { last.max(state.last) };
            state.told = Some(Told { last, created, at, clock_ahead_ms });
        }
        self.note(last);
    }

    /// Notes that there is no stream, as the nodes say.
    pub(super) fn tell_gone(&self) {
        if let Some(told) = &mut self.state.lock().told {
            (told.last, told.at) = (0, self.time());
        }
    }

    /// Sets the sequence that this server's own message is about to get, for which nobody is woken.
    pub(super) fn expect_own(&self, sequence: u64) {
        self.state.lock().own = sequence;
    }

    /// Sets what is called when something is heard.
    pub(super) fn wake_by(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.state.lock().wake = Some(wake);
    }

    pub(super) fn heard(&self) -> Heard {
        let mut state = self.state.lock();
        state.is_woken = false;
        Heard { last: state.last, told: state.told }
    }

    pub(super) fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        if !state.is_new {
            self.heard.wait_for(&mut state, time);
        }
        state.is_new = false;
    }
}

/// Returns the time by which a clock is ahead of a node's at least, or behind it, in milliseconds. The clock showed these
/// times when the node was asked and when the answer was here; the node looked at its own in between.
fn ahead_ms(asked: Timestamp, answered: Timestamp, node_micros: i64) -> i64 {
    let [asked, answered] = [asked, answered].map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let ahead = asked.saturating_sub(node_micros).max(0);
    let behind = node_micros.saturating_sub(answered).max(0);
    (ahead - behind) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn info(last: u64) -> Value {
        json!({ "created": "2026-11-27T21:50:00.5Z", "state": { "last_seq": last } })
    }

    /// What a leader says is old when it arrives.
    #[test]
    fn a_stream_that_grows_is_not_told_to_be_shorter() {
        let news = News::default();
        news.tell(news.ask(), &info(5));
        // When messages are stored while the leader is asked, and after that.
        let asked = news.ask();
        news.note(8);
        news.tell(asked, &info(5));
        assert_eq!(news.heard().told.map(|told| told.last), Some(8));
        news.note(9);
        assert_eq!(news.heard().told.map(|told| told.last), Some(9));
        // When the leader says fewer than there were when it was asked, that is what is told.
        news.tell(news.ask(), &info(3));
        assert_eq!((news.heard().last, news.heard().told.map(|told| told.last)), (9, Some(3)));
    }

    /// It may be a node that has just started and does not know better.
    #[test]
    fn a_stream_that_is_gone_is_told_to_be_empty() {
        let news = News::default();
        news.tell(news.ask(), &info(5));
        news.tell_gone();
        assert_eq!((news.heard().last, news.heard().told.map(|told| told.last)), (5, Some(0)));
        news.tell(news.ask(), &info(5));
        assert_eq!(news.heard().told.map(|told| told.last), Some(5));
    }

    #[test]
    fn a_slow_answer_does_not_make_a_clock_wrong() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000).expect("in range");
        // Asked when the clock showed 100 s, and answered at 103 s.
        for (node, ahead) in [(100, 0), (102, 0), (103, 0), (99, 1_000), (40, 60_000), (104, -1_000)] {
            assert_eq!(ahead_ms(at(100), at(103), node * 1_000_000), ahead, "{node}");
        }
        // A clock that was set while the node was asked is believed to be right where that is possible.
        assert_eq!(ahead_ms(at(100), at(50), 70_000_000), 10_000);
    }

    #[test]
    fn a_leader_tells_how_the_clock_is() {
        let (news, mut info) = (News::default(), info(5));
        let ahead = |news: &News| news.heard().told.expect("told").clock_ahead_ms;
        // A node that does not tell its time says nothing about the clock.
        news.tell(news.ask(), &info);
        assert_eq!(ahead(&news), 0);
        info["ts"] = json!("2026-11-01T00:00:00Z");
        news.tell(news.ask(), &info);
        assert!(ahead(&news) > 5_000, "{}", ahead(&news));
        info["ts"] = json!("2226-11-01T00:00:00.5Z");
        news.tell(news.ask(), &info);
        assert!(ahead(&news) < -5_000, "{}", ahead(&news));
    }

    #[test]
    fn only_what_others_wrote_wakes_and_only_once() {
        let (news, woken) = (News::default(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&woken);
        news.wake_by(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        // Given a message of this server's own.
        news.expect_own(2);
        news.note(2);
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        // When others write two before it looks, it is woken once; and again after it has looked.
        news.note(3);
        news.note(4);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert_eq!(news.heard().last, 4);
        news.note(5);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
