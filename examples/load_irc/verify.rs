//! Verifies that the server returns the whole conversation: compares every message of every chat, and every
//! user's list of chats.

use std::collections::HashMap;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::api::{Api, Retries};
use super::corpus::{Corpus, User};
use super::error::Error;
use super::expected::ExpectedChat;
use super::progress;

/// Numbers of what was compared and found equal.
pub(super) struct Verified {
    chats: usize,
    messages: usize,
    users: usize,
    listed_chats: usize,
    unread: u64,
    retries: Retries,
}

/// A message as the server returns it.
#[derive(Debug, PartialEq, Deserialize)]
struct Message {
    id: String,
    chat: String,
    author: String,
    text: String,
    created_at: String,
    seq: u64,
}

/// A chat as the server returns it.
#[derive(Debug, Deserialize)]
struct ListedChat {
    id: String,
    name: String,
    users: Vec<String>,
    created_at: String,
    last_message: Option<Message>,
    unread: u64,
}

/// A chat whose messages were found equal.
struct ReadChat<'a> {
    expected: ExpectedChat<'a>,
    last_message: Option<Message>,
}

/// Reads everything back.
struct Reader<'a> {
    api: &'a Api,
    connections: usize,
    /// Ids of the corpus's users.
    users: Vec<String>,
}

/// Compares everything, and returns the first difference as an error.
pub(super) async fn verify(api: &Api, corpus: &Corpus, connections: usize) -> Result<Verified, Error> {
    let find = async |user: &User| api.user_id(&user.name).await;
    let users = stream::iter(&corpus.users).map(find).buffered(connections).try_collect().await?;
    let reader = Reader { api, connections, users };
    let chats = reader.verify_chats(corpus).await?;
    let (listed_chats, unread) = reader.verify_lists(corpus, &chats).await?;
    let messages = chats.values().map(|chat| chat.expected.messages.len()).sum();
    let retries = api.retries();
    Ok(Verified { chats: chats.len(), messages, users: reader.users.len(), listed_chats, unread, retries })
}

impl Reader<'_> {
    /// Compares every chat's messages, and returns the chats by id.
    async fn verify_chats<'c>(&self, corpus: &'c Corpus) -> Result<HashMap<String, ReadChat<'c>>, Error> {
        let bar = progress("chats", corpus.chats.len());
        let verify_one = async |chat| {
            let expected = ExpectedChat::of(chat);
            let id = self.find(&expected).await?;
            let last_message = self.compare_messages(&expected, &id, self.api.messages(&id).await?)?;
            bar.inc(1);
            Ok((id, ReadChat { expected, last_message }))
        };
        let chats = stream::iter(&corpus.chats).map(verify_one);
        chats.buffer_unordered(self.connections).try_collect().await
    }

    /// Returns a chat's id, which only the lists of its members contain.
    async fn find(&self, chat: &ExpectedChat<'_>) -> Result<String, Error> {
        let name = chat.name;
        let unseen = |why: &str| Error::Difference(format!("the chat {name} cannot be found: {why}"));
        let member = *chat.members.first().ok_or_else(|| unseen("all have left it, so no list has it"))?;
        let listed: Vec<ListedChat> = self.api.chats(&self.users[member]).await?;
        let found = listed.into_iter().find(|listed| listed.name == name);
        Ok(found.ok_or_else(|| unseen("its first member's list does not have it"))?.id)
    }

    /// Compares a chat's messages, and returns the last one.
    fn compare_messages(
        &self,
        chat: &ExpectedChat<'_>,
        id: &str,
        messages: Vec<Message>,
    ) -> Result<Option<Message>, Error> {
        let (name, expected) = (chat.name, &chat.messages);
        same(&messages.len(), &expected.len(), || format!("the number of messages of {name}"))?;
        let mut last: Option<Message> = None;
        for ((message, (author, text)), seq) in messages.into_iter().zip(expected).zip(1..) {
            let of_message = |what| format!("the {what} of message {seq} of {name}");
            same(message.text.as_str(), text, || of_message("text"))?;
            same(&message.author, &self.users[*author], || of_message("author"))?;
            same(message.chat.as_str(), id, || of_message("chat"))?;
            same(&message.seq, &seq, || of_message("seq"))?;
            // Times of this format sort like text.
            if last.as_ref().is_some_and(|last| last.created_at >= message.created_at) {
                let what = format!("message {seq} of {name} is not later than the one before: {message:?}");
                return Err(Error::Difference(what));
            }
            last = Some(message);
        }
        Ok(last)
    }

    /// Compares every user's list of chats, and returns the total numbers of listed chats and unread
    /// messages.
    async fn verify_lists(
        &self,
        corpus: &Corpus,
        chats: &HashMap<String, ReadChat<'_>>,
    ) -> Result<(usize, u64), Error> {
        let mut chats_of = vec![Vec::new(); self.users.len()];
        for (id, chat) in chats {
            for &member in &chat.expected.members {
                chats_of[member].push(id.as_str());
            }
        }
        let bar = progress("users", self.users.len());
        let verify_one = async |user: usize| {
            let listed: Vec<ListedChat> = self.api.chats(&self.users[user]).await?;
            let name = &corpus.users[user].name;
            compare_order(name, &listed)?;
            same(&listed.len(), &chats_of[user].len(), || format!("the number of chats of the user {name}"))?;
            for id in &chats_of[user] {
                let found = listed.iter().find(|chat| chat.id == *id);
                self.compare_listed((user, name), found, &chats[*id])?;
            }
            bar.inc(1);
            Ok((listed.len(), listed.iter().map(|chat| chat.unread).sum::<u64>()))
        };
        let lists = stream::iter(0..self.users.len()).map(verify_one).buffer_unordered(self.connections);
        lists.try_fold((0, 0), async |all, one| Ok((all.0 + one.0, all.1 + one.1))).await
    }

    fn compare_listed(
        &self,
        (user, username): (usize, &str),
        listed: Option<&ListedChat>,
        chat: &ReadChat<'_>,
    ) -> Result<(), Error> {
        let ReadChat { expected, last_message } = chat;
        let name = expected.name;
        let missing = || Error::Difference(format!("{name} is not in the list of the user {username}"));
        let listed = listed.ok_or_else(missing)?;
        let of_chat = |what| format!("the {what} of {name} as {username} sees it");
        let members: Vec<_> = expected.members.iter().map(|&member| &self.users[member]).collect();
        same(listed.name.as_str(), name, || of_chat("name"))?;
        same(&listed.users.iter().collect(), &members, || of_chat("members"))?;
        same(&listed.last_message, last_message, || of_chat("last message"))?;
        same(&listed.unread, &(expected.unread(user) as u64), || of_chat("unread"))
    }
}

/// Checks the order of a list: by latest message, then the chats without messages, the newest first.
fn compare_order(user: &str, listed: &[ListedChat]) -> Result<(), Error> {
    let rank = |chat: &ListedChat| {
        (chat.last_message.as_ref().map(|message| message.created_at.clone()), chat.created_at.clone())
    };
    for (before, after) in listed.iter().zip(listed.iter().skip(1)) {
        if rank(before) <= rank(after) {
            let what = format!("{} comes before {} in the list of the user {user}", before.name, after.name);
            return Err(Error::Difference(what));
        }
    }
    Ok(())
}

/// Returns an error if the values differ.
fn same<T: PartialEq + fmt::Debug + ?Sized>(
    found: &T,
    expected: &T,
    what: impl FnOnce() -> String,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Difference(format!("{} is {}, not {}", what(), shown(found), shown(expected))))
}

/// Returns the value as text, shortened to a readable length.
fn shown<T: fmt::Debug + ?Sized>(value: &T) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(600) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chats, messages, users, listed_chats, unread, retries } = self;
        write!(
            f,
            "everything is as expected: {messages} messages of {chats} chats; {users} users with {listed_chats} chats listed, \
             {unread} messages unread in them\nretries after 503: {retries}"
        )
    }
}
