//! The calls under `/messages/reactions`.

use axum::response::Response;

use super::table::{Call, call};
use crate::access::Scope;
use crate::domain::{ChatId, Command, Emoji, MessageField, Reaction, Refusal, Seq, UserField};
use crate::http::admission::{Caller, KeyNeed, Rule};
use crate::http::answer;
use crate::http::answer::bodies::ListedReactionBody;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::cursor::{Cursor, ReactionCursor};
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::value::{ActingUser, Limit};
use crate::http::request::write::Write;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), add),
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), remove),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotAMember]), get),
    ]
}

request! {
    /// A reaction of a member to a message.
    pub(crate) struct React {
        chat: ChatId,
        seq: Seq,
        user: ActingUser,
        emoji: Emoji,
    }
}

impl React {
    fn by(self, caller: &Caller) -> Result<Box<Reaction>, Problem> {
        let Self { chat, seq, user, emoji } = self;
        Ok(Box::new(Reaction { chat, seq, user: user.of(caller, "user")?, emoji }))
    }
}

/// Adds a reaction to a message.
///
/// A user may react to a message with 20 emoji, and a message may have 100. If the reaction is there, nothing changes, and
/// the answer is also 204.
#[utoipa::path(
    post,
    path = "/messages/reactions/add",
    tag = "messages",
    params(Key),
    request_body(content = React, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
        "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
        "emoji": "👍",
    })),
    responses(
        (status = NO_CONTENT, description = "The reaction is there."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotAMember,
        refusals::NoReactions,
    )
)]
async fn add(write: Write<React>) -> Result<Response, Problem> {
    write.submit(|reaction: React, caller| Ok(Command::AddReaction(reaction.by(caller)?))).await
}

/// Removes a reaction from a message.
///
/// If it is not there, nothing changes, and the answer is also 204.
#[utoipa::path(
    post,
    path = "/messages/reactions/remove",
    tag = "messages",
    params(Key),
    request_body(content = React, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
        "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
        "emoji": "👍",
    })),
    responses(
        (status = NO_CONTENT, description = "The reaction is not there."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotAMember,
        refusals::MessageDeleted,
    )
)]
async fn remove(write: Write<React>) -> Result<Response, Problem> {
    write.submit(|reaction: React, caller| Ok(Command::RemoveReaction(reaction.by(caller)?))).await
}

request! {
    /// A request for the reactions to a message, or for a page of them.
    pub(crate) struct GetReactions {
        chat: ChatId,
        seq: Seq,
        /// Only the reactions with this emoji.
        emoji: Option<Emoji>,
        limit: Option<Limit>,
        /// The list continues after the reaction that had this cursor.
        cursor: Option<ReactionCursor>,
    }
}

/// Lists the reactions to a message, emoji by emoji.
#[utoipa::path(
    post,
    path = "/messages/reactions/get",
    tag = "messages",
    request_body(content = GetReactions, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
    })),
    responses(
        (
            status = OK,
            description = "The reactions; `[]` if there are none.",
            body = [ListedReactionBody],
            example = json!([
                {
                    "user": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                    "emoji": "👍",
                    "created_at": "2026-11-23T15:04:07.120045Z",
                    "cursor": "0000000000000001bc6de3bd",
                },
            ]),
        ),
        refusals::OfCall,
        refusals::NoSuchMessage,
        refusals::NotAMember,
    )
)]
async fn get(Read { engine, caller, request }: Read<GetReactions>) -> Result<Response, Problem> {
    let GetReactions { chat, seq, emoji, limit, cursor } = request;
    let limit = limit.map_or(usize::MAX, |Limit(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
    let after = cursor.map(|Cursor(place)| place);
    let (position, reactions) = engine.read(|model| {
        let index = model.chat(chat).ok_or(Refusal::ChatNotFound { chat })?;
        let last = model.newest_seq(index);
        if !(Seq(1)..=last).contains(&seq) {
            return Err(Refusal::MessageNotFound { chat, seq, field: MessageField::Seq });
        }
        if let Some(user) = caller.user().filter(|user| !model.has_member(index, user.index)) {
            return Err(Refusal::NotAMember { chat, user: user.id, field: UserField::Caller });
        }
        let reactions = model.reactions_after(index, seq, emoji.as_deref(), after, limit);
        Ok((model.position(), reactions))
    })?;
    let reactions: Vec<_> = reactions.iter().map(ListedReactionBody::from).collect();
    Ok(answer::at(position, answer::json(&reactions)))
}
