//! The bodies of answers: users, chats, messages, and the results of writes.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    ChatId, ChatName, Emoji, MessageId, Metadata, Position, Seq, Text, Timestamp, UserId, Username,
};
use crate::http::cursor::{ChatCursor, Cursor, ReactionCursor, UserCursor};
use crate::model::{
    ChatView, Extras, Members, Message, OwnReactions, ReactionView, Revision, SentMessage, UserView,
};

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody<'a> {
    id: UserId,
    /// `null` if the user was erased.
    #[schema(value_type = Option<Username>, required)]
    username: Option<&'a str>,
    created_at: Timestamp,
    /// Present if the user was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    erased: Option<bool>,
    /// The user's metadata; missing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
}

impl<'a> From<&'a UserView> for UserBody<'a> {
    fn from(user: &'a UserView) -> Self {
        Self {
            id: user.id,
            username: user.username.as_deref(),
            created_at: user.created_at,
            erased: user.is_erased.then_some(true),
            metadata: user.metadata.as_deref().map(raw),
        }
    }
}

/// A user in the list of all users.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedUser)]
pub(crate) struct ListedUserBody<'a> {
    id: UserId,
    /// `null` if the user was erased.
    #[schema(value_type = Option<Username>, required)]
    username: Option<&'a str>,
    created_at: Timestamp,
    /// Present if the user was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    erased: Option<bool>,
    /// The user's metadata; missing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
    #[schema(value_type = UserCursor)]
    cursor: String,
}

impl<'a> From<&'a UserView> for ListedUserBody<'a> {
    fn from(user: &'a UserView) -> Self {
        let cursor = Cursor(user.created_at).to_string();
        let UserBody { id, username, created_at, erased, metadata } = user.into();
        Self { id, username, created_at, erased, metadata, cursor }
    }
}

/// Returns JSON that is in the model.
fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).expect("it was checked")
}

/// A message, as a client sees it: as it is now. Members that are not set are left out.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageBody<'a> {
    id: MessageId,
    chat: ChatId,
    author: UserId,
    /// Empty if the message is deleted.
    #[schema(value_type = String, max_length = 16_384)]
    text: &'a str,
    created_at: Timestamp,
    seq: Seq,
    /// The time of the last edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Timestamp, required = false)]
    edited_at: Option<Timestamp>,
    /// The time at which the message was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Timestamp, required = false)]
    deleted_at: Option<Timestamp>,
    /// The message of the same chat that this one replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seq, required = false)]
    reply_to: Option<Seq>,
    /// The message's metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
    /// The reactions, by emoji.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reactions: Vec<ReactionBody<'a>>,
    /// The position of the last change; only in answers to `changed_after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Position, required = false)]
    position: Option<Position>,
}

/// An emoji with which users react to a message.
#[derive(Serialize, ToSchema)]
#[schema(as = Reaction)]
pub(crate) struct ReactionBody<'a> {
    #[schema(value_type = Emoji)]
    emoji: &'a str,
    /// Number of users who react with it.
    count: u32,
    /// Whether the reader is one of them; missing if it is not known who reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    own: Option<bool>,
}

/// What a message is besides its text, its author and its time: the last members of a [`MessageBody`].
#[derive(Default, Serialize)]
pub(super) struct ExtrasBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<ReactionBody<'a>>,
}

impl<'a> ExtrasBody<'a> {
    /// `own` holds the reader's own reactions, if it is known who reads.
    pub(super) fn new(seq: Seq, extras: &'a Extras, own: Option<&OwnReactions>) -> Self {
        let reaction = |(place, (emoji, count)): (usize, &'a (Arc<str>, u32))| ReactionBody {
            emoji,
            count: *count,
            own: own.map(|own| own.contains(seq, place)),
        };
        Self {
            edited_at: extras.edited_at,
            deleted_at: extras.deleted.map(|(at, _)| at),
            reply_to: extras.reply_to,
            metadata: extras.metadata.as_deref().map(raw),
            reactions: extras.reactions.iter().enumerate().map(reaction).collect(),
        }
    }
}

impl<'a> MessageBody<'a> {
    /// `own` holds the reader's own reactions, if it is known who reads.
    pub(crate) fn new(chat: ChatId, message: &Message<'a>, own: Option<&OwnReactions>) -> Self {
        let &Message { id, author, text, created_at, seq, extras } = message;
        let extras = extras.map(|extras| ExtrasBody::new(seq, extras, own)).unwrap_or_default();
        let ExtrasBody { edited_at, deleted_at, reply_to, metadata, reactions } = extras;
        Self {
            id,
            chat,
            author,
            text,
            created_at,
            seq,
            edited_at,
            deleted_at,
            reply_to,
            metadata,
            reactions,
            // Only for the schema: `MessageJson::push_changed` writes it.
            position: None,
        }
    }
}

/// A chat, as a member sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Chat)]
pub(crate) struct ChatBody<'a> {
    id: ChatId,
    /// `null` if the chat has no name.
    #[schema(value_type = Option<ChatName>, required)]
    name: Option<&'a str>,
    /// Present if it is the chat of two users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    direct: Option<bool>,
    /// The members, in the order in which they joined.
    #[serde(serialize_with = "listed")]
    #[schema(value_type = Vec<UserId>)]
    users: &'a Members,
    created_at: Timestamp,
    /// The chat's metadata; missing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
    /// `null` if the chat has no message.
    #[schema(required)]
    last_message: Option<MessageBody<'a>>,
    /// Number of messages that others have sent since this user's read mark.
    #[schema(examples(2))]
    unread: u64,
    #[schema(value_type = ChatCursor)]
    cursor: String,
}

/// A chat by itself, with its members' read marks.
#[derive(Serialize, ToSchema)]
#[schema(as = ShownChat)]
pub(crate) struct ShownChatBody<'a> {
    id: ChatId,
    /// `null` if the chat has no name.
    #[schema(value_type = Option<ChatName>, required)]
    name: Option<&'a str>,
    /// Present if it is the chat of two users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    direct: Option<bool>,
    /// The members, in the order in which they joined.
    #[serde(serialize_with = "listed")]
    #[schema(value_type = Vec<UserId>)]
    users: &'a Members,
    created_at: Timestamp,
    /// The chat's metadata; missing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
    /// `null` if the chat has no message.
    #[schema(required)]
    last_message: Option<MessageBody<'a>>,
    /// Number of messages that others have sent since the read mark of `user`; missing if the request has no
    /// `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false, examples(2))]
    unread: Option<u64>,
    #[schema(value_type = ChatCursor)]
    cursor: String,
    /// The marks of those members who have read something.
    #[schema(value_type = Vec<ReadMarkBody>)]
    read_marks: &'a [ReadMarkBody],
}

impl<'a> ShownChatBody<'a> {
    /// Shows the chat to a reader, if there is one.
    pub(crate) fn new(chat: &'a ChatView, has_reader: bool, read_marks: &'a [ReadMarkBody]) -> Self {
        let ChatBody { id, name, direct, users, created_at, metadata, last_message, unread, cursor } =
            chat.into();
        let unread = has_reader.then_some(unread);
        Self { id, name, direct, users, created_at, metadata, last_message, unread, cursor, read_marks }
    }
}

/// The last message of a chat that a member has read.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadMark)]
pub(crate) struct ReadMarkBody {
    pub(crate) user: UserId,
    pub(crate) seq: Seq,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is what serde calls")]
fn listed<S: Serializer>(members: &&Members, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(members.iter())
}

impl<'a> From<&'a ChatView> for ChatBody<'a> {
    fn from(chat: &'a ChatView) -> Self {
        let last = chat.last_message.as_ref().and_then(|run| run.messages().next());
        Self {
            id: chat.id,
            name: chat.name.as_deref(),
            direct: chat.is_direct.then_some(true),
            users: &chat.users,
            created_at: chat.created_at,
            metadata: chat.metadata.as_deref().map(raw),
            last_message: last.map(|message| MessageBody::new(chat.id, &message, chat.own.as_ref())),
            unread: chat.unread,
            cursor: Cursor(chat.rank).to_string(),
        }
    }
}

/// The id of the created user or chat.
#[derive(Serialize, ToSchema)]
#[schema(as = Added)]
pub(crate) struct AddedBody {
    #[schema(value_type = String, format = "uuid", examples("01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43"))]
    pub(super) id: Uuid,
}

/// The time from which the user's tokens are good.
#[derive(Serialize, ToSchema)]
#[schema(as = TokensFrom)]
pub(crate) struct TokensFromBody {
    /// Unix seconds. Tokens issued before are refused.
    #[schema(examples(1_795_446_256))]
    pub(super) tokens_from: u64,
}

/// A message that was sent.
// `SentJson` writes it. This is its schema, and what a test compares it with.
#[derive(Serialize, ToSchema)]
#[schema(as = Sent)]
pub(crate) struct SentBody {
    id: MessageId,
    seq: Seq,
    created_at: Timestamp,
}

impl From<&SentMessage> for SentBody {
    fn from(&SentMessage { id, seq, created_at }: &SentMessage) -> Self {
        Self { id, seq, created_at }
    }
}

/// An earlier text of a message.
#[derive(Serialize, ToSchema)]
#[schema(as = Revision)]
pub(crate) struct RevisionBody<'a> {
    #[schema(value_type = Text)]
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Metadata, required = false)]
    metadata: Option<&'a RawValue>,
    /// The time at which it was written.
    at: Timestamp,
}

impl<'a> From<&'a Revision> for RevisionBody<'a> {
    fn from(Revision { text, metadata, at }: &'a Revision) -> Self {
        Self { text, metadata: metadata.as_deref().map(raw), at: *at }
    }
}

/// A reaction to a message.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedReaction)]
pub(crate) struct ListedReactionBody<'a> {
    user: UserId,
    #[schema(value_type = Emoji)]
    emoji: &'a str,
    created_at: Timestamp,
    #[schema(value_type = ReactionCursor)]
    cursor: String,
}

impl<'a> From<&'a ReactionView> for ListedReactionBody<'a> {
    fn from(ReactionView { user, emoji, at, place }: &'a ReactionView) -> Self {
        Self { user: *user, emoji, created_at: *at, cursor: Cursor(*place).to_string() }
    }
}

/// The time of a message's last edit.
#[derive(Serialize, ToSchema)]
#[schema(as = EditedMessage)]
pub(crate) struct EditedBody {
    /// `null` if nothing was to be changed and the message was never edited.
    #[schema(required)]
    pub(super) edited_at: Option<Timestamp>,
}
