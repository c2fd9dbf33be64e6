//! The calls that change messages: edits, deletions, and the revisions that an edit leaves.

use axum::response::Response;

use super::table::{Call, call};
use crate::access::Scope;
use crate::domain::{ChatId, Command, MessageEdit, MessageField, Metadata, Refusal, Seq, Text, UserId};
use crate::http::admission::{Caller, KeyNeed, Rule};
use crate::http::answer;
use crate::http::answer::bodies::{EditedBody, RevisionBody};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::openapi::schema::Exclusive;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::write::Write;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), edit),
        call!(
            Rule::users(KeyNeed::All, &[Scope::Write], &[Code::ServerKeyRequired, Code::NotYourself]),
            delete
        ),
        call!(Rule::servers(KeyNeed::Reads), revisions),
    ]
}

request! {
    /// What is to change of a message.
    pub(crate) struct EditMessage {
        chat: ChatId,
        seq: Seq,
        /// The author, who must be a member. If it is missing, the application edits, which may edit every message. A
        /// user's token may leave it out, and then names its own user.
        user: Option<UserId>,
        /// The new text.
        text: Option<Text>,
        /// The new metadata, which replaces the old.
        metadata: Option<Metadata>,
    }
    const EXCLUSIVE: Option<Exclusive> = Some(Exclusive::AtLeastOneOf(&["text", "metadata"]));
}

/// Edits a message.
///
/// The message keeps its place. If the edit changes nothing, the answer is the time of the last edit before, or `null`.
#[utoipa::path(
    post,
    path = "/messages/edit",
    tag = "messages",
    params(Key),
    request_body(content = EditMessage, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "text": "The kettle is on.",
    })),
    responses(
        (
            status = OK,
            description = "The message has this text and metadata.",
            body = EditedBody,
            example = json!({ "edited_at": "2026-11-23T15:05:11.034112Z" }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotTheAuthor,
        refusals::MessageDeleted,
    )
)]
async fn edit(write: Write<EditMessage>) -> Result<Response, Problem> {
    let command = |EditMessage { chat, seq, user, text, metadata }, caller: &Caller| {
        let user = caller.acting_for_any(user, "user")?;
        Ok(Command::EditMessage(Box::new(MessageEdit { chat, seq, user, text, metadata })))
    };
    write.submit(command).await
}

request! {
    /// A message to delete.
    pub(crate) struct DeleteMessage {
        chat: ChatId,
        seq: Seq,
        /// The author, or a member whose token has the scope `moderate`. If it is missing, the application deletes, which
        /// may delete every message. A user's token may leave it out, and then names its own user.
        user: Option<UserId>,
        /// Whether it leaves the disk with the next scrub, and not after `--keep-deleted-days`. Only for server keys.
        erase: Option<bool>,
    }
}

/// Deletes a message.
///
/// Its place stays, with an empty text and `deleted_at`; it no longer counts as unread. If it is deleted already, nothing
/// changes, and the answer is also 204.
///
/// With `erase`, what was written leaves the disk with the next scrub, which begins within 10 s, or after the one that is
/// running. That may also be asked for after a deletion.
#[utoipa::path(
    post,
    path = "/messages/delete",
    tag = "messages",
    params(Key),
    request_body(content = DeleteMessage, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
    })),
    responses(
        (status = NO_CONTENT, description = "The message is deleted."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotTheAuthor,
    )
)]
async fn delete(write: Write<DeleteMessage>) -> Result<Response, Problem> {
    let command = |DeleteMessage { chat, seq, user, erase }, caller: &Caller| {
        let (user, erase) = (caller.acting_for_any(user, "user")?, erase.unwrap_or(false));
        if erase && caller.user().is_some() {
            let detail = "`erase` needs a server key";
            return Err(Problem::new(Code::ServerKeyRequired, detail).blaming("erase"));
        }
        let is_moderator = caller.user().is_some_and(|caller| caller.has(Scope::Moderate));
        Ok(Command::DeleteMessage { chat, seq, user, is_moderator, erase })
    };
    write.submit(command).await
}

request! {
    /// A message whose earlier texts are asked for.
    pub(crate) struct GetRevisions {
        chat: ChatId,
        seq: Seq,
    }
}

/// Lists the earlier texts of a message, oldest first, while they are kept.
///
/// The present text is not among them. Of more than 100, the oldest are gone.
#[utoipa::path(
    post,
    path = "/messages/revisions/get",
    tag = "messages",
    request_body(content = GetRevisions, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "seq": 1,
    })),
    responses(
        (
            status = OK,
            description = "The earlier texts; `[]` if there are none.",
            body = [RevisionBody],
            example = json!([{ "text": "Kettle is on.", "at": "2026-11-23T15:04:05.412873Z" }]),
        ),
        refusals::OfCall,
        refusals::NoSuchMessage,
    )
)]
async fn revisions(Read { engine, request, .. }: Read<GetRevisions>) -> Result<Response, Problem> {
    let GetRevisions { chat, seq } = request;
    let (position, revisions) = engine.read(|model| {
        let index = model.chat(chat).ok_or(Refusal::ChatNotFound { chat })?;
        let last = model.newest_seq(index);
        if !(Seq(1)..=last).contains(&seq) {
            return Err(Refusal::MessageNotFound { chat, seq, field: MessageField::Seq });
        }
        Ok((model.position(), model.revisions(index, seq)))
    })?;
    let revisions: Vec<_> = revisions.iter().map(RevisionBody::from).collect();
    Ok(answer::at(position, answer::json(&revisions)))
}
