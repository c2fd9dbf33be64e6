//! All rules of the chat server: they decide which commands become events and which are refused.

mod messages;

use std::borrow::Cow;
use std::collections::HashSet;

use super::{
    Actor, ChatId, ChatName, Command, ErasedMessages, Event, Facts, Metadata, Refusal, Stamp, Timestamp,
    UserField, UserId, Username,
};
use messages::MessageDeletion;

/// Maximum emoji with which a user may react to a message.
pub const REACTIONS_OF_USER_MAX: usize = 20;
/// Maximum emoji of a message.
pub const EMOJI_MAX: usize = 100;

/// The result of a command that breaks no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'c> {
    /// One event.
    Event(Event<'c>),
    /// Several events, in this order.
    Events(Vec<Event<'c>>),
    /// No event, because the state is already as the command asks.
    Unchanged,
    /// No event, because the message is already as the edit asks. It was last edited at this time, if ever.
    NothingEdited(Option<Timestamp>),
    /// No event, because the two users have a chat.
    ChatExists(ChatId),
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
            check_username(facts, username)?;
            Event::UserAdded { id: stamp.id.into(), username: Cow::Borrowed(username) }
        }
        Command::AddChat { name, users } => {
            check_new_members(facts, users)?;
            let (id, users) = (stamp.id.into(), each_once(users));
            match name {
                None => Event::NamelessChatAdded { id, users },
                Some(name) => {
                    check_chat_name(facts, name)?;
                    Event::ChatAdded { id, name: Cow::Borrowed(name), users }
                }
            }
        }
        Command::AddDirectChat { users } => {
            for (index, &user) in users.iter().enumerate() {
                check_user(facts, user, UserField::Users(index))?;
            }
            if let Some(chat) = facts.direct_chat(*users) {
                return Ok(Decision::ChatExists(chat));
            }
            check_not_erased(facts, users)?;
            Event::DirectChatAdded { id: stamp.id.into(), users: *users }
        }
        Command::AddMessage(message) => messages::decide_message(facts, message, 0, stamp)?,
        Command::AddMessages(messages) => return messages::decide_messages(facts, messages, stamps),
        &Command::AddMember { chat, user } => return decide_joining(facts, chat, user, by),
        &Command::RemoveMember { chat, user } => return decide_leaving(facts, chat, user, by),
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
        Command::EditMessage(edit) => return messages::decide_edit(facts, edit),
        &Command::DeleteMessage { chat, seq, user, is_moderator, erase } => {
            let deletion = MessageDeletion { chat, seq, user, is_moderator, erase };
            return messages::decide_deletion(facts, deletion);
        }
        Command::AddReaction(reaction) => return messages::decide_reaction(facts, reaction),
        Command::RemoveReaction(reaction) => return messages::decide_end_of_reaction(facts, reaction),
        Command::EditChat { chat, name, metadata } => {
            return decide_chat_edit(facts, *chat, name.as_ref(), metadata.as_ref(), by);
        }
        Command::EditUser { user, username, metadata } => {
            return decide_user_edit(facts, *user, username.as_ref(), metadata.as_ref());
        }
        &Command::EraseUser { user, messages } => {
            check_user(facts, user, UserField::User)?;
            match facts.erasure(user) {
                Some(ErasedMessages::Keep) if messages == ErasedMessages::Erase => {}
                Some(_) => return Ok(Decision::Unchanged),
                None => {}
            }
            Event::UserErased { user, messages }
        }
    };
    Ok(Decision::Event(event))
}

fn decide_joining(
    facts: &impl Facts,
    chat: ChatId,
    user: UserId,
    by: &Actor<'_>,
) -> Result<Decision<'static>, Refusal> {
    check_chat(facts, chat)?;
    check_user(facts, user, UserField::User)?;
    check_caller(facts, chat, by)?;
    check_not_direct(facts, chat)?;
    if facts.is_member(chat, user) {
        return Ok(Decision::Unchanged);
    }
    if facts.is_erased(user) {
        return Err(Refusal::UserErased { user, field: UserField::User });
    }
    Ok(Decision::Event(Event::MemberAdded { chat, user }))
}

fn decide_leaving(
    facts: &impl Facts,
    chat: ChatId,
    user: UserId,
    by: &Actor<'_>,
) -> Result<Decision<'static>, Refusal> {
    check_chat(facts, chat)?;
    check_user(facts, user, UserField::User)?;
    if *by != Actor::User(user) {
        check_caller(facts, chat, by)?;
    }
    check_not_direct(facts, chat)?;
    if !facts.is_member(chat, user) {
        return Ok(Decision::Unchanged);
    }
    Ok(Decision::Event(Event::MemberRemoved { chat, user }))
}

fn decide_chat_edit<'c>(
    facts: &impl Facts,
    chat: ChatId,
    name: Option<&'c ChatName>,
    metadata: Option<&'c Metadata>,
    by: &Actor<'_>,
) -> Result<Decision<'c>, Refusal> {
    check_chat(facts, chat)?;
    check_caller(facts, chat, by)?;
    let name = name.map(|name| &**name).filter(|name| facts.chat_named(name) != Some(chat));
    if let Some(name) = name {
        check_not_direct(facts, chat)?;
        check_chat_name(facts, name)?;
    }
    let metadata = changed(metadata, facts.chat_metadata(chat));
    if name.is_none() && metadata.is_none() {
        return Ok(Decision::Unchanged);
    }
    Ok(Decision::Event(Event::ChatEdited { chat, name: name.map(Cow::Borrowed), metadata }))
}

fn decide_user_edit<'c>(
    facts: &impl Facts,
    user: UserId,
    username: Option<&'c Username>,
    metadata: Option<&'c Metadata>,
) -> Result<Decision<'c>, Refusal> {
    check_user(facts, user, UserField::User)?;
    if facts.is_erased(user) {
        return Err(Refusal::UserErased { user, field: UserField::User });
    }
    let username = username.map(|name| &**name).filter(|name| facts.user_named(name) != Some(user));
    username.map_or(Ok(()), |username| check_username(facts, username))?;
    let metadata = changed(metadata, facts.user_metadata(user));
    if username.is_none() && metadata.is_none() {
        return Ok(Decision::Unchanged);
    }
    Ok(Decision::Event(Event::UserEdited { user, username: username.map(Cow::Borrowed), metadata }))
}

/// Returns the metadata, unless they are as before.
fn changed<'c>(metadata: Option<&'c Metadata>, before: Option<&str>) -> Option<Cow<'c, str>> {
    metadata.filter(|metadata| !metadata.is_same_as(before)).map(|metadata| Cow::Borrowed(metadata.json()))
}

fn check_username(facts: &impl Facts, username: &str) -> Result<(), Refusal> {
    match facts.user_named(username) {
        None => Ok(()),
        Some(_) => Err(Refusal::UsernameTaken { username: username.to_owned() }),
    }
}

fn check_chat_name(facts: &impl Facts, name: &str) -> Result<(), Refusal> {
    match facts.chat_named(name) {
        None => Ok(()),
        Some(_) => Err(Refusal::ChatNameTaken { name: name.to_owned() }),
    }
}

fn check_new_members(facts: &impl Facts, users: &[UserId]) -> Result<(), Refusal> {
    for (index, &user) in users.iter().enumerate() {
        check_user(facts, user, UserField::Users(index))?;
    }
    check_not_erased(facts, users)
}

fn check_not_erased(facts: &impl Facts, users: &[UserId]) -> Result<(), Refusal> {
    let erased = users.iter().position(|user| facts.is_erased(*user));
    match erased {
        None => Ok(()),
        Some(index) => Err(Refusal::UserErased { user: users[index], field: UserField::Users(index) }),
    }
}

fn check_not_direct(facts: &impl Facts, chat: ChatId) -> Result<(), Refusal> {
    if facts.is_direct(chat) { Err(Refusal::DirectChat { chat }) } else { Ok(()) }
}

/// Checks the user who does something, unless the application does it.
fn check_named(facts: &impl Facts, user: Option<UserId>) -> Result<(), Refusal> {
    user.map_or(Ok(()), |user| check_user(facts, user, UserField::User))
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
mod message_tests;
#[cfg(test)]
mod tests;
