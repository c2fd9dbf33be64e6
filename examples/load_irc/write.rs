//! Sends a write under a key: once, or twice to check that the second one changes nothing.

use std::cell::RefCell;

use futures_util::future::try_join;
use serde_json::Value;

use super::api::{Api, Reply};
use super::error::Error;
use super::tally::{Kind, Tally};

/// Sends writes, and counts their results.
pub(super) struct Writer<'a> {
    api: &'a Api,
    twice_percent: u32,
    pub(super) tally: RefCell<Tally>,
}

/// Way to send a write.
enum Sending {
    Once,
    TwiceInTurn,
    TwiceAtOnce,
}

impl<'a> Writer<'a> {
    pub(super) fn new(api: &'a Api, twice_percent: u32) -> Self {
        Self { api, twice_percent, tally: RefCell::new(Tally::new()) }
    }

    /// Creates a user or a chat for this line of the file, and returns its id.
    pub(super) async fn create(&self, kind: Kind, line: usize, request: &Value) -> Result<String, Error> {
        let reply = self.send(kind, line, request).await?;
        reply.id().ok_or_else(|| reply.unexpected())
    }

    /// Sends the write of this kind for this line of the file.
    pub(super) async fn send(&self, kind: Kind, line: usize, request: &Value) -> Result<Reply, Error> {
        // Every load uses the same key for the same write.
        let key = format!("load_irc/{line}/{}", kind.word());
        let send = || self.api.write(kind.path(), &key, request);
        let mut replies = match self.sending(&key) {
            Sending::Once => vec![send().await?],
            Sending::TwiceInTurn => vec![send().await?, send().await?],
            Sending::TwiceAtOnce => try_join(send(), send()).await.map(|(one, other)| vec![one, other])?,
        };
        if let [one, other] = replies.as_slice() {
            check_same(&key, one, other)?;
        }
        let status = if matches!(kind, Kind::User | Kind::Chat | Kind::Message) { 201 } else { 204 };
        if replies[0].status == status {
            self.tally.borrow_mut().add(kind, &replies);
            Ok(replies.swap_remove(0))
        } else {
            Err(replies.swap_remove(0).unexpected())
        }
    }

    /// Sends a text that the server must refuse. One attempt is enough, because the server refuses every
    /// attempt.
    pub(super) async fn send_refused(&self, line: usize, request: &Value) -> Result<(), Error> {
        let key = format!("load_irc/{line}/{}", Kind::Message.word());
        let reply = self.api.write(Kind::Message.path(), &key, request).await?;
        if reply.is_problem(400, "invalid_field") {
            self.tally.borrow_mut().add_refused();
            Ok(())
        } else {
            Err(reply.unexpected())
        }
    }

    /// Returns the way to send this key. It depends on the key only, so that a load can be repeated exactly.
    fn sending(&self, key: &str) -> Sending {
        let hash = crc32c::crc32c(key.as_bytes());
        if hash % 100 >= self.twice_percent {
            Sending::Once
        } else if (hash / 100).is_multiple_of(2) {
            Sending::TwiceInTurn
        } else {
            Sending::TwiceAtOnce
        }
    }
}

/// Checks that two answers under one key are equal, and that at most one is the first. Both are replays if an
/// earlier load has sent the write.
fn check_same(key: &str, one: &Reply, other: &Reply) -> Result<(), Error> {
    let essence = |reply: &Reply| (reply.status, reply.body.clone(), reply.position.clone());
    if essence(one) == essence(other) && (one.replayed || other.replayed) {
        return Ok(());
    }
    Err(Error::Twice { key: key.to_owned(), first: one.to_string(), second: other.to_string() })
}
