//! The rules: which commands become events, and which are refused.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{ChatId, Command, Event, Stamp, UserId};

/// What a decision may ask about the state that it rests on.
pub trait Facts {
    /// Whether there is such a user.
    fn user_exists(&self, user: UserId) -> bool;
    /// Whether a user has this name.
    fn username_taken(&self, username: &str) -> bool;
    /// Whether there is such a chat.
    fn chat_exists(&self, chat: ChatId) -> bool;
    /// Whether a chat has this name.
    fn chat_name_taken(&self, name: &str) -> bool;
    /// Whether the user is in the chat.
    fn is_member(&self, chat: ChatId, user: UserId) -> bool;
}

/// Why a well-formed command did not become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A user id names nothing.
    #[error("there is no user {user}")]
    UserNotFound {
        /// The id.
        user: UserId,
        /// Its index, where the command lists users.
        index: Option<usize>,
    },
    /// A chat id names nothing.
    #[error("there is no chat {chat}")]
    ChatNotFound {
        /// The id.
        chat: ChatId,
    },
    /// The user is not in the chat.
    #[error("user {user} is not a member of chat {chat}")]
    NotAMember {
        /// The chat.
        chat: ChatId,
        /// The user.
        user: UserId,
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
}

/// Decides one command on the facts.
///
/// What ids name comes first, then membership, then uniqueness.
///
/// # Errors
///
/// The first rule that the command breaks.
pub fn decide<'c>(facts: &impl Facts, command: &'c Command, stamp: Stamp) -> Result<Event<'c>, Refusal> {
    match command {
        Command::AddUser { username } => {
            if facts.username_taken(username) {
                return Err(Refusal::UsernameTaken { username: username.to_string() });
            }
            Ok(Event::UserAdded { id: stamp.id.into(), username: Cow::Borrowed(username) })
        }
        Command::AddChat { name, users } => {
            if let Some(index) = users.iter().position(|&user| !facts.user_exists(user)) {
                return Err(Refusal::UserNotFound { user: users[index], index: Some(index) });
            }
            if facts.chat_name_taken(name) {
                return Err(Refusal::ChatNameTaken { name: name.to_string() });
            }
            Ok(Event::ChatAdded { id: stamp.id.into(), name: Cow::Borrowed(name), users: each_once(users) })
        }
        Command::AddMessage { chat, author, text } => {
            if !facts.chat_exists(*chat) {
                return Err(Refusal::ChatNotFound { chat: *chat });
            }
            if !facts.user_exists(*author) {
                return Err(Refusal::UserNotFound { user: *author, index: None });
            }
            if !facts.is_member(*chat, *author) {
                return Err(Refusal::NotAMember { chat: *chat, user: *author });
            }
            Ok(Event::MessageAdded {
                id: stamp.id.into(),
                chat: *chat,
                author: *author,
                text: Cow::Borrowed(text),
            })
        }
    }
}

fn each_once(users: &[UserId]) -> Vec<UserId> {
    let mut seen = HashSet::with_capacity(users.len());
    users.iter().copied().filter(|&user| seen.insert(user)).collect()
}
