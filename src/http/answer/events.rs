//! Events in the form of a stream (WHATWG HTML, "Server-sent events").

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use utoipa::ToSchema;

use super::bodies::{ChatBody, MessageBody};
use super::event_cache::EventCache;
use crate::domain::{ChatId, Position, Seq, UserId};
use crate::engine::{EventId, FeedEvent, FeedEventKind, Follower};
use crate::model::ChatView;

/// The description of `/events` in the API's document. Its table lists every event that [`render`] writes.
pub(crate) const DESCRIPTION: &str = "\
The answer is a stream of server-sent events in the order of the log, each event once. `id` is `POSITION-EPOCH`: the
event's position, and the epoch of the server that wrote it. With `Last-Event-ID`, `lastEventId` or `after`, the
stream begins with everything after that event, however long ago, and continues live without a gap. Without them, it
begins now. The first event is `begin` or `reset`. Its `id` is the place after which the stream begins, so a client
that is cut off at once also resumes without a gap.

A log that was restored from an older copy goes on with other events at the same positions. If the event that an id
names is not in the log, the stream begins now, with a `reset`: load everything again. A bare position is taken
without that check; one beyond the log is 400.

| `event` | sent to | `data` |
| --- | --- | --- |
| `message` | all members | a `Message` |
| `chat` | the user who is added to a chat, at its creation or later | the `Chat` as it is now, or, if the user has left it, without members and messages |
| `member` | the other members, when a user joins | a `MemberEvent` |
| `member_removed` | all members, and the user who is removed | a `MemberEvent` |
| `read` | all members | a `ReadEvent` |
| `begin` | every client, first | a `BeginEvent` |
| `reset` | instead of `begin`, a client whose id is not of this log's history | a `BeginEvent` |

A stream that catches up sends only the last of each member's read marks.

A comment every 15 s keeps the stream open. A client that reads nothing for 30 s is disconnected, and resumes from
its last `id`. When the server stops, streams are closed.";

/// An example of a stream, for the API's document.
pub(crate) const EXAMPLE: &str = "retry: 1000\nevent: begin\ndata: {\"position\":5}\nid: 5-8f3c2a917b5de604\n\n\
                       event: message\ndata: {\"id\":\"01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02\",\
                       \"chat\":\"01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5\",\
                       \"author\":\"01a20aa4-0a09-74de-9d72-3ca94e1ae31f\",\"text\":\"Milk?\",\
                       \"created_at\":\"2026-11-23T15:04:06.234567Z\",\"seq\":3}\nid: 6-8f3c2a917b5de604\n\n";

/// The position after which a stream begins.
#[derive(Serialize, ToSchema)]
pub(crate) struct BeginEvent {
    position: Position,
}

/// Returns the first event of a stream. A client that is disconnected reconnects after a second.
pub(crate) fn opening(follower: &Follower) -> Bytes {
    let id = follower.begin();
    let event = if follower.is_reset() { "reset" } else { "begin" };
    [b"retry: 1000\n".to_vec(), block(id, event, &BeginEvent { position: id.position })].concat().into()
}

/// A comment, which keeps a stream open. No blank line follows it: some clients would deliver an empty event.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(b":\n");

/// A chat, and a user who has joined or left it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberEvent {
    chat: ChatId,
    user: UserId,
}

/// A user's read mark in a chat.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadEvent {
    chat: ChatId,
    user: UserId,
    seq: Seq,
}

/// Returns events as bytes. The bytes of a single event are shared with the other streams that send it.
pub(crate) fn render(
    cache: &EventCache,
    mut events: Vec<FeedEvent>,
) -> impl Iterator<Item = Bytes> + Send + use<> {
    // A follower ends a piece with a large event, so only the last one can be long.
    let long = events.last().and_then(long_chat);
    if long.is_some() {
        events.pop();
    }
    let mut rendered: Vec<_> = events.iter().map(|event| render_one(cache, event)).collect();
    let short = if rendered.len() == 1 { rendered.remove(0) } else { rendered.concat().into() };
    Some(short).into_iter().filter(|short| !short.is_empty()).chain(long.into_iter().flatten())
}

/// Returns the event of a chat with very many members, in pieces. The whole event might take megabytes for
/// each stream.
fn long_chat(event: &FeedEvent) -> Option<impl Iterator<Item = Bytes> + Send + use<>> {
    const SHORT_MEMBERS_MAX: usize = 512;
    const NO_USERS: &str = r#""users":[]"#;
    let FeedEventKind::Entered(chat) = &event.kind else { return None };
    if chat.users.len() <= SHORT_MEMBERS_MAX {
        return None;
    }
    let users = Arc::clone(&chat.users);
    let without_users = ChatView { users: Arc::default(), ..chat.clone() };
    let block =
        String::from_utf8(block(event.id, "chat", &ChatBody::from(&without_users))).expect("JSON is text");
    // Nothing else looks like this field: a quotation mark within a string is escaped.
    let (before, after) = block.split_once(NO_USERS).expect("a chat has users");
    let (before, after) = (format!("{before}\"users\":["), format!("]{after}"));
    let pieces = (0..users.pieces().count()).map(move |number| {
        let piece = users.pieces().nth(number).expect("counted");
        let json = serde_json::to_string(piece).expect("ids are JSON");
        let comma = if number == 0 { "" } else { "," };
        format!("{comma}{}", &json[1..json.len() - 1])
    });
    Some(std::iter::once(before).chain(pieces).chain(std::iter::once(after)).map(Bytes::from))
}

/// Returns the bytes of an event. If they are the same for all users, they are shared with the other streams
/// that send the event.
fn render_one(cache: &EventCache, &FeedEvent { id, ref kind }: &FeedEvent) -> Bytes {
    let shared = |render: &dyn Fn() -> Vec<u8>| cache.get_or_render(id.position, render);
    match *kind {
        FeedEventKind::Message { chat, ref run } => shared(&|| {
            let message = run.messages().next().expect("a run of one");
            block(id, "message", &MessageBody::new(chat, &message))
        }),
        // The chat as this user sees it, and as it is now.
        FeedEventKind::Entered(ref chat) => block(id, "chat", &ChatBody::from(chat)).into(),
        FeedEventKind::Joined { chat, user } => shared(&|| block(id, "member", &MemberEvent { chat, user })),
        FeedEventKind::Left { chat, user } => {
            shared(&|| block(id, "member_removed", &MemberEvent { chat, user }))
        }
        FeedEventKind::Read { chat, user, seq } => {
            shared(&|| block(id, "read", &ReadEvent { chat, user, seq }))
        }
    }
}

/// Returns the block of one event. The id comes last: some clients keep it as soon as its line has arrived, so one that
/// is cut off in the middle of an event would resume after it.
fn block(EventId { position, epoch }: EventId, event: &str, data: &impl Serialize) -> Vec<u8> {
    let mut block = format!("event: {event}\ndata: ").into_bytes();
    let mut json = Serializer::with_formatter(&mut block, OneLine);
    data.serialize(&mut json).expect("answers hold nothing that JSON cannot");
    block.extend_from_slice(format!("\nid: {position}-{epoch}\n\n").as_bytes());
    block
}

/// Writes JSON without any line end of Unicode: a line end would end the field `data`. JSON always escapes those that
/// the standard knows, CR and LF. Some clients, such as those in Python, also split lines at the others.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(OTHER_LINE_ENDS) {
            let text = part.trim_end_matches(OTHER_LINE_ENDS);
            out.write_all(text.as_bytes())?;
            for line_end in part[text.len()..].chars() {
                write!(out, "\\u{:04x}", u32::from(line_end))?;
            }
        }
        Ok(())
    }
}

/// Next line, line separator, paragraph separator.
const OTHER_LINE_ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Epoch, Timestamp};
    use crate::model::Rank;

    #[test]
    fn data_holds_no_line_end() {
        let text = "a\u{85}\u{2028}b\u{2029}\r\n\u{b}\u{c}\u{1c}\u{1d}\u{1e}é\u{2027}\u{84}\"\\🦀\u{2028}";
        let id = EventId { position: Position(9), epoch: Epoch::default() };
        let block = String::from_utf8(block(id, "test", &text)).expect("text");
        let data = block.strip_prefix("event: test\ndata: ").expect("a block");
        let data = data.strip_suffix("\nid: 9-0\n\n").expect("a whole block");
        let line_ends = "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
        assert!(!data.contains(|c| line_ends.contains(c)), "{data}");
        assert_eq!(serde_json::from_str::<String>(data).expect("JSON"), text);
    }

    #[test]
    fn an_id_is_sent_after_its_event() {
        let id = EventId { position: Position(9), epoch: Epoch::default() };
        assert_eq!(block(id, "test", &1), b"event: test\ndata: 1\nid: 9-0\n\n");
    }

    #[test]
    fn a_chat_of_any_size_is_one_event() {
        for count in [0, 1, 512, 513, 1024, 1025, 5_000] {
            let users: Vec<UserId> = (0..count).map(|number| Uuid::from_u64_pair(0, number).into()).collect();
            let chat = ChatView {
                id: Uuid::from_u128(7).into(),
                name: r#"its "users":[] are many"#.into(),
                users: Arc::new(users.iter().copied().collect()),
                created_at: Timestamp::default(),
                rank: Rank::from_bits(5),
                last_message: None,
                unread: 3,
            };
            let whole = serde_json::to_value(ChatBody::from(&chat)).expect("JSON");
            let id = EventId { position: Position(9), epoch: Epoch::default() };
            let event = FeedEvent { id, kind: FeedEventKind::Entered(chat) };
            let pieces: Vec<_> = render(&EventCache::default(), vec![event]).collect();
            assert!(pieces.iter().all(|piece| piece.len() < 32 * 1024), "{count}");
            let text = String::from_utf8(pieces.concat()).expect("text");
            let data = text.strip_prefix("event: chat\ndata: ").expect("a block");
            let data = data.strip_suffix("\nid: 9-0\n\n").expect("a whole block");
            assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), whole, "{count}");
        }
    }
}
