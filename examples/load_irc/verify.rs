//! Reading back: every message of every chat, and every user's list of chats, against the conversation.

use std::collections::HashMap;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::api::Api;
use super::corpus::{self, Corpus};
use super::error::Error;
use super::ids::Ids;
use super::progress;

/// How much was found to be right.
pub(super) struct Verified {
    chats: usize,
    messages: usize,
    users: usize,
    listed_chats: usize,
}

/// A message, as the server tells it.
#[derive(Debug, PartialEq, Deserialize)]
struct Message {
    id: String,
    chat: String,
    author: String,
    text: String,
    created_at: String,
    seq: u64,
}

/// A chat, as the server tells it.
#[derive(Debug, Deserialize)]
struct ListedChat {
    id: String,
    name: String,
    users: Vec<String>,
    created_at: String,
    last_message: Option<Message>,
}

/// What a chat must be in every list that it is in.
struct ExpectedChat<'a> {
    name: &'a str,
    users: Vec<&'a str>,
    last_message: Option<Message>,
}

/// Compares all of it; the first difference is the error.
pub(super) async fn verify(
    api: &Api,
    corpus: &Corpus,
    ids: &Ids,
    connections: usize,
) -> Result<Verified, Error> {
    let (users, chats) = (ids.users(corpus)?, ids.chats(corpus)?);
    let expected = verify_messages(api, corpus, &users, &chats, connections).await?;
    let listed_chats = verify_lists(api, corpus, &users, &chats, &expected, connections).await?;
    let messages = corpus.chats.iter().map(|chat| chat.stored().len()).sum();
    Ok(Verified { chats: chats.len(), messages, users: users.len(), listed_chats })
}

/// Every chat's messages; gives what is to be expected of the chats, by id.
async fn verify_messages<'a>(
    api: &Api,
    corpus: &'a Corpus,
    users: &'a [String],
    chats: &'a [String],
    connections: usize,
) -> Result<HashMap<&'a str, ExpectedChat<'a>>, Error> {
    let bar = progress("chats", chats.len());
    let verify_one = async |(chat, id): (&'a corpus::Chat, &'a String)| {
        let last_message = compare_messages(chat, id, users, api.messages(id).await?)?;
        bar.inc(1);
        let members = chat.members.iter().map(|&user| users[user].as_str()).collect();
        Ok((id.as_str(), ExpectedChat { name: &chat.name, users: members, last_message }))
    };
    stream::iter(corpus.chats.iter().zip(chats))
        .map(verify_one)
        .buffer_unordered(connections)
        .try_collect()
        .await
}

/// Gives the last message.
fn compare_messages(
    chat: &corpus::Chat,
    id: &str,
    users: &[String],
    messages: Vec<Message>,
) -> Result<Option<Message>, Error> {
    let chat_name = &chat.name;
    let expected = chat.stored();
    same(&messages.len(), &expected.len(), || format!("the number of messages of {chat_name}"))?;
    let mut last: Option<Message> = None;
    for ((message, expected), seq) in messages.into_iter().zip(expected).zip(1..) {
        let of_message = |what| format!("the {what} of message {seq} of {chat_name}");
        same(&message.text, &expected.text, || of_message("text"))?;
        same(&message.author, &users[expected.author], || of_message("author"))?;
        same(message.chat.as_str(), id, || of_message("chat"))?;
        same(&message.seq, &seq, || of_message("seq"))?;
        // Times of this one form sort as text does.
        if last.as_ref().is_some_and(|last| last.created_at >= message.created_at) {
            let what = format!("message {seq} of {chat_name} is not later than the one before: {message:?}");
            return Err(Error::Difference(what));
        }
        last = Some(message);
    }
    Ok(last)
}

/// Every user's list of chats; gives how many chats are in all of them together.
async fn verify_lists(
    api: &Api,
    corpus: &Corpus,
    users: &[String],
    chats: &[String],
    expected: &HashMap<&str, ExpectedChat<'_>>,
    connections: usize,
) -> Result<usize, Error> {
    let mut chats_of = vec![Vec::new(); users.len()];
    for (chat, id) in corpus.chats.iter().zip(chats) {
        for &user in &chat.members {
            chats_of[user].push(id.as_str());
        }
    }
    let bar = progress("users", users.len());
    let verify_one = async |((name, id), chats): ((&String, &String), &Vec<&str>)| {
        let listed: Vec<ListedChat> = api.chats(id).await?;
        compare_lists(name, &listed, chats, expected)?;
        bar.inc(1);
        Ok(listed.len())
    };
    let lists = stream::iter(corpus.users.iter().zip(users).zip(&chats_of));
    lists.map(verify_one).buffer_unordered(connections).try_fold(0, async |all, one| Ok(all + one)).await
}

fn compare_lists(
    user: &str,
    listed: &[ListedChat],
    chats: &[&str],
    expected: &HashMap<&str, ExpectedChat<'_>>,
) -> Result<(), Error> {
    for id in chats {
        if !listed.iter().any(|chat| chat.id == *id) {
            let what = format!("the chat {} is not in the list of the user {user:?}", expected[id].name);
            return Err(Error::Difference(what));
        }
    }
    same(&listed.len(), &chats.len(), || format!("the number of chats of the user {user:?}"))?;
    // Exactly the user's chats are listed: each is expected.
    for chat in listed {
        let expected = &expected[chat.id.as_str()];
        let of_chat = |what| format!("the {what} of the chat {} as {user:?} sees it", expected.name);
        same(chat.name.as_str(), expected.name, || of_chat("name"))?;
        same(&chat.users.iter().map(String::as_str).collect(), &expected.users, || of_chat("members"))?;
        same(&chat.last_message, &expected.last_message, || of_chat("last message"))?;
    }
    // The latest message first; without messages after all others, the newest of them first.
    let rank = |chat: &ListedChat| {
        (chat.last_message.as_ref().map(|message| message.created_at.clone()), chat.created_at.clone())
    };
    for (before, after) in listed.iter().zip(listed.iter().skip(1)) {
        if rank(before) <= rank(after) {
            let what =
                format!("{} comes before {} in the list of the user {user:?}", before.name, after.name);
            return Err(Error::Difference(what));
        }
    }
    Ok(())
}

/// Refuses what is not as expected.
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

/// Cut to a length that people can read.
fn shown<T: fmt::Debug + ?Sized>(value: &T) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(600) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chats, messages, users, listed_chats } = self;
        write!(
            f,
            "all is there: {messages} messages of {chats} chats; {users} users with {listed_chats} chats listed"
        )
    }
}
