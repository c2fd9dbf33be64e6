//! `/messages/…`

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::array::{self, Pieces};
use super::fields::{Fields, Object};
use super::json::Json;
use super::message_json::MessageJson;
use super::problem::Problem;
use super::write::{Key, SentBody, Write, submit};
use super::{refusals, schema};
use crate::domain::{ChatId, Command, MessageId, NewMessage, Refusal, Seq, Text, Timestamp, UserId};
use crate::engine::Engine;
use crate::model::{ChatIndex, Message};

/// What a `limit` may be.
pub(super) const LIMIT: RangeInclusive<u64> = 1..=10_000;

impl Fields for NewMessage {
    const NAMES: &'static [&'static str] = &["chat", "author", "text"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self {
            chat: object.required("chat")?,
            author: object.required("author")?,
            text: object.required("text")?,
        })
    }
}

/// Sends a message.
///
/// It is on disk when the answer comes, and no reader sees it before.
#[utoipa::path(
    post,
    path = "/messages/add",
    tag = "messages",
    params(Key),
    request_body = NewMessage,
    responses(
        (status = CREATED, description = "The message is sent.", body = SentBody),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::NotAMember,
    )
)]
pub(super) async fn add(Write { engine, fields, key }: Write<NewMessage>) -> Result<Response, Problem> {
    submit(&engine, Command::AddMessage(fields), key).await
}

/// Messages that are sent together or not at all.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddMessages {
    #[schema(min_items = 1, max_items = 1_000)]
    messages: Vec<NewMessage>,
}

impl Fields for AddMessages {
    const NAMES: &'static [&'static str] = &["messages"];
    const BODY_FACTOR: usize = 32;

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { messages: object.required_objects("messages", 1..=1_000)? })
    }
}

/// Sends messages together, in this order: all of them, or none.
///
/// They are judged in order, and a refusal names the first bad one (`messages[37].text`). The body may be 32 times as
/// long as that of other calls. `Chinwag-Position` is that of the last message.
#[utoipa::path(
    post,
    path = "/messages/batch",
    tag = "messages",
    params(Key),
    request_body = AddMessages,
    responses(
        (status = CREATED, description = "All are sent; in the order of the request.", body = [SentBody]),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUserOrChat,
        refusals::NotAMember,
    )
)]
pub(super) async fn batch(
    Write { engine, fields: AddMessages { messages }, key }: Write<AddMessages>,
) -> Result<Response, Problem> {
    submit(&engine, Command::AddMessages(messages), key).await
}

pub(super) struct GetMessages {
    chat: ChatId,
    page: Page,
}

/// Which messages of a chat are wanted.
#[derive(Debug, Clone, Copy)]
struct Page {
    limit: Option<u64>,
    bound: Bound,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    None,
    After(u64),
    Before(u64),
}

impl Fields for GetMessages {
    const NAMES: &'static [&'static str] = &["chat", "limit", "after", "before"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        let chat = object.required("chat")?;
        let limit = object.optional_number("limit", LIMIT)?;
        let after = object.optional_number("after", 0..=u64::MAX)?;
        let before = object.optional_number("before", 0..=u64::MAX)?;
        let bound = match (after, before) {
            (None, None) => Bound::None,
            (Some(after), None) => Bound::After(after),
            (None, Some(before)) => Bound::Before(before),
            (Some(_), Some(_)) => {
                return Err(Problem::invalid_field("before", "and after cannot be given together", None));
            }
        };
        Ok(Self { chat, page: Page { limit, bound } })
    }
}

impl PartialSchema for GetMessages {
    fn schema() -> RefOr<Schema> {
        let page = || {
            let page = schema::closed().property("chat", schema::reference::<ChatId>());
            page.property("limit", schema::limit()).required("chat")
        };
        let after = page()
            .title(Some("all, or what comes after"))
            .property("after", schema::or_null::<Seq>())
            .property("before", schema::null());
        let before = page()
            .title(Some("all, or what comes before"))
            .property("after", schema::null())
            .property("before", schema::or_null::<Seq>());
        AnyOfBuilder::new()
            .description(Some(
                "Which messages of a chat are wanted. Without `after` and `before`: the newest `limit`, or all. \
                 `after`: the first `limit` of those with a greater `seq`. `before`: the `limit` nearest below it. \
                 Not both.",
            ))
            .item(after)
            .item(before)
            .into()
    }
}

impl ToSchema for GetMessages {}

impl Page {
    /// The first seq that is wanted, and the first after it that is not, of a chat whose last is `last`.
    fn range(self, last: u64) -> (u64, u64) {
        let limit = self.limit.unwrap_or(u64::MAX);
        match self.bound {
            Bound::None => (1.max((last + 1).saturating_sub(limit)), last + 1),
            Bound::After(after) => {
                let first = after.saturating_add(1);
                (first, first.saturating_add(limit).min(last + 1))
            }
            Bound::Before(before) => {
                let end = before.min(last + 1);
                (1.max(end.saturating_sub(limit)), end)
            }
        }
    }
}

/// Lists a chat's messages, earliest first.
///
/// Without options that is every message, streamed.
#[utoipa::path(
    post,
    path = "/messages/get",
    tag = "messages",
    request_body = GetMessages,
    responses(
        (status = OK, description = "The messages, in ascending `seq`; `[]` where there are none.", body = [MessageBody]),
        refusals::OfCall,
        refusals::NoSuchChat,
    )
)]
pub(super) async fn get(Json { engine, fields: request }: Json<GetMessages>) -> Result<Response, Problem> {
    let (chat, last) = engine
        .read(|model| {
            let chat = model.chat(request.chat)?;
            Some((chat, model.newest_seq(chat).0))
        })
        .ok_or(Refusal::ChatNotFound { chat: request.chat })?;
    let (next, end) = request.page.range(last);
    Ok(array::respond(History { engine, chat, json: MessageJson::of(request.chat), next, end }))
}

/// A message, as a client sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageBody<'a> {
    id: MessageId,
    chat: ChatId,
    author: UserId,
    #[schema(value_type = Text)]
    text: &'a str,
    created_at: Timestamp,
    seq: Seq,
}

impl<'a> MessageBody<'a> {
    pub(super) fn new(chat: ChatId, message: &Message<'a>) -> Self {
        let &Message { id, author, text, created_at, seq } = message;
        Self { id, chat, author, text, created_at, seq }
    }
}

/// Messages, a run at a time. What was said stays as it was, so the parts make one whole without one lock.
struct History {
    engine: Arc<Engine>,
    chat: ChatIndex,
    json: MessageJson,
    next: u64,
    end: u64,
}

impl Pieces for History {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        if self.next >= self.end {
            return;
        }
        let run = self.engine.read(|model| model.run_at(self.chat, Seq(self.next)));
        for message in run.messages().take_while(|message| message.seq.0 < self.end) {
            self.json.push(out, &message);
            out.push(b',');
            self.next = message.seq.0 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: Option<u64>, bound: Bound, expected: &[u64]) {
        let (first, end) = Page { limit, bound }.range(10);
        assert_eq!((first..end).collect::<Vec<_>>(), expected, "{limit:?} {bound:?}");
    }

    #[test]
    fn pages_of_a_chat_of_ten() {
        check(None, Bound::None, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        check(Some(3), Bound::None, &[8, 9, 10]);
        check(Some(100), Bound::None, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        check(None, Bound::After(7), &[8, 9, 10]);
        check(Some(2), Bound::After(7), &[8, 9]);
        check(Some(2), Bound::After(0), &[1, 2]);
        check(Some(2), Bound::After(10), &[]);
        check(None, Bound::After(u64::MAX), &[]);
        check(None, Bound::Before(4), &[1, 2, 3]);
        check(Some(2), Bound::Before(4), &[2, 3]);
        check(Some(2), Bound::Before(u64::MAX), &[9, 10]);
        check(Some(2), Bound::Before(1), &[]);
        check(Some(2), Bound::Before(0), &[]);
    }

    #[test]
    fn pages_of_an_empty_chat_are_empty() {
        for bound in [Bound::None, Bound::After(0), Bound::Before(5)] {
            let (first, end) = Page { limit: Some(5), bound }.range(0);
            assert!(first >= end, "{bound:?}");
        }
    }
}
