//! All rules of the chat server: they decide which commands become events and which are refused.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Actor, ChatId, Command, Event, NewMessage, Seq, Stamp, UserId};

/// The facts about the state that a decision may ask for, by ids and names.
pub trait Facts {
    /// Returns whether the user exists.
    fn user_exists(&self, user: UserId) -> bool;
    /// Returns whether a user has this name.
    fn username_taken(&self, username: &str) -> bool;
    /// Returns whether the chat exists.
    fn chat_exists(&self, chat: ChatId) -> bool;
    /// Returns whether a chat has this name.
    fn chat_name_taken(&self, name: &str) -> bool;
    /// Returns whether the user is a member of the chat.
    fn is_member(&self, chat: ChatId, user: UserId) -> bool;
    /// Returns the seq of the chat's last message, or 0 if it has no messages.
    fn last_seq(&self, chat: ChatId) -> Seq;
    /// Returns the seq up to which the user has read the chat, or 0 if they have read nothing.
    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq;
    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked.
    fn tokens_from(&self, user: UserId) -> u64;
}

/// The result of a command that breaks no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'c> {
    /// One event.
    Event(Event<'c>),
    /// Several events, in this order.
    Events(Vec<Event<'c>>),
    /// No event, because the state is already as the command asks.
    Unchanged,
}

/// The rule that a well-formed command broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The user does not exist.
    #[error("there is no user {user}")]
    UserNotFound {
        /// The id.
        user: UserId,
        /// Where the command names the user.
        field: UserField,
    },
    /// The chat does not exist.
    #[error("there is no chat {chat}")]
    ChatNotFound {
        /// The id.
        chat: ChatId,
    },
    /// The user is not a member of the chat.
    #[error("user {user} is not a member of chat {chat}")]
    NotAMember {
        /// The chat.
        chat: ChatId,
        /// The user.
        user: UserId,
        /// Where the command names the user.
        field: UserField,
    },
    /// The read mark lies beyond the chat's last message.
    #[error("seq {} is beyond the last message of the chat, which has seq {}", seq.0, last.0)]
    BeyondLastMessage {
        /// The read mark.
        seq: Seq,
        /// The seq of the chat's last message, or 0 if it has no messages.
        last: Seq,
    },
    /// Another user has this name.
    #[error("the username is taken")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// Another chat has this name.
    #[error("the chat name is taken")]
    ChatNameTaken {
        /// The name.
        name: String,
    },
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// One of several messages was refused, and so all of them were.
    #[error("message {index}: {refusal}")]
    OfMessage {
        /// The index of the message.
        index: usize,
        /// The refusal of the message.
        refusal: Box<Refusal>,
    },
}

/// The place where a command names a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserField {
    /// As a message's author.
    Author,
    /// As the user whose membership, read mark or tokens the command changes.
    User,
    /// In a list of users, at this index.
    Users(usize),
    /// As the user who asks for the command.
    Caller,
}

/// Decides a command on the facts. `stamps` holds one stamp for each event that the command may become.
///
/// A user who asks for a command must be a member of the chat whose members it changes, except to leave it. A server,
/// and somebody unknown, may change the members of any chat.
///
/// The checks come in this order: existence of users and chats, membership, other state. Several messages are
/// checked one after the other.
///
/// # Errors
///
/// Returns the first rule that the command breaks.
///
/// # Panics
///
/// Panics if `stamps` is empty.
pub fn decide<'c>(
    facts: &impl Facts,
    command: &'c Command,
    by: &Actor<'_>,
    stamps: &[Stamp],
) -> Result<Decision<'c>, Refusal> {
    debug_assert_eq!(stamps.len(), command.events_max(), "a stamp for each event");
    let stamp = stamps[0];
    let event = match command {
        Command::AddUser { username } => {
            if facts.username_taken(username) {
                return Err(Refusal::UsernameTaken { username: username.to_string() });
            }
            Event::UserAdded { id: stamp.id.into(), username: Cow::Borrowed(username) }
        }
        Command::AddChat { name, users } => {
            for (index, &user) in users.iter().enumerate() {
                check_user(facts, user, UserField::Users(index))?;
            }
            if facts.chat_name_taken(name) {
                return Err(Refusal::ChatNameTaken { name: name.to_string() });
            }
            Event::ChatAdded { id: stamp.id.into(), name: Cow::Borrowed(name), users: each_once(users) }
        }
        Command::AddMessage(message) => decide_message(facts, message, stamp)?,
        Command::AddMessages(messages) => {
            let decide_at = |(index, (message, stamp)): (usize, (&'c NewMessage, &Stamp))| {
                decide_message(facts, message, *stamp)
                    .map_err(|refusal| Refusal::OfMessage { index, refusal: Box::new(refusal) })
            };
            let events: Result<_, _> = messages.iter().zip(stamps).enumerate().map(decide_at).collect();
            return Ok(Decision::Events(events?));
        }
        &Command::AddMember { chat, user } => {
            check_chat(facts, chat)?;
            check_user(facts, user, UserField::User)?;
            check_caller(facts, chat, by)?;
            if facts.is_member(chat, user) {
                return Ok(Decision::Unchanged);
            }
            Event::MemberAdded { chat, user }
        }
        &Command::RemoveMember { chat, user } => {
            check_chat(facts, chat)?;
            check_user(facts, user, UserField::User)?;
            if *by != Actor::User(user) {
                check_caller(facts, chat, by)?;
            }
            if !facts.is_member(chat, user) {
                return Ok(Decision::Unchanged);
            }
            Event::MemberRemoved { chat, user }
        }
        &Command::MarkRead { chat, user, seq } => {
            check_member(facts, chat, user, UserField::User)?;
            let last = facts.last_seq(chat);
            if seq > last {
                return Err(Refusal::BeyondLastMessage { seq, last });
            }
            if seq <= facts.read_mark(chat, user) {
                return Ok(Decision::Unchanged);
            }
            Event::ReadMarked { chat, user, seq }
        }
        &Command::RevokeTokens { user, from } => {
            check_user(facts, user, UserField::User)?;
            // Each revocation is an event, even if the clock went back: there may be tokens of later times.
            Event::TokensRevoked { user, from: from.max(facts.tokens_from(user).saturating_add(1)) }
        }
    };
    Ok(Decision::Event(event))
}

fn decide_message<'c>(
    facts: &impl Facts,
    &NewMessage { chat, author, ref text }: &'c NewMessage,
    stamp: Stamp,
) -> Result<Event<'c>, Refusal> {
    check_member(facts, chat, author, UserField::Author)?;
    Ok(Event::MessageAdded { id: stamp.id.into(), chat, author, text: Cow::Borrowed(text) })
}

fn check_chat(facts: &impl Facts, chat: ChatId) -> Result<(), Refusal> {
    if facts.chat_exists(chat) { Ok(()) } else { Err(Refusal::ChatNotFound { chat }) }
}

fn check_user(facts: &impl Facts, user: UserId, field: UserField) -> Result<(), Refusal> {
    if facts.user_exists(user) { Ok(()) } else { Err(Refusal::UserNotFound { user, field }) }
}

fn check_member(facts: &impl Facts, chat: ChatId, user: UserId, field: UserField) -> Result<(), Refusal> {
    check_chat(facts, chat)?;
    check_user(facts, user, field)?;
    if facts.is_member(chat, user) { Ok(()) } else { Err(Refusal::NotAMember { chat, user, field }) }
}

fn check_caller(facts: &impl Facts, chat: ChatId, by: &Actor<'_>) -> Result<(), Refusal> {
    match *by {
        Actor::User(user) => check_member(facts, chat, user, UserField::Caller),
        Actor::Unknown | Actor::Key(_) => Ok(()),
    }
}

fn each_once(users: &[UserId]) -> Vec<UserId> {
    let mut seen = HashSet::with_capacity(users.len());
    users.iter().copied().filter(|&user| seen.insert(user)).collect()
}

#[cfg(test)]
mod tests;
