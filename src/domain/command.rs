//! Commands, and the properties that follow from a command alone: its fingerprint, its size, its maximum
//! number of events.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::idempotency::{Fingerprint, FingerprintHasher};
use super::{ChatId, ChatName, Seq, Text, Timestamp, UserId, Username};

/// A request to change something. It becomes one or more [`Event`](super::Event)s, or a
/// [`Refusal`](super::Refusal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Adds a user.
    AddUser {
        /// The name, unique among users.
        username: Username,
    },
    /// Adds a chat.
    AddChat {
        /// The name, unique among chats.
        name: ChatName,
        /// The first members, in the client's order. A repeated id counts once.
        users: Vec<UserId>,
    },
    /// Sends a message.
    AddMessage(NewMessage),
    /// Sends one or more messages, in this order: either all of them or none.
    AddMessages(Vec<NewMessage>),
    /// Adds a user to a chat.
    AddMember {
        /// The chat.
        chat: ChatId,
        /// The user. If they are a member already, nothing changes.
        user: UserId,
    },
    /// Removes a user from a chat.
    RemoveMember {
        /// The chat.
        chat: ChatId,
        /// The user. If they are not a member, nothing changes.
        user: UserId,
    },
    /// Moves a member's read mark.
    MarkRead {
        /// The chat.
        chat: ChatId,
        /// The user, who must be a member.
        user: UserId,
        /// The last message that the user has read. If a later one is marked already, nothing changes.
        seq: Seq,
    },
    /// Revokes the tokens of a user that were issued before a time.
    RevokeTokens {
        /// The user.
        user: UserId,
        /// The time, in Unix seconds. The server chooses it. If it is not later than that of the user's last
        /// revocation, the second after that takes its place.
        from: u64,
    },
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    /// The chat that it is sent to.
    pub chat: ChatId,
    /// The author, who must be a member.
    pub author: UserId,
    /// The text.
    pub text: Text,
}

/// The time and the id that the writer gives to an event before the command is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The event's time, later than that of every event before it.
    pub time: Timestamp,
    /// The id of what the event adds.
    pub id: Uuid,
}

impl Command {
    /// Returns the digest by which a retry under the same key is recognised.
    ///
    /// **Invariant:** fingerprints are in the log. The values that enter one, and their order, never change.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = FingerprintHasher::default();
        match self {
            Self::AddUser { username } => hasher.path("/users/add").text(username),
            Self::AddChat { name, users } => {
                let hasher = hasher.path("/chats/add").text(name);
                users.iter().fold(hasher, |hasher, &user| hasher.id(user))
            }
            Self::AddMessage(message) => message.feed(hasher.path("/messages/add")),
            Self::AddMessages(messages) => {
                let hasher = hasher.path("/messages/batch");
                messages.iter().fold(hasher, |hasher, message| message.feed(hasher))
            }
            Self::AddMember { chat, user } => hasher.path("/chats/users/add").id(*chat).id(*user),
            Self::RemoveMember { chat, user } => hasher.path("/chats/users/remove").id(*chat).id(*user),
            Self::MarkRead { chat, user, seq } => {
                hasher.path("/chats/read").id(*chat).id(*user).number(seq.0)
            }
            // A retry comes at another time.
            Self::RevokeTokens { user, from: _ } => hasher.path("/users/tokens/revoke").id(*user),
        };
        hasher.finish()
    }

    /// Returns the maximum number of events that the command becomes.
    #[must_use]
    pub fn events_max(&self) -> usize {
        if let Self::AddMessages(messages) = self { messages.len() } else { 1 }
    }

    /// Returns whether all events that the command may become name this user as their
    /// [doer](super::Event::doer).
    #[must_use]
    pub fn names_doer(&self, user: UserId) -> bool {
        match self {
            Self::AddMessage(message) => message.author == user,
            Self::AddMessages(messages) => messages.iter().all(|message| message.author == user),
            // Their events name no doer, at least if nothing changes.
            Self::AddUser { .. }
            | Self::AddChat { .. }
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::MarkRead { .. }
            | Self::RevokeTokens { .. } => false,
        }
    }

    /// Returns the approximate size of the command's events. The queue and the batches are bounded by it.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a command without text or a list has no bytes to add"
    )]
    pub fn payload_bytes(&self) -> usize {
        /// Bytes of an event besides its names and texts.
        const EVENT_BYTES: usize = 72;
        let texts = match self {
            Self::AddUser { username } => username.len(),
            Self::AddChat { name, users } => name.len() + size_of_val(users.as_slice()),
            Self::AddMessage(message) => message.text.len(),
            Self::AddMessages(messages) => messages.iter().map(|message| message.text.len()).sum(),
            _ => 0,
        };
        texts + self.events_max() * EVENT_BYTES
    }
}

impl NewMessage {
    fn feed<'h>(&self, hasher: &'h mut FingerprintHasher) -> &'h mut FingerprintHasher {
        hasher.id(self.chat).id(self.author).text(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<Command> {
        let id = |number: u128| Uuid::from_u128(number);
        let (chat, user) = (id(1).into(), id(2).into());
        let (name, text) = (|name: &str| ChatName::try_from(name.to_owned()).unwrap(), "tea".to_owned());
        let message = |chat| {
            let text = Text::try_from(text.clone()).unwrap();
            NewMessage { chat: id(chat).into(), author: user, text }
        };
        vec![
            Command::AddUser { username: Username::try_from(text.clone()).unwrap() },
            Command::AddUser { username: Username::try_from("te".to_owned()).unwrap() },
            Command::AddChat { name: name("tea"), users: vec![user] },
            Command::AddChat { name: name("tea"), users: vec![user, id(3).into()] },
            Command::AddChat { name: name("tea"), users: vec![id(3).into(), user] },
            Command::AddMessage(message(1)),
            Command::AddMember { chat, user },
            Command::RemoveMember { chat, user },
            Command::MarkRead { chat, user, seq: Seq(1) },
            Command::MarkRead { chat, user, seq: Seq(2) },
            Command::AddMessages(vec![message(1)]),
            Command::AddMessages(vec![message(1), message(3)]),
            Command::RevokeTokens { user, from: 1 },
            Command::RevokeTokens { user: id(3).into(), from: 1 },
        ]
    }

    #[test]
    fn fingerprints_differ_by_command_and_by_value() {
        let commands = commands();
        for (index, one) in commands.iter().enumerate() {
            assert_eq!(one.fingerprint(), one.clone().fingerprint());
            for other in &commands[..index] {
                assert_ne!(one.fingerprint(), other.fingerprint(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_revocation_is_the_same_at_any_time() {
        let at = |from| Command::RevokeTokens { user: Uuid::nil().into(), from }.fingerprint();
        assert_eq!(at(1), at(2));
    }

    #[test]
    fn fingerprints_never_change() {
        let fingerprints = commands().into_iter().map(|command| {
            let Fingerprint(bytes) = command.fingerprint();
            Uuid::from_bytes(bytes).simple().to_string() + "\n"
        });
        insta::assert_snapshot!(fingerprints.collect::<String>());
    }
}
