//! The calls for the data of one person: what the server holds of them, and their erasure.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::table::{Call, call};
use super::users::not_found;
use crate::domain::{ChatId, Command, ErasedMessages, Seq, Timestamp, UserId};
use crate::engine::Engine;
use crate::http::admission::{KeyNeed, Rule};
use crate::http::answer::bodies::{MessageBody, RevisionBody, UserBody};
use crate::http::answer::lines::{self, Lines};
use crate::http::answer::problem::Problem;
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::write::Write;
use crate::model::{ChatIndex, Model, ReactionKey, UserIndex};

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![call!(Rule::servers(KeyNeed::All), erase), call!(Rule::servers(KeyNeed::Reads), export)]
}

request! {
    /// A user to erase.
    pub(crate) struct EraseUser {
        user: UserId,
        /// What becomes of the user's messages.
        messages: ErasedMessages,
    }
}

/// Erases a user.
///
/// The name, the metadata, the memberships, the read marks and the reactions are gone at once, and so are the messages, if
/// they are to be erased. The user's tokens are revoked, and their streams end within a second. The id stays, and nobody
/// can add it to a chat again; the name is free. All of it leaves the disk with the next scrub, which begins within
/// 10 s, or after the one that is running. If the user is erased already, nothing changes, and the answer is also
/// 202; but messages that were kept can still be erased.
#[utoipa::path(
    post,
    path = "/users/erase",
    tag = "users",
    params(Key),
    request_body(content = EraseUser, example = json!({
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "messages": "erase",
    })),
    responses(
        (status = ACCEPTED, description = "The user is erased. The next scrub removes the user's data from the disk."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
    )
)]
async fn erase(write: Write<EraseUser>) -> Result<Response, Problem> {
    let command = |EraseUser { user, messages }, _: &_| Ok(Command::EraseUser { user, messages });
    let mut response = write.submit(command).await?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

request! {
    /// A user whose data are asked for.
    pub(crate) struct ExportUser {
        user: UserId,
    }
}

/// Lists all that the server holds of a user.
///
/// The answer is JSON lines: the user, then each chat that the user is or was in, with the user's messages, what is kept of
/// their earlier texts, and the user's reactions. The field `type` of a line is `user`, `chat`, `message`, `revision` or
/// `reaction`.
#[utoipa::path(
    post,
    path = "/users/export",
    tag = "users",
    request_body(content = ExportUser, example = json!({ "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43" })),
    responses(
        (status = OK, description = "The lines.", body = String, content_type = "application/jsonl"),
        refusals::OfCall,
        refusals::NoSuchUser,
    )
)]
async fn export(
    Read { engine, request: ExportUser { user }, .. }: Read<ExportUser>,
) -> Result<Response, Problem> {
    let found = engine.read(|model| Some((model.user(user)?, model.position())));
    let (index, position) = found.ok_or_else(|| not_found(user))?;
    Ok(lines::respond(position, ExportedUser { engine, user: index, chats: None, place: None }))
}

/// A line of an export.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    User(UserBody<'a>),
    Chat {
        chat: ChatId,
        name: Option<&'a str>,
        /// Whether the user is a member.
        member: bool,
        /// The last message that the user has read.
        read: Seq,
    },
    Message(MessageBody<'a>),
    Revision {
        chat: ChatId,
        seq: Seq,
        #[serde(flatten)]
        revision: RevisionBody<'a>,
    },
    Reaction {
        chat: ChatId,
        seq: Seq,
        emoji: &'a str,
        created_at: Timestamp,
    },
}

/// All that the model holds of a user, read from it a little at a time.
struct ExportedUser {
    engine: Arc<Engine>,
    user: UserIndex,
    /// The chats that are left; `None` before the first line.
    chats: Option<std::vec::IntoIter<ChatIndex>>,
    /// The chat that is being listed.
    place: Option<(ChatIndex, Place)>,
}

/// What of a chat comes next.
#[derive(Clone, Copy)]
enum Place {
    /// Messages from this one on.
    Messages(Seq),
    /// Reactions after this one.
    Reactions(Option<ReactionKey>),
}

impl Lines for ExportedUser {
    fn next_lines(&mut self, out: &mut Vec<u8>) -> bool {
        let engine = Arc::clone(&self.engine);
        let Some(chats) = &mut self.chats else {
            let (user, chats) =
                engine.read(|model| (model.user_view(self.user), model.chats_ever_of(self.user)));
            lines::push(out, &Line::User(UserBody::from(&user)));
            self.chats = Some(chats.into_iter());
            return true;
        };
        self.place = match self.place {
            None => {
                let Some(chat) = chats.next() else { return false };
                engine.read(|model| push_chat(model, self.user, chat, out));
                Some((chat, Place::Messages(Seq(1))))
            }
            Some((chat, Place::Messages(from))) => Some((chat, self.push_messages(chat, from, out))),
            Some((chat, Place::Reactions(after))) => {
                self.push_reactions(chat, after, out).map(|place| (chat, place))
            }
        };
        true
    }
}

fn push_chat(model: &Model, user: UserIndex, chat: ChatIndex, out: &mut Vec<u8>) {
    let view = model.view(None, model.listed(chat));
    let (member, read) = (model.has_member(chat, user), model.mark_of(chat, user));
    lines::push(out, &Line::Chat { chat: view.id, name: view.name.as_deref(), member, read });
}

impl ExportedUser {
    /// Lists the user's messages of the next run, and returns what comes next.
    fn push_messages(&self, chat: ChatIndex, from: Seq, out: &mut Vec<u8>) -> Place {
        let Self { ref engine, user, .. } = *self;
        let found = engine
            .read(|model| Some((model.run_by(chat, user, from)?, model.chat_id(chat), model.user_id(user))));
        let Some((run, chat_id, author)) = found else { return Place::Reactions(None) };
        let mut next = from;
        for message in run.messages() {
            next = Seq(message.seq.0 + 1);
            if message.author != author {
                continue;
            }
            lines::push(out, &Line::Message(MessageBody::new(chat_id, &message, None)));
            if message.extras.is_none() {
                continue;
            }
            let (chat, seq) = (chat_id, message.seq);
            let revisions = engine.read(|model| model.chat(chat).map(|chat| model.revisions(chat, seq)));
            for revision in revisions.iter().flatten() {
                lines::push(out, &Line::Revision { chat, seq, revision: RevisionBody::from(revision) });
            }
        }
        Place::Messages(next)
    }

    /// Lists the user's next reactions, and returns what comes next, if there may be more.
    fn push_reactions(
        &self,
        chat: ChatIndex,
        after: Option<ReactionKey>,
        out: &mut Vec<u8>,
    ) -> Option<Place> {
        /// Reactions that are looked at under one hold of the lock.
        const LOOKS_MAX: usize = 4096;
        let (id, (reactions, next)) = self
            .engine
            .read(|model| (model.chat_id(chat), model.reactions_by(chat, self.user, after, LOOKS_MAX)));
        for reaction in &reactions {
            let (seq, emoji, created_at) = (reaction.seq, &*reaction.emoji, reaction.at);
            lines::push(out, &Line::Reaction { chat: id, seq, emoji, created_at });
        }
        next.map(|next| Place::Reactions(Some(next)))
    }
}
