//! `/chats/…`

use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;

use super::Ready;
use super::array::{self, Pieces};
use super::cursor::{self, Cursor};
use super::fields::{Fields, Object};
use super::json::Json;
use super::messages::{LIMIT, MessageBody};
use super::problem::Problem;
use super::users;
use super::write::{Write, submit};
use crate::domain::{ChatId, ChatName, Command, Seq, Timestamp, UserId};
use crate::engine::Engine;
use crate::model::{ChatView, ListedChat, Rank, UserIndex};

pub(super) struct AddChat {
    name: ChatName,
    users: Vec<UserId>,
}

impl Fields for AddChat {
    const NAMES: &'static [&'static str] = &["name", "users"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { name: object.required("name")?, users: object.required("users")? })
    }
}

pub(super) async fn add(ready: Ready, Write { fields, key }: Write<AddChat>) -> Result<Response, Problem> {
    let AddChat { name, users } = fields;
    submit(ready, Command::AddChat { name, users }, key).await
}

/// A user of a chat.
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

pub(super) async fn add_user(
    ready: Ready,
    Write { fields: Membership { chat, user }, key }: Write<Membership>,
) -> Result<Response, Problem> {
    submit(ready, Command::AddMember { chat, user }, key).await
}

pub(super) async fn remove_user(
    ready: Ready,
    Write { fields: Membership { chat, user }, key }: Write<Membership>,
) -> Result<Response, Problem> {
    submit(ready, Command::RemoveMember { chat, user }, key).await
}

pub(super) struct MarkRead {
    of: Membership,
    seq: Seq,
}

impl Fields for MarkRead {
    const NAMES: &'static [&'static str] = &["chat", "user", "seq"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { of: Membership::take(object)?, seq: Seq(object.required_number("seq", 0..=u64::MAX)?) })
    }
}

pub(super) async fn read(
    ready: Ready,
    Write { fields: MarkRead { of: Membership { chat, user }, seq }, key }: Write<MarkRead>,
) -> Result<Response, Problem> {
    submit(ready, Command::MarkRead { chat, user, seq }, key).await
}

pub(super) struct GetChats {
    user: UserId,
    limit: Option<u64>,
    below: Option<Rank>,
}

impl Fields for GetChats {
    const NAMES: &'static [&'static str] = &["user", "limit", "cursor"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self {
            user: object.required("user")?,
            limit: object.optional_number("limit", LIMIT)?,
            below: object.optional::<Cursor>("cursor")?.map(|cursor| cursor.0),
        })
    }
}

pub(super) async fn get(Ready(engine): Ready, Json(request): Json<GetChats>) -> Result<Response, Problem> {
    let limit = request.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let user = engine.read(|model| {
        if let Some(below) = request.below.filter(|below| below.position() > model.position()) {
            return Err(cursor::not_ours(&Cursor(below).to_string()));
        }
        model.user(request.user).ok_or_else(|| users::not_found(request.user))
    })?;
    let listed = engine.list_chats(user, request.below, limit);
    Ok(array::respond(ListedChats { engine, user, listed: listed.into_iter() }))
}

/// A chat, as a member sees it.
#[derive(Serialize)]
pub(super) struct ChatBody<'a> {
    id: ChatId,
    name: &'a str,
    users: &'a [UserId],
    created_at: Timestamp,
    last_message: Option<MessageBody<'a>>,
    unread: u64,
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
        /// So many are copied under one hold of the lock.
        const VIEWS_MAX: usize = 64;
        let listed: Vec<_> = self.listed.by_ref().take(VIEWS_MAX).collect();
        let views: Vec<_> = self
            .engine
            .read(|model| listed.into_iter().map(|listed| model.view(self.user, listed)).collect());
        for chat in &views {
            array::push(out, &ChatBody::new(chat));
        }
    }
}
