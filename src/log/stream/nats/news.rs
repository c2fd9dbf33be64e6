//! What was heard of the stream without asking.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::log::stream::{Heard, Told};

/// What was heard of the stream.
#[derive(Default)]
pub(super) struct News {
    state: Mutex<NewsState>,
    heard: Condvar,
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
    pub(super) fn last(&self) -> u64 {
        self.state.lock().last
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

    /// Notes what the node that leads says. `seen` was the last sequence when it was asked: the stream is shorter than
    /// it was only if it is said to be shorter than that.
    pub(super) fn tell(&self, seen: u64, info: &Value) {
        let last = info["state"]["last_seq"].as_u64().unwrap_or(0);
        let created = info["created"].as_str().and_then(|created| created.parse::<jiff::Timestamp>().ok());
        let created = created.and_then(|created| u64::try_from(created.as_nanosecond()).ok()).unwrap_or(0);
        {
            let mut state = self.state.lock();
            let last = if last < seen { last } else { last.max(state.last) };
            state.told = Some(Told { last, created });
        }
        self.note(last);
    }

    /// Notes that there is no stream, as the nodes say.
    pub(super) fn tell_gone(&self) {
        if let Some(told) = &mut self.state.lock().told {
            told.last = 0;
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
        news.tell(0, &info(5));
        // When messages are stored while the leader is asked, and after that.
        let seen = news.last();
        news.note(8);
        news.tell(seen, &info(5));
        assert_eq!(news.heard().told.map(|told| told.last), Some(8));
        news.note(9);
        assert_eq!(news.heard().told.map(|told| told.last), Some(9));
        // When the leader says fewer than there were when it was asked, that is what is told.
        news.tell(news.last(), &info(3));
        assert_eq!((news.heard().last, news.heard().told.map(|told| told.last)), (9, Some(3)));
    }

    /// It may be a node that has just started and does not know better.
    #[test]
    fn a_stream_that_is_gone_is_told_to_be_empty() {
        let news = News::default();
        news.tell(0, &info(5));
        news.tell_gone();
        assert_eq!((news.heard().last, news.heard().told.map(|told| told.last)), (5, Some(0)));
        news.tell(news.last(), &info(5));
        assert_eq!(news.heard().told.map(|told| told.last), Some(5));
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
