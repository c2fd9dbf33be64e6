//! The calls under `/messages`.

use std::sync::Arc;

use axum::response::Response;

use super::table::{Call, call};
use super::users;
use crate::access::Scope;
use crate::domain::{
    self, ChatId, Command, MessageExtras, Metadata, Position, Refusal, Seq, Text, UserField, UserId,
};
use crate::engine::Engine;
use crate::http::admission::{Caller, KeyNeed, Rule};
use crate::http::answer::bodies::{MessageBody, SentBody};
use crate::http::answer::codes::Code;
use crate::http::answer::list::{self, Pieces};
use crate::http::answer::message_json::MessageJson;
use crate::http::answer::problem::Problem;
use crate::http::limits::BATCH_BODY_FACTOR;
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::openapi::schema::Exclusive;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::value::{ActingUser, Batch, ChangedAfter, Limit, Seqs};
use crate::http::request::write::Write;
use crate::model::{ChatIndex, MessageRun, Model, OwnReactions, UserIndex};

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), add),
        call!(Rule::servers(KeyNeed::All), batch),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotYourself, Code::NotAMember]), get),
    ]
}

request! {
    /// A message to send.
    pub(crate) struct AddMessage {
        chat: ChatId,
        author: ActingUser,
        text: Text,
        /// The message of the same chat that it replies to.
        reply_to: Option<Seq>,
        metadata: Option<Metadata>,
    }
}

request! {
    /// A message that is sent together with others.
    pub(crate) struct NewMessage {
        chat: ChatId,
        author: UserId,
        text: Text,
        /// The message of the same chat that it replies to. It may be one of these messages, before this one.
        reply_to: Option<Seq>,
        metadata: Option<Metadata>,
    }
}

impl From<NewMessage> for domain::NewMessage {
    fn from(NewMessage { chat, author, text, reply_to, metadata }: NewMessage) -> Self {
        Self { chat, author, text, with: MessageExtras::of(reply_to, metadata) }
    }
}

/// Sends a message.
///
/// The message is on disk before it is answered or shown to any reader.
#[utoipa::path(
    post,
    path = "/messages/add",
    tag = "messages",
    params(Key),
    request_body(content = AddMessage, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "author": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "text": "Kettle is on.",
    })),
    responses(
        (
            status = CREATED,
            description = "The message is sent.",
            body = SentBody,
            example = json!({
                "id": "01a20aa4-0a27-7f15-b8c1-2d9e60f4a7c8",
                "seq": 1,
                "created_at": "2026-11-23T15:04:05.412873Z",
            }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotAMember,
        refusals::MessageDeleted,
    )
)]
async fn add(write: Write<AddMessage>) -> Result<Response, Problem> {
    let command = |AddMessage { chat, author, text, reply_to, metadata }, caller: &Caller| {
        let (author, with) = (author.of(caller, "author")?, MessageExtras::of(reply_to, metadata));
        Ok(Command::AddMessage(domain::NewMessage { chat, author, text, with }))
    };
    write.submit(command).await
}

request! {
    /// Messages that are sent together: either all of them or none.
    pub(crate) struct AddMessages {
        messages: Batch<NewMessage>,
    }
    const BODY_FACTOR: usize = BATCH_BODY_FACTOR;
    items NewMessage;
}

/// Sends messages together, in this order: either all of them or none.
///
/// They are checked in order, and a refusal names the first invalid one (`messages[37].text`). The body may
/// be 32 times as long as that of other calls. `Chinwag-Position` is the position of the last message.
#[utoipa::path(
    post,
    path = "/messages/batch",
    tag = "messages",
    params(Key),
    request_body(content = AddMessages, example = json!({
        "messages": [
            {
                "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                "author": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                "text": "On my way!",
            },
            {
                "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                "author": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                "text": "Milk?",
            },
        ],
    })),
    responses(
        (
            status = CREATED,
            description = "All messages are sent. The answer has the order of the request.",
            body = [SentBody],
            example = json!([
                {
                    "id": "01a20aa4-0a3e-7d31-9c56-8b1f0e2d3a47",
                    "seq": 2,
                    "created_at": "2026-11-23T15:04:06.234566Z",
                },
                {
                    "id": "01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02",
                    "seq": 3,
                    "created_at": "2026-11-23T15:04:06.234567Z",
                },
            ]),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchMessage,
        refusals::NotAMember,
        refusals::MessageDeleted,
    )
)]
async fn batch(write: Write<AddMessages>) -> Result<Response, Problem> {
    let command = |AddMessages { messages: Batch(messages) }, _: &Caller| {
        Ok(Command::AddMessages(messages.into_iter().map(domain::NewMessage::from).collect()))
    };
    write.submit(command).await
}

request! {
    /// A request for messages of a chat. At most one of `after`, `before`, `seqs` and `changed_after` may be given. Without
    /// them, the answer holds the newest `limit` messages, or all. With `after`, it holds the first `limit` messages with a
    /// greater `seq`. With `before`, it holds the last `limit` messages with a smaller `seq`.
    pub(crate) struct GetMessages {
        chat: ChatId,
        /// The reader, whose own reactions are marked. A user's token may leave it out.
        user: Option<UserId>,
        limit: Option<Limit>,
        after: Option<Seq>,
        before: Option<Seq>,
        /// The messages with these `seq`. Those that there are not are left out.
        seqs: Option<Seqs>,
        /// The messages that have changed after this position, or were sent after it: each once, as it is now, in the
        /// order of their last changes, each with the `position` of that. With `limit`, the first `limit` of them, and
        /// further ones that changed at the same position.
        changed_after: Option<ChangedAfter>,
    }
    const EXCLUSIVE: Option<Exclusive> =
        Some(Exclusive::AtMostOneOf(&["after", "before", "seqs", "changed_after"]));
}

/// Lists messages of a chat, earliest first; with `changed_after`, in the order of their last changes.
///
/// Without options, the answer holds every message, as a stream.
#[utoipa::path(
    post,
    path = "/messages/get",
    tag = "messages",
    request_body(content = GetMessages, example = json!({
        "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        "after": 2,
        "limit": 50,
    })),
    responses(
        (
            status = OK,
            description = "The messages, in ascending `seq`, or with `changed_after` in ascending `position`; `[]` if there are none.",
            body = [MessageBody],
            example = json!([
                {
                    "id": "01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02",
                    "chat": "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
                    "author": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                    "text": "Milk?",
                    "created_at": "2026-11-23T15:04:06.234567Z",
                    "seq": 3,
                },
            ]),
        ),
        refusals::OfCall,
        refusals::NoSuchUserOrChat,
        refusals::HistoryChanged,
    )
)]
async fn get(Read { engine, caller, request }: Read<GetMessages>) -> Result<Response, Problem> {
    let user = caller.acting_for_any(request.user, "user")?;
    let (position, chat, reader, last) = engine.read(|model| {
        let chat = model.chat(request.chat).ok_or(Refusal::ChatNotFound { chat: request.chat })?;
        let reader = user.map(|user| model.user(user).ok_or_else(|| users::not_found(user))).transpose()?;
        if let Some(user) = caller.user().filter(|user| !model.has_member(chat, user.index)) {
            let (chat, user) = (request.chat, user.id);
            return Err(Refusal::NotAMember { chat, user, field: UserField::Caller }.into());
        }
        if let Some(after) = &request.changed_after {
            check_history(model, after)?;
        }
        Ok::<_, Problem>((model.position(), chat, reader, model.newest_seq(chat)))
    })?;
    let json = MessageJson::new(request.chat);
    let limit = request.limit.map_or(u64::MAX, |Limit(limit)| limit);
    if let Some(ChangedAfter { position: after, .. }) = request.changed_after {
        let changed =
            ChangedMessages { engine, caller, chat, reader, json, after, upto: position, left: limit };
        return Ok(list::respond(position, changed));
    }
    if let Some(Seqs(seqs)) = request.seqs {
        let seqs = seqs.into_iter().filter(|seq| (Seq(1)..=last).contains(seq)).collect::<Vec<_>>();
        let seqs = seqs.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect::<Vec<_>>();
        caller.charge_for_messages(seqs.len() as u64);
        let found = FoundMessages { engine, chat, reader, json, seqs: seqs.into_iter() };
        return Ok(list::respond(position, found));
    }
    let Range { next, end } = request.range(last);
    caller.charge_for_messages(end.saturating_sub(next));
    Ok(list::respond(position, ListedMessages { engine, chat, reader, json, next, end }))
}

/// Refuses a position beyond the log, or one whose epoch is not that of its event here.
fn check_history(model: &Model, &ChangedAfter { position, epoch }: &ChangedAfter) -> Result<(), Problem> {
    let last = model.position();
    let is_here = |epoch| position <= last && model.index().epoch_at(position) == epoch;
    match epoch {
        Some(epoch) if !is_here(epoch) => {
            let detail =
                format!("event {position}-{epoch} is not in this history of the log: load the chat again");
            Err(Problem::new(Code::HistoryChanged, detail).blaming("changed_after"))
        }
        None if position > last => {
            let problem = format!("must not be beyond the last position, {last}");
            Err(Problem::invalid_field("changed_after", &problem, Some(&position.to_string())))
        }
        Some(_) | None => Ok(()),
    }
}

/// The messages of a list, from `seq` `next` to the one before `end`; empty if `next` is not less than `end`.
struct Range {
    next: u64,
    end: u64,
}

impl GetMessages {
    /// Returns the range of the requested messages in a chat with this last message.
    fn range(&self, Seq(last): Seq) -> Range {
        let limit = self.limit.map_or(u64::MAX, |Limit(limit)| limit);
        match (self.after, self.before) {
            (Some(Seq(after)), _) => {
                let next = after.saturating_add(1);
                Range { next, end: next.saturating_add(limit).min(last + 1) }
            }
            (None, before) => {
                let end = before.map_or(last + 1, |Seq(before)| before.min(last + 1));
                Range { next: 1.max(end.saturating_sub(limit)), end }
            }
        }
    }
}

/// The messages of a list, read from the model one run at a time. Each is shown as it is when it is read.
struct ListedMessages {
    engine: Arc<Engine>,
    chat: ChatIndex,
    reader: Option<UserIndex>,
    json: MessageJson,
    next: u64,
    end: u64,
}

impl Pieces for ListedMessages {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        if self.next >= self.end {
            return;
        }
        let (run, own) = self.engine.read(|model| {
            let run = model.run_at(self.chat, Seq(self.next));
            let own = own(model, self.chat, &run, self.reader);
            (run, own)
        });
        for message in run.messages().take_while(|message| message.seq.0 < self.end) {
            self.json.push(out, &message, own.as_ref());
            out.push(b',');
            self.next = message.seq.0 + 1;
        }
    }
}

fn own(model: &Model, chat: ChatIndex, run: &MessageRun, reader: Option<UserIndex>) -> Option<OwnReactions> {
    reader.map(|reader| model.own_reactions(chat, run, reader))
}

/// Maximum messages that are looked up under one hold of the lock.
const LOOKED_UP_MAX: usize = 128;

/// Messages by their seqs.
struct FoundMessages {
    engine: Arc<Engine>,
    chat: ChatIndex,
    reader: Option<UserIndex>,
    json: MessageJson,
    seqs: std::vec::IntoIter<Seq>,
}

impl Pieces for FoundMessages {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        let found = self.engine.read(|model| {
            let runs = self.seqs.by_ref().take(LOOKED_UP_MAX).map(|seq| model.message_at(self.chat, seq));
            runs.map(|run| (own(model, self.chat, &run, self.reader), run)).collect::<Vec<_>>()
        });
        for (own, run) in &found {
            for message in run.messages() {
                self.json.push(out, &message, own.as_ref());
                out.push(b',');
            }
        }
    }
}

/// The messages that have changed after a position and up to another one. One that changes again while they are sent has
/// a later change, and is not among them any more.
struct ChangedMessages {
    engine: Arc<Engine>,
    caller: Caller,
    chat: ChatIndex,
    reader: Option<UserIndex>,
    json: MessageJson,
    after: Position,
    upto: Position,
    /// Maximum number of further messages, beyond which only those of the same position follow.
    left: u64,
}

impl Pieces for ChangedMessages {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        if self.left == 0 {
            return;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(LOOKED_UP_MAX);
        let changed = self.engine.read(|model| {
            let changed = model.changed_after(self.chat, self.after, self.upto, wanted).into_iter();
            let shown = changed.map(|(position, seq)| {
                let run = model.message_at(self.chat, seq);
                (position, own(model, self.chat, &run, self.reader), run)
            });
            shown.collect::<Vec<_>>()
        });
        self.left = self.left.saturating_sub(changed.len() as u64);
        self.caller.charge_for_messages(changed.len() as u64);
        for (position, own, run) in &changed {
            for message in run.messages() {
                self.json.push_changed(out, &message, own.as_ref(), *position);
                out.push(b',');
            }
            self.after = *position;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn range(limit: Option<u64>, after: Option<u64>, before: Option<u64>, last: u64) -> Range {
        let chat = Uuid::nil().into();
        let request = GetMessages {
            chat,
            user: None,
            limit: limit.map(Limit),
            after: after.map(Seq),
            before: before.map(Seq),
            seqs: None,
            changed_after: None,
        };
        request.range(Seq(last))
    }

    #[test]
    fn a_page_holds_what_its_options_ask_for() {
        let check = |limit, after, before, expected: &[u64]| {
            let Range { next, end } = range(limit, after, before, 10);
            assert_eq!((next..end).collect::<Vec<_>>(), expected, "{limit:?} {after:?} {before:?}");
        };
        check(None, None, None, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        check(Some(3), None, None, &[8, 9, 10]);
        check(Some(100), None, None, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        check(None, Some(7), None, &[8, 9, 10]);
        check(Some(2), Some(7), None, &[8, 9]);
        check(Some(2), Some(0), None, &[1, 2]);
        check(Some(2), Some(10), None, &[]);
        check(None, Some(u64::MAX), None, &[]);
        check(None, None, Some(4), &[1, 2, 3]);
        check(Some(2), None, Some(4), &[2, 3]);
        check(Some(2), None, Some(u64::MAX), &[9, 10]);
        check(Some(2), None, Some(1), &[]);
        check(Some(2), None, Some(0), &[]);
    }

    #[test]
    fn every_page_of_an_empty_chat_is_empty() {
        for (after, before) in [(None, None), (Some(0), None), (None, Some(5))] {
            let Range { next, end } = range(Some(5), after, before, 0);
            assert!(next >= end, "{after:?} {before:?}");
        }
    }
}
