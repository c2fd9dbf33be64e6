//! `/chats/…`

use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::array::{self, Pieces};
use super::cursor::{self, Cursor};
use super::fields::{Fields, Object};
use super::json::Json;
use super::messages::{LIMIT, MessageBody};
use super::problem::Problem;
use super::write::{AddedBody, Key, Write, submit};
use super::{refusals, schema, users};
use crate::domain::{ChatId, ChatName, Command, Seq, Timestamp, UserId};
use crate::engine::Engine;
use crate::model::{ChatView, ListedChat, UserIndex};

/// A chat to be made.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddChat {
    name: ChatName,
    /// Its first members, in this order. There is no other limit than the body's; repeated ids count once.
    #[schema(min_items = 1)]
    users: Vec<UserId>,
}

impl Fields for AddChat {
    const NAMES: &'static [&'static str] = &["name", "users"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { name: object.required("name")?, users: object.required("users")? })
    }
}

/// Makes a chat, with its first members.
#[utoipa::path(
    post,
    path = "/chats/add",
    tag = "chats",
    params(Key),
    request_body = AddChat,
    responses(
        (status = CREATED, description = "The chat is made.", body = AddedBody),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
        refusals::ChatNameTaken,
    )
)]
pub(super) async fn add(Write { engine, fields, key }: Write<AddChat>) -> Result<Response, Problem> {
    let AddChat { name, users } = fields;
    submit(&engine, Command::AddChat { name, users }, key).await
}

/// A chat and a user of it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Membership {
    chat: ChatId,
    user: UserId,
}

impl Fields for Membership {
    const NAMES: &'static [&'static str] = &["chat", "user"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { chat: object.required("chat")?, user: object.required("user")? })
    }
}

/// Puts a user into a chat.
///
/// Whoever joins late has all the earlier messages unread. A member is none the more one: nothing changes, and it is
/// 204 too.
#[utoipa::path(
    post,
    path = "/chats/users/add",
    tag = "chats",
    params(Key),
    request_body = Membership,
    responses(
        (status = NO_CONTENT, description = "The user is a member."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
    )
)]
pub(super) async fn add_user(
    Write { engine, fields: Membership { chat, user }, key }: Write<Membership>,
) -> Result<Response, Problem> {
    submit(&engine, Command::AddMember { chat, user }, key).await
}

/// Takes a user out of a chat.
///
/// They can no longer send and no longer see the chat; what they wrote stays, and so does their read mark. Where the
/// user is no member, nothing changes, and it is 204 too.
#[utoipa::path(
    post,
    path = "/chats/users/remove",
    tag = "chats",
    params(Key),
    request_body = Membership,
    responses(
        (status = NO_CONTENT, description = "The user is no member."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
    )
)]
pub(super) async fn remove_user(
    Write { engine, fields: Membership { chat, user }, key }: Write<Membership>,
) -> Result<Response, Problem> {
    submit(&engine, Command::RemoveMember { chat, user }, key).await
}

/// How far a user has read a chat.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkRead {
    chat: ChatId,
    user: UserId,
    /// The last message that was read. 0 changes nothing; beyond the last message of the chat is 400.
    seq: Seq,
}

impl Fields for MarkRead {
    const NAMES: &'static [&'static str] = &["chat", "user", "seq"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self {
            chat: object.required("chat")?,
            user: object.required("user")?,
            seq: Seq(object.required_number("seq", 0..=u64::MAX)?),
        })
    }
}

/// Says how far a user has read a chat.
///
/// The mark never moves back: where a later message was read before, nothing changes, and it is 204 too. It outlives
/// a removal.
#[utoipa::path(
    post,
    path = "/chats/read",
    tag = "chats",
    params(Key),
    request_body = MarkRead,
    responses(
        (status = NO_CONTENT, description = "The user has read so far, or further."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::NotAMember,
    )
)]
pub(super) async fn read(
    Write { engine, fields: MarkRead { chat, user, seq }, key }: Write<MarkRead>,
) -> Result<Response, Problem> {
    submit(&engine, Command::MarkRead { chat, user, seq }, key).await
}

/// Which of a user's chats are wanted.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetChats {
    user: UserId,
    #[schema(schema_with = schema::limit, required = false)]
    limit: Option<u64>,
    /// Goes on after the chat that had it; one that gets a message meanwhile may be missed, never repeated.
    cursor: Option<Cursor>,
}

impl Fields for GetChats {
    const NAMES: &'static [&'static str] = &["user", "limit", "cursor"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self {
            user: object.required("user")?,
            limit: object.optional_number("limit", LIMIT)?,
            cursor: object.optional("cursor")?,
        })
    }
}

/// Lists a user's chats, the one with the latest message first.
///
/// Chats without messages come after all others, the newest of them first. Nothing but a message moves a chat up.
#[utoipa::path(
    post,
    path = "/chats/get",
    tag = "chats",
    request_body = GetChats,
    responses(
        (status = OK, description = "The chats; `[]` where there are none.", body = [ChatBody]),
        refusals::OfCall,
        refusals::NoSuchUser,
    )
)]
pub(super) async fn get(Json { engine, fields: request }: Json<GetChats>) -> Result<Response, Problem> {
    let limit = request.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let below = request.cursor.map(|Cursor(rank)| rank);
    let user = engine.read(|model| {
        if let Some(below) = below.filter(|below| below.position() > model.position()) {
            return Err(cursor::not_ours(&Cursor(below).to_string()));
        }
        model.user(request.user).ok_or_else(|| users::not_found(request.user))
    })?;
    let listed = engine.list_chats(user, below, limit);
    Ok(array::respond(ListedChats { engine, user, listed: listed.into_iter() }))
}

/// A chat, as a member sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Chat)]
pub(super) struct ChatBody<'a> {
    id: ChatId,
    #[schema(value_type = ChatName)]
    name: &'a str,
    /// Its members, in the order in which they came.
    users: &'a [UserId],
    created_at: Timestamp,
    /// Null where nothing was said.
    #[schema(required)]
    last_message: Option<MessageBody<'a>>,
    /// How many messages others have sent since this user's read mark.
    #[schema(examples(2))]
    unread: u64,
    #[schema(value_type = Cursor)]
    cursor: String,
}

impl<'a> ChatBody<'a> {
    pub(super) fn new(chat: &'a ChatView) -> Self {
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

/// Chats, a few at a time.
struct ListedChats {
    engine: Arc<Engine>,
    user: UserIndex,
    listed: std::vec::IntoIter<ListedChat>,
}

impl Pieces for ListedChats {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        /// So many are copied under one hold of the lock,
        const VIEWS_MAX: usize = 64;
        /// and none after those that have so many members, so that what is in memory at once is not long.
        const MEMBERS_MAX: usize = 1_000;
        let (mut views, mut members) = (Vec::new(), 0);
        self.engine.read(|model| {
            while views.len() < VIEWS_MAX && members < MEMBERS_MAX {
                let Some(listed) = self.listed.next() else { break };
                let view = model.view(self.user, listed);
                members += view.users.len();
                views.push(view);
            }
        });
        for chat in &views {
            array::push(out, &ChatBody::new(chat));
        }
    }
}
