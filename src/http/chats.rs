//! `/chats/…`

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Ready;
use super::array::{self, Pieces};
use super::cursor::{self, Cursor};
use super::fields::{Fields, Object};
use super::json::Json;
use super::messages::{LIMIT, MessageBody};
use super::problem::{Code, Problem};
use super::users::Added;
use super::write::Created;
use crate::domain::{ChatId, ChatName, Command, Timestamp, UserId};
use crate::engine::Engine;
use crate::model::{ChatView, ListedChat, Rank};

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

pub(super) async fn add(
    Ready(engine): Ready,
    Json(request): Json<AddChat>,
) -> Result<impl IntoResponse, Problem> {
    let AddChat { name, users } = request;
    let receipt = engine.submit(Command::AddChat { name, users }).await?;
    Ok(Created { position: receipt.position, body: Added { id: receipt.id } })
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
    let listed = engine.read(|model| {
        if request.below.is_some_and(|below| below.position() > model.position()) {
            return Err(cursor::not_ours());
        }
        let user = model.user(request.user).ok_or_else(|| {
            let detail = format!("there is no user {}", request.user);
            Problem::new(Code::UserNotFound, detail).blaming("user")
        })?;
        Ok(model.list_chats(user, request.below, limit))
    })?;
    Ok(array::respond(ListedChats { engine, listed: listed.into_iter() }))
}

/// A chat, as a member sees it.
#[derive(Serialize)]
struct ChatBody<'a> {
    id: ChatId,
    name: &'a str,
    users: &'a [UserId],
    created_at: Timestamp,
    last_message: Option<MessageBody<'a>>,
    cursor: String,
}

impl<'a> ChatBody<'a> {
    fn new(chat: &'a ChatView) -> Self {
        let last = chat.last_message.as_ref().and_then(|run| run.messages().next());
        Self {
            id: chat.id,
            name: &chat.name,
            users: &chat.users,
            created_at: chat.created_at,
            last_message: last.map(|message| MessageBody::new(chat.id, &message)),
            cursor: Cursor(chat.rank).to_string(),
        }
    }
}

/// Chats, a few at a time.
struct ListedChats {
    engine: Arc<Engine>,
    listed: std::vec::IntoIter<ListedChat>,
}

impl Pieces for ListedChats {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        /// So many are copied under one hold of the lock.
        const VIEWS_MAX: usize = 64;
        let listed: Vec<_> = self.listed.by_ref().take(VIEWS_MAX).collect();
        let views: Vec<_> =
            self.engine.read(|model| listed.into_iter().map(|listed| model.view(listed)).collect());
        for chat in &views {
            array::push(out, &ChatBody::new(chat));
        }
    }
}
