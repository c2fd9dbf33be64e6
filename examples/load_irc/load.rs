//! Loading: users, then chats, then all messages, with the time that each took.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::api::Api;
use super::corpus::{Chat, Corpus};
use super::error::Error;
use super::ids::Ids;
use super::progress;

/// What came of it.
pub(super) struct Summary {
    users: usize,
    chats: usize,
    messages: Tally,
    /// For the messages alone.
    elapsed: Duration,
}

/// What came of messages.
struct Tally {
    stored: u64,
    refused: u64,
    overloaded: u64,
    /// From a message's first sending to the answer that it is stored.
    latency_us: Histogram<u64>,
}

/// Loads all of it. The ids are written before the first message is, so that a load that was cut short can be looked at.
pub(super) async fn load(
    api: &Api,
    corpus: &Corpus,
    connections: usize,
    ids_file: &Path,
    limit: Option<usize>,
) -> Result<Summary, Error> {
    let users = add_users(api, corpus, connections).await?;
    let chats = add_chats(api, corpus, connections, &users).await?;
    Ids::new(corpus, limit, &users, &chats).write(ids_file)?;
    let bar = progress("messages", corpus.message_count());
    let begun = Instant::now();
    let messages = stream::iter(corpus.chats.iter().zip(&chats))
        .map(|(chat, id)| add_messages(api, chat, id, &users, &bar))
        .buffer_unordered(connections)
        .try_fold(Tally::new(), async |all, one| Ok(all.plus(&one)))
        .await?;
    let elapsed = begun.elapsed();
    Ok(Summary { users: users.len(), chats: chats.len(), messages, elapsed })
}

async fn add_users(api: &Api, corpus: &Corpus, connections: usize) -> Result<Vec<String>, Error> {
    let bar = progress("users", corpus.users.len());
    let add = async |name: &String| {
        let id = api.add_user(name).await?.created_id()?;
        bar.inc(1);
        Ok(id)
    };
    stream::iter(&corpus.users).map(add).buffered(connections).try_collect().await
}

async fn add_chats(
    api: &Api,
    corpus: &Corpus,
    connections: usize,
    users: &[String],
) -> Result<Vec<String>, Error> {
    let add = async |chat: &Chat| {
        let members: Vec<&str> = chat.members.iter().map(|&user| users[user].as_str()).collect();
        api.add_chat(&chat.name, &members).await?.created_id()
    };
    stream::iter(&corpus.chats).map(add).buffered(connections).try_collect().await
}

/// Sends a chat's messages, each when the one before is answered.
async fn add_messages(
    api: &Api,
    chat: &Chat,
    id: &str,
    users: &[String],
    bar: &ProgressBar,
) -> Result<Tally, Error> {
    let mut tally = Tally::new();
    for message in &chat.messages {
        let sent = Instant::now();
        let reply = api.add_message(id, &users[message.author], &message.text).await?;
        tally.overloaded += reply.overloaded;
        if message.is_storable() {
            reply.created_id()?;
            tally.stored += 1;
            tally.record(sent.elapsed());
        } else if reply.is_problem(400, "invalid_field") {
            tally.refused += 1;
        } else {
            return Err(reply.unexpected());
        }
        bar.inc(1);
    }
    Ok(tally)
}

impl Tally {
    fn new() -> Self {
        let latency_us = Histogram::new(3).expect("three digits is a precision that histograms have");
        Self { stored: 0, refused: 0, overloaded: 0, latency_us }
    }

    fn record(&mut self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.record(latency_us).expect("the histogram grows as needed");
    }

    fn plus(mut self, other: &Self) -> Self {
        self.stored += other.stored;
        self.refused += other.refused;
        self.overloaded += other.overloaded;
        self.latency_us.add(&other.latency_us).expect("the histogram grows as needed");
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { stored, refused, overloaded, latency_us } = &self.messages;
        #[expect(clippy::cast_precision_loss, reason = "a count of messages, divided for people to read")]
        let per_second = *stored as f64 / self.elapsed.as_secs_f64();
        let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1_000.0;
        let quantile_ms = |quantile| ms(latency_us.value_at_quantile(quantile));
        writeln!(f, "users            {:>10}", self.users)?;
        writeln!(f, "chats            {:>10}", self.chats)?;
        writeln!(f, "messages stored  {stored:>10}")?;
        writeln!(f, "texts refused    {refused:>10}")?;
        writeln!(f, "503 overloaded   {overloaded:>10}  (sent again)")?;
        writeln!(f, "seconds          {:>10.3}  (messages alone)", self.elapsed.as_secs_f64())?;
        writeln!(f, "messages/s       {per_second:>10.0}")?;
        writeln!(f, "latency p50 ms   {:>10.3}", quantile_ms(0.5))?;
        writeln!(f, "latency p99 ms   {:>10.3}", quantile_ms(0.99))?;
        writeln!(f, "latency p99.9 ms {:>10.3}", quantile_ms(0.999))?;
        write!(f, "latency max ms   {:>10.3}", ms(latency_us.max()))
    }
}
