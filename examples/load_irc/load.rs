//! Loads a conversation: first the users, then the chats with their first members, then the steps in the
//! chats.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;

use super::api::{Api, Retries};
use super::corpus::{Action, Chat, Corpus, Step, User, is_storable};
use super::error::Error;
use super::progress;
use super::tally::{Kind, Tally};
use super::write::Writer;

/// Result of a load.
pub(super) struct Summary {
    tally: Tally,
    retries: Retries,
    /// Time for the steps in the chats only.
    elapsed: Duration,
}

/// Loads the conversation, or the rest of it after an earlier load.
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
        .map(|(chat, id)| send_steps(&writer, chat, id, &users, &bar))
        .buffer_unordered(connections)
        .try_collect::<()>()
        .await?;
    let elapsed = begun.elapsed();
    Ok(Summary { tally: writer.tally.into_inner(), retries: api.retries(), elapsed })
}

async fn add_users(writer: &Writer<'_>, corpus: &Corpus, connections: usize) -> Result<Vec<String>, Error> {
    let bar = progress("users", corpus.users.len());
    let add = async |User { name, line }: &User| {
        let id = writer.create(Kind::User, *line, &json!({ "username": name })).await?;
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
        writer.create(Kind::Chat, chat.line, &json!({ "name": chat.name, "users": founders })).await
    };
    stream::iter(&corpus.chats).map(add).buffered(connections).try_collect().await
}

/// Sends the steps of a chat, each after the answer to the one before.
async fn send_steps(
    writer: &Writer<'_>,
    chat: &Chat,
    id: &str,
    users: &[String],
    bar: &ProgressBar,
) -> Result<(), Error> {
    for Step { line, user, action } in &chat.steps {
        let user = users[*user].as_str();
        let member = json!({ "chat": id, "user": user });
        let (kind, request) = match action {
            Action::Join => (Kind::Join, member),
            Action::ImpliedJoin => (Kind::ImpliedJoin, member),
            Action::Leave => (Kind::Leave, member),
            Action::Read(seq) => (Kind::Read, json!({ "chat": id, "user": user, "seq": seq })),
            Action::Say(text) => (Kind::Message, json!({ "chat": id, "author": user, "text": text })),
        };
        match action {
            Action::Say(text) if !is_storable(text) => writer.send_refused(*line, &request).await?,
            Action::Join | Action::ImpliedJoin | Action::Leave | Action::Read(_) | Action::Say(_) => {
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
        writeln!(f, "retries after 503: {}", self.retries)?;
        self.tally.write_speed(f, self.elapsed)
    }
}
