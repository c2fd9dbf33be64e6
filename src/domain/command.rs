//! Commands, and the properties that follow from a command alone: its fingerprint, its size, its maximum
//! number of events.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::idempotency::{Fingerprint, FingerprintHasher};
use super::{ChatId, ChatName, Emoji, ErasedMessages, Metadata, Seq, Text, Timestamp, UserId, Username};

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
        /// The name, unique among chats, if it is to have one.
        name: Option<ChatName>,
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
    /// Adds the chat of two users, unless they have one. The order of the users does not count.
    AddDirectChat {
        /// The users, who are different.
        users: [UserId; 2],
    },
    /// Edits a message.
    EditMessage(Box<MessageEdit>),
    /// Deletes a message. If it is deleted already, nothing changes, unless its text is to leave the disk now.
    DeleteMessage {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// The user who deletes it: its author, or a moderator of the chat. `None` stands for the application.
        user: Option<UserId>,
        /// Whether the user moderates the chats that they are a member of.
        is_moderator: bool,
        /// Whether the text is to leave the disk at once.
        erase: bool,
    },
    /// Adds a reaction to a message. If it is there, nothing changes.
    AddReaction(Box<Reaction>),
    /// Removes a reaction. If it is not there, nothing changes.
    RemoveReaction(Box<Reaction>),
    /// Edits a chat.
    EditChat {
        /// The chat.
        chat: ChatId,
        /// The new name, if there is to be one.
        name: Option<ChatName>,
        /// The new metadata, if there are to be some.
        metadata: Option<Metadata>,
    },
    /// Edits a user.
    EditUser {
        /// The user.
        user: UserId,
        /// The new name, if there is to be one.
        username: Option<Username>,
        /// The new metadata, if there are to be some.
        metadata: Option<Metadata>,
    },
    /// Erases a user. If the user is erased already, nothing changes, unless the messages were kept and are to be erased.
    EraseUser {
        /// The user.
        user: UserId,
        /// What becomes of the user's messages.
        messages: ErasedMessages,
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
    /// What the message is besides its text, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Box<MessageExtras>>,
}

/// What a message to send is besides its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageExtras {
    /// The message of the same chat that it replies to.
    pub reply_to: Option<Seq>,
    /// Its metadata.
    pub metadata: Option<Metadata>,
}

impl MessageExtras {
    /// Returns what a message is besides its text, if anything is given.
    #[must_use]
    pub fn of(reply_to: Option<Seq>, metadata: Option<Metadata>) -> Option<Box<Self>> {
        let is_given = reply_to.is_some() || metadata.is_some();
        is_given.then(|| Box::new(Self { reply_to, metadata }))
    }
}

/// An edit of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdit {
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub seq: Seq,
    /// The user who edits it, who must be its author. `None` stands for the application, which may edit any.
    pub user: Option<UserId>,
    /// The new text, if there is to be one.
    pub text: Option<Text>,
    /// The new metadata, if there are to be some.
    pub metadata: Option<Metadata>,
}

/// A reaction of a user to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub seq: Seq,
    /// The user, who must be a member.
    pub user: UserId,
    /// The emoji.
    pub emoji: Emoji,
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
                // No name is empty.
                let hasher = hasher.path("/chats/add").text(name.as_deref().unwrap_or_default());
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
            Self::AddDirectChat { users } => {
                let [first, second] = in_order(*users);
                hasher.path("/chats/direct").id(first).id(second)
            }
            Self::EditMessage(edit) => {
                let MessageEdit { chat, seq, user, text, metadata } = &**edit;
                let hasher = hasher.path("/messages/edit").id(*chat).number(seq.0);
                hasher.option(*user, FingerprintHasher::id).value(text.as_deref()).metadata(metadata.as_ref())
            }
            // Whether a user moderates is said by the token, and a retry may come with another one.
            Self::DeleteMessage { chat, seq, user, is_moderator: _, erase } => {
                let hasher = hasher.path("/messages/delete").id(*chat).number(seq.0);
                hasher.option(*user, FingerprintHasher::id).number((*erase).into())
            }
            Self::AddReaction(reaction) => reaction.feed(hasher.path("/messages/reactions/add")),
            Self::RemoveReaction(reaction) => reaction.feed(hasher.path("/messages/reactions/remove")),
            Self::EditChat { chat, name, metadata } => {
                hasher.path("/chats/edit").id(*chat).value(name.as_deref()).metadata(metadata.as_ref())
            }
            Self::EditUser { user, username, metadata } => {
                hasher.path("/users/edit").id(*user).value(username.as_deref()).metadata(metadata.as_ref())
            }
            Self::EraseUser { user, messages } => {
                let erase = matches!(messages, ErasedMessages::Erase);
                hasher.path("/users/erase").id(*user).number(erase.into())
            }
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
            | Self::AddDirectChat { .. }
            | Self::AddMember { .. }
            | Self::RemoveMember { .. }
            | Self::MarkRead { .. }
            | Self::RevokeTokens { .. }
            | Self::EditMessage(_)
            | Self::DeleteMessage { .. }
            | Self::AddReaction(_)
            | Self::RemoveReaction(_)
            | Self::EditChat { .. }
            | Self::EditUser { .. }
            | Self::EraseUser { .. } => false,
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
            Self::AddChat { name, users } => bytes_of(name.as_deref()) + size_of_val(users.as_slice()),
            Self::AddMessage(message) => message.payload_bytes(),
            Self::AddMessages(messages) => messages.iter().map(NewMessage::payload_bytes).sum(),
            Self::EditMessage(edit) => {
                bytes_of(edit.text.as_deref()) + bytes_of_metadata(edit.metadata.as_ref())
            }
            Self::AddReaction(reaction) | Self::RemoveReaction(reaction) => reaction.emoji.len(),
            Self::EditChat { name, metadata, .. } => {
                bytes_of(name.as_deref()) + bytes_of_metadata(metadata.as_ref())
            }
            Self::EditUser { username, metadata, .. } => {
                bytes_of(username.as_deref()) + bytes_of_metadata(metadata.as_ref())
            }
            _ => 0,
        };
        texts + self.events_max() * EVENT_BYTES
    }
}

impl NewMessage {
    fn feed<'h>(&self, hasher: &'h mut FingerprintHasher) -> &'h mut FingerprintHasher {
        let hasher = hasher.id(self.chat).id(self.author).text(&self.text);
        match &self.with {
            None => hasher,
            // The id of the next message's chat does not begin so, because it is of version 7.
            Some(with) => {
                let hasher = hasher.text("with").option(with.reply_to, |hasher, seq| hasher.number(seq.0));
                hasher.metadata(with.metadata.as_ref())
            }
        }
    }

    fn payload_bytes(&self) -> usize {
        let metadata = self.with.as_ref().and_then(|with| with.metadata.as_ref());
        self.text.len() + bytes_of_metadata(metadata)
    }
}

impl Reaction {
    fn feed<'h>(&self, hasher: &'h mut FingerprintHasher) -> &'h mut FingerprintHasher {
        hasher.id(self.chat).number(self.seq.0).id(self.user).text(&self.emoji)
    }
}

/// Returns two users in one of the two orders.
#[must_use]
pub fn in_order([one, other]: [UserId; 2]) -> [UserId; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

fn bytes_of(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

fn bytes_of_metadata(metadata: Option<&Metadata>) -> usize {
    bytes_of(metadata.map(Metadata::json))
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
            NewMessage { chat: id(chat).into(), author: user, text, with: None }
        };
        let (seq, metadata) = (Seq(1), |json: &str| Metadata::try_from(json.to_owned()).unwrap());
        let with = |reply_to: Option<u64>, json: Option<&str>| NewMessage {
            with: MessageExtras::of(reply_to.map(Seq), json.map(metadata)),
            ..message(1)
        };
        let edit = |user, text: Option<&str>, json: Option<&str>| {
            let text = text.map(|text| Text::try_from(text.to_owned()).unwrap());
            Command::EditMessage(Box::new(MessageEdit {
                chat,
                seq,
                user,
                text,
                metadata: json.map(metadata),
            }))
        };
        let reaction = |emoji: &str| {
            let emoji = Emoji::try_from(emoji.to_owned()).unwrap();
            Box::new(Reaction { chat, seq, user, emoji })
        };
        vec![
            Command::AddUser { username: Username::try_from(text.clone()).unwrap() },
            Command::AddUser { username: Username::try_from("te".to_owned()).unwrap() },
            Command::AddChat { name: Some(name("tea")), users: vec![user] },
            Command::AddChat { name: Some(name("tea")), users: vec![user, id(3).into()] },
            Command::AddChat { name: Some(name("tea")), users: vec![id(3).into(), user] },
            Command::AddMessage(message(1)),
            Command::AddMember { chat, user },
            Command::RemoveMember { chat, user },
            Command::MarkRead { chat, user, seq: Seq(1) },
            Command::MarkRead { chat, user, seq: Seq(2) },
            Command::AddMessages(vec![message(1)]),
            Command::AddMessages(vec![message(1), message(3)]),
            Command::RevokeTokens { user, from: 1 },
            Command::RevokeTokens { user: id(3).into(), from: 1 },
            Command::AddChat { name: None, users: vec![user] },
            Command::AddDirectChat { users: [user, id(3).into()] },
            Command::AddMessage(with(Some(1), None)),
            Command::AddMessage(with(None, Some(r#"{"a":1}"#))),
            Command::AddMessage(with(Some(1), Some(r#"{"a":1}"#))),
            Command::AddMessages(vec![with(Some(1), None), message(1)]),
            Command::AddMessages(vec![message(1), with(Some(1), None)]),
            edit(Some(user), Some("tea"), None),
            edit(None, Some("tea"), None),
            edit(None, None, Some(r#"{"a":1}"#)),
            edit(None, Some("tea"), Some(r#"{"a":1}"#)),
            Command::DeleteMessage { chat, seq, user: Some(user), is_moderator: false, erase: false },
            Command::DeleteMessage { chat, seq, user: None, is_moderator: false, erase: false },
            Command::DeleteMessage { chat, seq, user: None, is_moderator: false, erase: true },
            Command::AddReaction(reaction("+1")),
            Command::AddReaction(reaction("-1")),
            Command::RemoveReaction(reaction("+1")),
            Command::EditChat { chat, name: Some(name("tea")), metadata: None },
            Command::EditChat { chat, name: None, metadata: Some(metadata("{}")) },
            Command::EditUser {
                user,
                username: Some(Username::try_from(text.clone()).unwrap()),
                metadata: None,
            },
            Command::EditUser { user, username: None, metadata: Some(metadata("{}")) },
            Command::EraseUser { user, messages: ErasedMessages::Erase },
            Command::EraseUser { user, messages: ErasedMessages::Keep },
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
    fn fingerprints_are_those_of_the_values() {
        let users = [1, 2].map(|number| Uuid::from_u128(number).into());
        let direct = |users| Command::AddDirectChat { users }.fingerprint();
        assert_eq!(direct(users), direct([users[1], users[0]]));
        let edit = |json: &str| {
            let metadata = Some(Metadata::try_from(json.to_owned()).expect("metadata"));
            Command::EditUser { user: users[0], username: None, metadata }.fingerprint()
        };
        assert_eq!(edit(r#"{"a":1,"b":2}"#), edit("{ \"b\": 2,\n\"a\": 1 }"));
        let delete = |is_moderator| {
            let (chat, user) = (Uuid::nil().into(), Some(users[0]));
            Command::DeleteMessage { chat, seq: Seq(1), user, is_moderator, erase: false }.fingerprint()
        };
        assert_eq!(delete(true), delete(false));
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
