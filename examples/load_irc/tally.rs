//! Counts the writes that were created, found or repeated, and their speed.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::api::Reply;

/// Kind of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Chat,
    Join,
    ImpliedJoin,
    Leave,
    Read,
    Message,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::User, Self::Chat, Self::Join, Self::ImpliedJoin, Self::Leave, Self::Read, Self::Message];

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::User => "/users/add",
            Self::Chat => "/chats/add",
            Self::Join | Self::ImpliedJoin => "/chats/users/add",
            Self::Leave => "/chats/users/remove",
            Self::Read => "/chats/read",
            Self::Message => "/messages/add",
        }
    }

    /// Returns a word for use in idempotency keys.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Chat => "chat",
            Self::Join => "join",
            Self::ImpliedJoin => "implied-join",
            Self::Leave => "leave",
            Self::Read => "read",
            Self::Message => "message",
        }
    }
}

/// Results of all writes.
pub(super) struct Tally {
    counts: [Count; Kind::ALL.len()],
    refused: u64,
    /// Time from the first attempt to send a message to the answer that it is stored.
    latency_us: Histogram<u64>,
}

/// Results of the writes of one kind.
#[derive(Clone, Copy, Default)]
struct Count {
    created: u64,
    found: u64,
    twice: u64,
    replays: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latency_us = Histogram::new(3).expect("three digits is a precision that histograms have");
        Self { counts: [Count::default(); Kind::ALL.len()], refused: 0, latency_us }
    }

    /// Counts a write by its answers.
    pub(super) fn add(&mut self, kind: Kind, replies: &[Reply]) {
        let count = &mut self.counts[kind as usize];
        let replays = replies.iter().filter(|reply| reply.replayed).count();
        *(if replays < replies.len() { &mut count.created } else { &mut count.found }) += 1;
        count.twice += u64::from(replies.len() > 1);
        count.replays += replays as u64;
        if kind == Kind::Message {
            let latency_us = u64::try_from(replies[0].latency.as_micros()).unwrap_or(u64::MAX);
            self.latency_us.record(latency_us).expect("the histogram grows as needed");
        }
    }

    pub(super) fn add_refused(&mut self) {
        self.refused += 1;
    }

    /// Prints how fast the steps, and the messages among them, were written in this time.
    pub(super) fn write_speed(&self, f: &mut fmt::Formatter<'_>, elapsed: Duration) -> fmt::Result {
        let of = |kind: Kind| self.counts[kind as usize].created + self.counts[kind as usize].found;
        let writes = Kind::ALL.iter().map(|&kind| of(kind)).sum::<u64>() - of(Kind::User) - of(Kind::Chat);
        #[expect(clippy::cast_precision_loss, reason = "a count of writes, divided for people to read")]
        let per_second = |count: u64| count as f64 / elapsed.as_secs_f64();
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1_000.0;
        let quantile_ms = |quantile| ms(self.latency_us.value_at_quantile(quantile));
        writeln!(f, "seconds          {:>10.3}  (without creating users and chats)", elapsed.as_secs_f64())?;
        writeln!(f, "writes/s         {:>10.0}  (one sent twice counts once)", per_second(writes))?;
        writeln!(f, "messages/s       {:>10.0}", per_second(of(Kind::Message)))?;
        writeln!(f, "latency p50 ms   {:>10.3}  (of messages)", quantile_ms(0.5))?;
        writeln!(f, "latency p99 ms   {:>10.3}", quantile_ms(0.99))?;
        writeln!(f, "latency p99.9 ms {:>10.3}", quantile_ms(0.999))?;
        write!(f, "latency max ms   {:>10.3}", ms(self.latency_us.max()))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>10} {:>10} {:>10} {:>10}", "", "written", "existed", "sent twice", "replays")?;
        for kind in Kind::ALL {
            let Count { created, found, twice, replays } = self.counts[kind as usize];
            writeln!(f, "{:<16} {created:>10} {found:>10} {twice:>10} {replays:>10}", kind.word())?;
        }
        write!(f, "texts refused    {:>10}", self.refused)
    }
}
