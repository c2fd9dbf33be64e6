//! The bodies of answers: users, chats, messages, and the results of writes.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{ChatId, ChatName, MessageId, Seq, Text, Timestamp, UserId, Username};
use crate::http::cursor::{ChatCursor, Cursor, UserCursor};
use crate::model::{ChatView, Members, Message, SentMessage, UserView};

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserBody<'a> {
    id: UserId,
    #[schema(value_type = Username)]
    username: &'a str,
    created_at: Timestamp,
}

impl<'a> From<&'a UserView> for UserBody<'a> {
    fn from(user: &'a UserView) -> Self {
        Self { id: user.id, username: &user.username, created_at: user.created_at }
    }
}

/// A user in the list of all users.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedUser)]
pub(crate) struct ListedUserBody<'a> {
    id: UserId,
    #[schema(value_type = Username)]
    username: &'a str,
    created_at: Timestamp,
    #[schema(value_type = UserCursor)]
    cursor: String,
}

impl<'a> From<&'a UserView> for ListedUserBody<'a> {
    fn from(user: &'a UserView) -> Self {
        let cursor = Cursor(user.created_at).to_string();
        Self { id: user.id, username: &user.username, created_at: user.created_at, cursor }
    }
}

/// A message, as a client sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageBody<'a> {
    id: MessageId,
    chat: ChatId,
    author: UserId,
    #[schema(value_type = Text)]
    text: &'a str,
    created_at: Timestamp,
    seq: Seq,
}

impl<'a> MessageBody<'a> {
    pub(crate) fn new(chat: ChatId, message: &Message<'a>) -> Self {
        let &Message { id, author, text, created_at, seq } = message;
        Self { id, chat, author, text, created_at, seq }
    }
}

/// A chat, as a member sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Chat)]
pub(crate) struct ChatBody<'a> {
    id: ChatId,
    #[schema(value_type = ChatName)]
    name: &'a str,
    /// The members, in the order in which they joined.
    #[serde(serialize_with = "listed")]
    #[schema(value_type = Vec<UserId>)]
    users: &'a Members,
    created_at: Timestamp,
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
    #[schema(value_type = ChatName)]
    name: &'a str,
    /// The members, in the order in which they joined.
    #[serde(serialize_with = "listed")]
    #[schema(value_type = Vec<UserId>)]
    users: &'a Members,
    created_at: Timestamp,
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
        let ChatBody { id, name, users, created_at, last_message, unread, cursor } = chat.into();
        let unread = has_reader.then_some(unread);
        Self { id, name, users, created_at, last_message, unread, cursor, read_marks }
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
            name: &chat.name,
            users: &chat.users,
            created_at: chat.created_at,
            last_message: last.map(|message| MessageBody::new(chat.id, &message)),
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
