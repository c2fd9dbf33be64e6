//! The calls under `/chats`.

use std::sync::Arc;

use axum::response::Response;

use super::table::{Call, call};
use super::users;
use crate::access::Scope;
use crate::domain::{ChatId, ChatName, Command, Metadata, Refusal, Seq, UserField, UserId};
use crate::engine::Engine;
use crate::http::admission::{Caller, KeyNeed, Rule};
use crate::http::answer;
use crate::http::answer::bodies::{AddedBody, ChatBody, ReadMarkBody, ShownChatBody};
use crate::http::answer::codes::Code;
use crate::http::answer::list::{self, Pieces};
use crate::http::answer::problem::Problem;
use crate::http::cursor::{ChatCursor, Cursor};
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::openapi::schema::Exclusive;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::value::{ActingUser, Limit, TwoUsers, foreign_cursor};
use crate::http::request::write::Write;
use crate::model::{ListedChat, UserIndex};

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![
        call!(Rule::users(KeyNeed::All, &[Scope::Chats], &[Code::NotYourself]), add),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotYourself]), get),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotYourself]), show),
        call!(Rule::users(KeyNeed::All, &[Scope::Chats], &[Code::NotAMember]), add_user),
        call!(Rule::users(KeyNeed::All, &[], &[Code::NotYourself, Code::NotAMember]), remove_user),
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), read),
        call!(Rule::users(KeyNeed::All, &[Scope::Chats], &[Code::NotYourself]), add_direct),
        call!(Rule::users(KeyNeed::All, &[Scope::Chats], &[Code::NotAMember]), edit),
    ]
}

request! {
    /// A chat to create.
    pub(crate) struct AddChat {
        /// The name. A chat may have none.
        name: Option<ChatName>,
        /// The first members, in this order. Only the length of the body limits their number. A repeated id
        /// counts once.
        users: Vec<UserId>,
    }
}

/// Creates a chat with its first members.
#[utoipa::path(
    post,
    path = "/chats/add",
    tag = "chats",
    params(Key),
    request_body(content = AddChat, example = json!({
        "name": "tea",
        "users": ["01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", "01a20aa4-0a09-74de-9d72-3ca94e1ae31f"],
    })),
    responses(
        (
            status = CREATED,
            description = "The chat is created.",
            body = AddedBody,
            example = json!({ "id": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5" }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
        refusals::ChatNameTakenOrUserErased,
    )
)]
async fn add(write: Write<AddChat>) -> Result<Response, Problem> {
    let command = |AddChat { name, users }, caller: &Caller| {
        if let Some(user) = caller.user().filter(|user| !users.contains(&user.id)) {
            return Err(user.not_yourself("makes only chats whose users hold that user", "users"));
        }
        Ok(Command::AddChat { name, users })
    };
    write.submit(command).await
}

request! {
    /// The users of a direct chat.
    pub(crate) struct AddDirectChat {
        /// The two users, in any order.
        users: TwoUsers,
    }
}

/// Creates the direct chat of two users, unless they have one.
///
/// It has no name, nobody else can join it, and neither of the two can leave it. Two users have at most one, for ever.
#[utoipa::path(
    post,
    path = "/chats/direct",
    tag = "chats",
    params(Key),
    request_body(content = AddDirectChat, example = json!({
        "users": ["01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", "01a20aa4-0a09-74de-9d72-3ca94e1ae31f"],
    })),
    responses(
        (
            status = CREATED,
            description = "The chat is created.",
            body = AddedBody,
            example = json!({ "id": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5" }),
        ),
        (
            status = OK,
            description = "The two have this chat.",
            body = AddedBody,
            example = json!({ "id": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5" }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
        refusals::UserErased,
    )
)]
async fn add_direct(write: Write<AddDirectChat>) -> Result<Response, Problem> {
    let command = |AddDirectChat { users: TwoUsers(users) }, caller: &Caller| {
        if let Some(user) = caller.user().filter(|user| !users.contains(&user.id)) {
            return Err(user.not_yourself("makes only chats whose users hold that user", "users"));
        }
        Ok(Command::AddDirectChat { users })
    };
    write.submit(command).await
}

request! {
    /// What is to change of a chat.
    pub(crate) struct EditChat {
        chat: ChatId,
        /// The new name. A direct chat has none.
        name: Option<ChatName>,
        /// The new metadata, which replaces the old.
        metadata: Option<Metadata>,
    }
    const EXCLUSIVE: Option<Exclusive> = Some(Exclusive::AtLeastOneOf(&["name", "metadata"]));
}

/// Edits a chat.
#[utoipa::path(
    post,
    path = "/chats/edit",
    tag = "chats",
    params(Key),
    request_body(content = EditChat, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "name": "coffee",
        "metadata": { "order": 4711 },
    })),
    responses(
        (status = NO_CONTENT, description = "The chat has this name and metadata."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchChat,
        refusals::ChatNameTakenOrDirect,
    )
)]
async fn edit(write: Write<EditChat>) -> Result<Response, Problem> {
    write.submit(|EditChat { chat, name, metadata }, _| Ok(Command::EditChat { chat, name, metadata })).await
}

request! {
    /// A chat and a user of it.
    pub(crate) struct Membership {
        chat: ChatId,
        user: UserId,
    }
}

/// Adds a user to a chat.
///
/// For a user who joins late, all earlier messages are unread. If the user is already a member, nothing
/// changes, and the answer is also 204.
#[utoipa::path(
    post,
    path = "/chats/users/add",
    tag = "chats",
    params(Key),
    request_body(content = Membership, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
    })),
    responses(
        (status = NO_CONTENT, description = "The user is a member."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::DirectChatOrUserErased,
    )
)]
async fn add_user(write: Write<Membership>) -> Result<Response, Problem> {
    write.submit(|Membership { chat, user }, _| Ok(Command::AddMember { chat, user })).await
}

/// Removes a user from a chat.
///
/// The user can no longer see the chat or send to it. The user's messages and read mark stay. If the user is
/// not a member, nothing changes, and the answer is also 204.
#[utoipa::path(
    post,
    path = "/chats/users/remove",
    tag = "chats",
    params(Key),
    request_body(content = Membership, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
    })),
    responses(
        (status = NO_CONTENT, description = "The user is not a member."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::DirectChat,
    )
)]
async fn remove_user(write: Write<Membership>) -> Result<Response, Problem> {
    let command = |Membership { chat, user }, caller: &Caller| {
        if let Some(by) = caller.user().filter(|by| by.id != user && !by.has(Scope::Moderate)) {
            return Err(by.not_yourself("removes others only with the scope moderate", "user"));
        }
        Ok(Command::RemoveMember { chat, user })
    };
    write.submit(command).await
}

request! {
    /// A user's read mark in a chat.
    pub(crate) struct MarkRead {
        chat: ChatId,
        user: ActingUser,
        /// The `seq` of the last message that was read. 0 changes nothing. A `seq` beyond the chat's last
        /// message is 400.
        seq: Seq,
    }
}

/// Moves a user's read mark in a chat.
///
/// The mark never moves back: if it is already at a later message, nothing changes, and the answer is also
/// 204. The mark is kept when the user is removed from the chat.
#[utoipa::path(
    post,
    path = "/chats/read",
    tag = "chats",
    params(Key),
    request_body(content = MarkRead, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "seq": 3,
    })),
    responses(
        (status = NO_CONTENT, description = "The user has read up to this message, or further."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::NotAMember,
    )
)]
async fn read(write: Write<MarkRead>) -> Result<Response, Problem> {
    let command = |MarkRead { chat, user, seq }, caller: &Caller| {
        Ok(Command::MarkRead { chat, user: user.of(caller, "user")?, seq })
    };
    write.submit(command).await
}

request! {
    /// A request for a user's chats, or for a page of them.
    pub(crate) struct GetChats {
        user: ActingUser,
        limit: Option<Limit>,
        /// The list continues after the chat that had this cursor. A chat that gets a message meanwhile may
        /// be missed, but is never repeated.
        cursor: Option<ChatCursor>,
    }
}

/// Lists a user's chats, the one with the latest message first.
///
/// Chats without messages come after all others, the newest of them first. Only a message moves a chat up.
#[utoipa::path(
    post,
    path = "/chats/get",
    tag = "chats",
    request_body(content = GetChats, example = json!({
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "limit": 50,
    })),
    responses(
        (
            status = OK,
            description = "The chats; `[]` if there are none.",
            body = [ChatBody],
            example = json!([
                {
                    "id": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                    "name": "tea",
                    "users": ["01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", "01a20aa4-0a09-74de-9d72-3ca94e1ae31f"],
                    "created_at": "2026-11-23T15:04:05.301200Z",
                    "last_message": {
                        "id": "01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02",
                        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                        "author": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                        "text": "Milk?",
                        "created_at": "2026-11-23T15:04:06.234567Z",
                        "seq": 3,
                    },
                    "unread": 2,
                    "cursor": "800000000000000633c8d336",
                },
            ]),
        ),
        refusals::OfCall,
        refusals::NoSuchUser,
    )
)]
async fn get(Read { engine, caller, request }: Read<GetChats>) -> Result<Response, Problem> {
    let reader = request.user.of(&caller, "user")?;
    let limit = request.limit.map_or(usize::MAX, |Limit(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
    let below = request.cursor.map(|Cursor(rank)| rank);
    let (position, user) = engine.read(|model| {
        if let Some(below) = below.filter(|below| below.position() > model.position()) {
            return Err(foreign_cursor(&Cursor(below).to_string()));
        }
        let user = model.user(reader).ok_or_else(|| users::not_found(reader))?;
        Ok((model.position(), user))
    })?;
    let listed = engine.list_chats(user, below, limit);
    Ok(list::respond(position, ListedChats { engine, user, listed: listed.into_iter() }))
}

request! {
    /// A chat to look up.
    pub(crate) struct ShowChat {
        chat: ChatId,
        /// A member. With it, the answer holds the number of messages that are unread for this user. A user's token
        /// may leave it out.
        user: Option<UserId>,
    }
}

/// Looks up a chat, with its members' read marks.
#[utoipa::path(
    post,
    path = "/chats/show",
    tag = "chats",
    request_body(content = ShowChat, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
    })),
    responses(
        (
            status = OK,
            description = "The chat.",
            body = ShownChatBody,
            example = json!({
                "id": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                "name": "tea",
                "users": ["01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", "01a20aa4-0a09-74de-9d72-3ca94e1ae31f"],
                "created_at": "2026-11-23T15:04:05.301200Z",
                "last_message": {
                    "id": "01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02",
                    "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                    "author": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                    "text": "Milk?",
                    "created_at": "2026-11-23T15:04:06.234567Z",
                    "seq": 3,
                },
                "unread": 0,
                "cursor": "800000000000000633c8d336",
                "read_marks": [{ "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", "seq": 3 }],
            }),
        ),
        refusals::OfCall,
        refusals::NoSuchUserOrChat,
        refusals::NotAMember,
    )
)]
async fn show(
    Read { engine, caller, request: ShowChat { chat, user } }: Read<ShowChat>,
) -> Result<Response, Problem> {
    // No field names a user who leaves it out.
    let field = if user.is_some() { UserField::User } else { UserField::Caller };
    let user = match caller.user() {
        Some(_) => Some(caller.acting_for(user, "user")?),
        None => user,
    };
    let (position, index, view) = engine.read(|model| {
        let index = model.chat(chat).ok_or(Refusal::ChatNotFound { chat })?;
        let reader =
            user.map(|user| model.user(user).ok_or(Refusal::UserNotFound { user, field: UserField::User }));
        let reader = reader.transpose()?;
        if let Some(user) = user.filter(|_| reader.is_some_and(|reader| !model.has_member(index, reader))) {
            return Err(Refusal::NotAMember { chat, user, field });
        }
        Ok((model.position(), index, model.view(reader, model.listed(index))))
    })?;
    let marks = engine.read_marks(index).into_iter();
    let marks: Vec<_> = marks.map(|(user, seq)| ReadMarkBody { user, seq }).collect();
    let body = ShownChatBody::new(&view, user.is_some(), &marks);
    Ok(answer::at(position, answer::json(&body)))
}

/// The chats of a list, read from the model a few at a time.
struct ListedChats {
    engine: Arc<Engine>,
    user: UserIndex,
    listed: std::vec::IntoIter<ListedChat>,
}

impl Pieces for ListedChats {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        /// Maximum number of chats that are looked at under one hold of the lock.
        const VIEWS_MAX: usize = 64;
        /// Number of members after which no more chats are copied: it bounds the memory of a piece.
        const MEMBERS_MAX: usize = 1_000;
        let mut views = Vec::new();
        // A piece without a chat would be the end of the list.
        while views.is_empty() && self.listed.len() > 0 {
            self.engine.read(|model| {
                let (mut looked, mut members) = (0, 0);
                while looked < VIEWS_MAX && members < MEMBERS_MAX {
                    let Some(listed) = self.listed.next() else { break };
                    looked += 1;
                    // A client may read slowly, and the user may have left the chat meanwhile.
                    if model.is_member_of_listed(self.user, &listed) {
                        let view = model.view(Some(self.user), listed);
                        members += view.users.len();
                        views.push(view);
                    }
                }
            });
        }
        for chat in &views {
            list::push(out, &ChatBody::from(chat));
        }
    }
}
