//! Loading: users, then chats with who was there from the start, then all that happened in them.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;

use super::api::{Api, Retries};
use super::corpus::{Chat, Corpus, Deed, Step, User, is_storable};
use super::error::Error;
use super::progress;
use super::tally::{Kind, Tally};
use super::write::Writer;

/// What came of it.
pub(super) struct Summary {
    tally: Tally,
    retries: Retries,
    /// For what happened in the chats alone.
    elapsed: Duration,
}

/// Loads all of it, or what an earlier load has not.
pub(super) async fn load(
    api: &Api,
    corpus: &Corpus,
    connections: usize,
    twice_percent: u32,
) -> Result<Summary, Error> {
    let writer = Writer::new(api, twice_percent);
    let users = add_users(&writer, corpus, connections).await?;
    let chats = add_chats(&writer, corpus, connections, &users).await?;
    let bar = progress("steps", corpus.step_count());
    let begun = Instant::now();
    stream::iter(corpus.chats.iter().zip(&chats))
        .map(|(chat, id)| take_steps(&writer, chat, id, &users, &bar))
        .buffer_unordered(connections)
        .try_collect::<()>()
        .await?;
    let elapsed = begun.elapsed();
    Ok(Summary { tally: writer.tally.into_inner(), retries: api.retries(), elapsed })
}

async fn add_users(writer: &Writer<'_>, corpus: &Corpus, connections: usize) -> Result<Vec<String>, Error> {
    let bar = progress("users", corpus.users.len());
    let add = async |User { name, line }: &User| {
        let id = writer.make(Kind::User, *line, &json!({ "username": name })).await?;
        bar.inc(1);
        Ok(id)
    };
    stream::iter(&corpus.users).map(add).buffered(connections).try_collect().await
}

async fn add_chats(
    writer: &Writer<'_>,
    corpus: &Corpus,
    connections: usize,
    users: &[String],
) -> Result<Vec<String>, Error> {
    let add = async |chat: &Chat| {
        let founders: Vec<_> = chat.founders.iter().map(|&user| users[user].as_str()).collect();
        writer.make(Kind::Chat, chat.line, &json!({ "name": chat.name, "users": founders })).await
    };
    stream::iter(&corpus.chats).map(add).buffered(connections).try_collect().await
}

/// What happened in a chat, each step when the one before is answered.
async fn take_steps(
    writer: &Writer<'_>,
    chat: &Chat,
    id: &str,
    users: &[String],
    bar: &ProgressBar,
) -> Result<(), Error> {
    for Step { line, user, deed } in &chat.steps {
        let user = users[*user].as_str();
        let member = json!({ "chat": id, "user": user });
        let (kind, request) = match deed {
            Deed::Join => (Kind::Join, member),
            Deed::ImpliedJoin => (Kind::ImpliedJoin, member),
            Deed::Leave => (Kind::Leave, member),
            Deed::Read(seq) => (Kind::Read, json!({ "chat": id, "user": user, "seq": seq })),
            Deed::Say(text) => (Kind::Message, json!({ "chat": id, "author": user, "text": text })),
        };
        match deed {
            Deed::Say(text) if !is_storable(text) => writer.send_refused(*line, &request).await?,
            Deed::Join | Deed::ImpliedJoin | Deed::Leave | Deed::Read(_) | Deed::Say(_) => {
                writer.send(kind, *line, &request).await?;
            }
        }
        bar.inc(1);
    }
    Ok(())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.tally)?;
        writeln!(f, "sent again after 503: {}", self.retries)?;
        self.tally.write_speed(f, self.elapsed)
    }
}
