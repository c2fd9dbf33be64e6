//! Events in the form of a stream (WHATWG HTML, "Server-sent events").

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use utoipa::ToSchema;

use super::bodies::{ChatBody, MessageBody, ReadMarkBody, ShownChatBody, UserBody};
use super::event_cache::EventCache;
use crate::domain::{ChatId, Emoji, ErasedMessages, Position, Seq, Timestamp, UserId};
use crate::engine::{EventId, FeedEvent, FeedEventKind, Follower, ShownMessage, ShownReaction};
use crate::model::{ChatView, ErasedUser};

/// The description of `/events` in the API's document. Its table lists every event that [`render`] writes.
pub(crate) const DESCRIPTION: &str = "\
The answer is a stream of server-sent events in the order of the log, each event once. `id` is `POSITION-EPOCH`: the
event's position, and the epoch of the server that wrote it. With `Last-Event-ID`, `lastEventId` or `after`, the
stream begins with everything after that event, however long ago, and continues live without a gap. Without them, it
begins now. The first event is `begin` or `reset`. Its `id` is the place after which the stream begins, so a client
that is cut off at once also resumes without a gap.

A log that was restored from an older copy goes on with other events at the same positions. If the event that an id
names is not in the log, the stream begins now, with a `reset`: load everything again. A bare position is taken
without that check; one beyond the log is 400. Where several servers share a log, and this one does not have the event
yet, the stream sends comments until it has it, and is closed after 30 s without it.

| `event` | sent to | `data` |
| --- | --- | --- |
| `user` | a server key that follows everything, when a user is added | the `User` |
| `message` | all members | a `Message` |
| `chat` | the user who is added to a chat, at its creation or later | the `Chat` as it is now, or, if the user has left it, without members and messages, and, if it was edited after that, without name and metadata |
| `member` | the other members, when a user joins | a `MemberEvent` |
| `member_removed` | all members, and the user who is removed | a `MemberEvent` |
| `message_edited` | all members | the `Message` as it is now |
| `message_deleted` | all members | a `DeletedEvent` |
| `reaction`, `reaction_removed` | all members | a `ReactionEvent` |
| `read` | all members | a `ReadEvent` |
| `chat_edited` | all members | the `Chat` as it is now |
| `user_edited` | those who share a chat with the user | the `User` as they are now |
| `user_erased` | those who share, or have shared, a chat with the user | an `ErasedEvent` |
| `begin` | every client, first | a `BeginEvent` |
| `reset` | instead of `begin`, a client whose id is not of this log's history | a `BeginEvent` |

Without `user`, a server key follows everything: the events of all chats, each once. `chat` is then sent when a chat is
created, with a `ShownChat` without `unread`, and `member` for every user who joins a chat later.

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

/// A message that was deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletedEvent {
    chat: ChatId,
    seq: Seq,
    deleted_at: Timestamp,
}

/// A reaction of a user to a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReactionEvent<'a> {
    chat: ChatId,
    seq: Seq,
    user: UserId,
    #[schema(value_type = Emoji)]
    emoji: &'a str,
    /// Number of users who react with the emoji now.
    count: u32,
}

impl<'a> From<&'a ShownReaction> for ReactionEvent<'a> {
    fn from(reaction: &'a ShownReaction) -> Self {
        let ShownReaction { chat, seq, user, emoji, count } = reaction;
        Self { chat: *chat, seq: *seq, user: *user, emoji, count: *count }
    }
}

/// A user who was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasedEvent {
    user: UserId,
    /// What became of the user's messages.
    messages: ErasedMessages,
    deleted_at: Timestamp,
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

/// Returns the event of a chat with many members, in pieces. The whole event might take megabytes for each stream.
fn long_chat(event: &FeedEvent) -> Option<impl Iterator<Item = Bytes> + Send + use<>> {
    const SHORT_MEMBERS_MAX: usize = 128;
    const USERS: &str = r#""users":["#;
    const READ_MARKS: &str = r#""read_marks":["#;
    let (name, chat, read_marks) = match &event.kind {
        FeedEventKind::Entered(chat) => ("chat", chat, None),
        FeedEventKind::ChatEdited(chat) => ("chat_edited", chat, None),
        FeedEventKind::ChatAdded { chat, read_marks } => ("chat", chat, Some(read_marks.clone())),
        FeedEventKind::Message(_)
        | FeedEventKind::Edited(_)
        | FeedEventKind::Deleted { .. }
        | FeedEventKind::Reacted(_)
        | FeedEventKind::TookBack(_)
        | FeedEventKind::Joined { .. }
        | FeedEventKind::Left { .. }
        | FeedEventKind::Read { .. }
        | FeedEventKind::UserAdded(_)
        | FeedEventKind::UserEdited(_)
        | FeedEventKind::UserErased(_) => return None,
    };
    if chat.users.len() <= SHORT_MEMBERS_MAX {
        return None;
    }
    let users = Arc::clone(&chat.users);
    let without_users = ChatView { users: Arc::default(), ..chat.clone() };
    let block = match read_marks {
        None => block(event.id, name, &ChatBody::from(&without_users)),
        Some(_) => block(event.id, name, &ShownChatBody::new(&without_users, false, &[])),
    };
    let block = String::from_utf8(block).expect("JSON is text");
    // Only metadata can look like these fields, because a quotation mark within a string is escaped. They come
    // after the members, and before the marks.
    let (before, rest) = block.split_once(USERS).expect("a chat has users");
    let (between, after) = match read_marks {
        None => (rest, ""),
        Some(_) => rest.split_at(rest.rfind(READ_MARKS).expect("a shown chat has marks") + READ_MARKS.len()),
    };
    let (before, between, after) = (format!("{before}{USERS}"), between.to_owned(), after.to_owned());
    let users = (0..users.pieces().count()).map(move |number| {
        let piece = users.pieces().nth(number).expect("counted");
        further_items(number, piece)
    });
    let read_marks = read_marks.into_iter().flatten().map(mark_bodies).filter(|marks| !marks.is_empty());
    let read_marks = read_marks.enumerate().map(|(number, marks)| further_items(number, &marks));
    let pieces = std::iter::once(before).chain(users).chain([between]).chain(read_marks).chain([after]);
    Some(pieces.filter(|piece| !piece.is_empty()).map(Bytes::from))
}

/// Returns the items as a piece of a JSON list. A comma comes before each piece but the first.
fn further_items(piece_number: usize, items: &[impl Serialize]) -> String {
    let json = serde_json::to_string(items).expect("items are JSON");
    let comma = if piece_number == 0 { "" } else { "," };
    format!("{comma}{}", &json[1..json.len() - 1])
}

fn mark_bodies(marks: Vec<(UserId, Seq)>) -> Vec<ReadMarkBody> {
    marks.into_iter().map(|(user, seq)| ReadMarkBody { user, seq }).collect()
}

/// Returns the bytes of an event. If they are the same for all users, they are shared with the other streams
/// that send the event.
fn render_one(cache: &EventCache, &FeedEvent { id, ref kind }: &FeedEvent) -> Bytes {
    let shared = |render: &dyn Fn() -> Vec<u8>| cache.get_or_render(id.position, render);
    match *kind {
        FeedEventKind::Message(ref message) if message.is_plain() => {
            shared(&|| message_block(id, "message", message))
        }
        // It may be shown in another way the next time.
        FeedEventKind::Message(ref message) => message_block(id, "message", message).into(),
        FeedEventKind::Edited(ref message) => message_block(id, "message_edited", message).into(),
        FeedEventKind::Deleted { chat, seq, deleted_at } => {
            shared(&|| block(id, "message_deleted", &DeletedEvent { chat, seq, deleted_at }))
        }
        FeedEventKind::Reacted(ref reaction) => block(id, "reaction", &ReactionEvent::from(reaction)).into(),
        FeedEventKind::TookBack(ref reaction) => {
            block(id, "reaction_removed", &ReactionEvent::from(reaction)).into()
        }
        FeedEventKind::ChatEdited(ref chat) => block(id, "chat_edited", &ChatBody::from(chat)).into(),
        FeedEventKind::UserEdited(ref user) => block(id, "user_edited", &UserBody::from(user)).into(),
        FeedEventKind::UserErased(ErasedUser { id: user, at, messages }) => {
            shared(&|| block(id, "user_erased", &ErasedEvent { user, messages, deleted_at: at }))
        }
        // The chat as this user sees it, and as it is now.
        FeedEventKind::Entered(ref chat) => block(id, "chat", &ChatBody::from(chat)).into(),
        FeedEventKind::ChatAdded { ref chat, ref read_marks } => {
            let read_marks: Vec<_> = read_marks.clone().flat_map(mark_bodies).collect();
            block(id, "chat", &ShownChatBody::new(chat, false, &read_marks)).into()
        }
        // The user as they are now.
        FeedEventKind::UserAdded(ref user) => block(id, "user", &UserBody::from(user)).into(),
        FeedEventKind::Joined { chat, user } => shared(&|| block(id, "member", &MemberEvent { chat, user })),
        FeedEventKind::Left { chat, user } => {
            shared(&|| block(id, "member_removed", &MemberEvent { chat, user }))
        }
        FeedEventKind::Read { chat, user, seq } => {
            shared(&|| block(id, "read", &ReadEvent { chat, user, seq }))
        }
    }
}

fn message_block(id: EventId, event: &str, ShownMessage { chat, run, own }: &ShownMessage) -> Vec<u8> {
    let message = run.messages().next().expect("a run of one");
    block(id, event, &MessageBody::new(*chat, &message, own.as_ref()))
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

    /// Metadata are written as they are. Within JSON, only strings can have these line ends.
    fn write_raw_fragment<W: io::Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        self.write_string_fragment(out, fragment)
    }
}

/// Next line, line separator, paragraph separator.
const OTHER_LINE_ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

#[cfg(test)]
mod tests {
    use parking_lot::RwLock;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, Epoch, Event, Record, Timestamp};
    use crate::engine::ReadMarks;
    use crate::model::{ChatIndex, Model, Rank};

    #[test]
    fn data_holds_no_line_end() {
        let text = "a\u{85}\u{2028}b\u{2029}\r\n\u{b}\u{c}\u{1c}\u{1d}\u{1e}é\u{2027}\u{84}\"\\🦀\u{2028}";
        let id = EventId { position: Position(9), epoch: Epoch::default() };
        // Metadata are JSON already.
        let metadata = serde_json::to_string(text).and_then(RawValue::from_string).expect("JSON");
        for block in [block(id, "test", &text), block(id, "test", &metadata)] {
            let block = String::from_utf8(block).expect("text");
            let data = block.strip_prefix("event: test\ndata: ").expect("a block");
            let data = data.strip_suffix("\nid: 9-0\n\n").expect("a whole block");
            let line_ends = "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
            assert!(!data.contains(|c| line_ends.contains(c)), "{data}");
            assert_eq!(serde_json::from_str::<String>(data).expect("JSON"), text);
        }
    }

    #[test]
    fn an_id_is_sent_after_its_event() {
        let id = EventId { position: Position(9), epoch: Epoch::default() };
        assert_eq!(block(id, "test", &1), b"event: test\ndata: 1\nid: 9-0\n\n");
    }

    /// Returns the data of what is written as one event of this kind.
    fn data(written: &[Bytes], event: &str) -> Value {
        let text = String::from_utf8(written.concat()).expect("text");
        let data = text.strip_prefix(&format!("event: {event}\ndata: ")).expect("a block");
        let data = data.strip_suffix("\nid: 9-0\n\n").expect("a whole block");
        serde_json::from_str(data).expect("JSON")
    }

    fn written(kind: FeedEventKind) -> Vec<Bytes> {
        let id = EventId { position: Position(9), epoch: Epoch::default() };
        let pieces: Vec<_> = render(&EventCache::default(), vec![FeedEvent { id, kind }]).collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() < 32 * 1024));
        pieces
    }

    #[test]
    fn a_chat_of_any_size_is_one_event() {
        for count in [0, 1, 128, 129, 512, 513, 1024, 1025, 5_000] {
            let users: Vec<UserId> = (0..count).map(|number| Uuid::from_u64_pair(0, number).into()).collect();
            let chat = ChatView {
                id: Uuid::from_u128(7).into(),
                name: Some(r#"its "users":[] are many"#.into()),
                is_direct: false,
                metadata: None,
                own: None,
                users: Arc::new(users.iter().copied().collect()),
                created_at: Timestamp::default(),
                rank: Rank::from_bits(5),
                last_message: None,
                unread: 3,
            };
            let whole = serde_json::to_value(ChatBody::from(&chat)).expect("JSON");
            assert_eq!(data(&written(FeedEventKind::Entered(chat)), "chat"), whole, "{count}");
        }
    }

    /// A model of users, each of whom has read the one message of a chat.
    struct World {
        model: Arc<RwLock<Model>>,
        users: Vec<UserId>,
        chat: ChatId,
    }

    impl World {
        fn of(users: u64) -> Self {
            let users: Vec<UserId> =
                (1..=users).map(|number| Uuid::from_u64_pair(0, number).into()).collect();
            let chat: ChatId = Uuid::from_u128(7).into();
            let world = Self { model: Arc::default(), users: users.clone(), chat };
            for (number, id) in users.iter().enumerate() {
                world.apply(Event::UserAdded { id: *id, username: format!("user {number}").into() });
            }
            let name = r#"its "users":[] and "read_marks":[] are many"#.into();
            world.apply(Event::ChatAdded { id: chat, name, users: users.clone() });
            let (id, author) = (Uuid::from_u128(8).into(), users[0]);
            let text = r#""users":[], "read_marks":[]"#.into();
            world.apply(Event::MessageAdded { id, chat, author, text });
            for user in users {
                world.apply(Event::ReadMarked { chat, user, seq: Seq(1) });
            }
            world
        }

        fn apply(&self, event: Event<'_>) {
            let mut model = self.model.write();
            let time = Timestamp::from_micros(model.position().0 + 1).expect("in range");
            model.apply(&Record { time, by: Actor::Unknown, key: None, event });
        }

        fn look<T>(&self, look: impl FnOnce(&Model, ChatIndex) -> T) -> T {
            let model = self.model.read();
            look(&model, model.chat(self.chat).expect("it exists"))
        }

        fn chat_added(&self) -> FeedEventKind {
            let (chat, index) = self.look(|model, chat| (model.view(None, model.listed(chat)), chat));
            FeedEventKind::ChatAdded { chat, read_marks: ReadMarks::of(&self.model, index) }
        }
    }

    #[test]
    fn an_added_chat_of_any_size_is_shown_as_by_chats_show() {
        for count in [1, 128, 129, 256, 257, 512, 513, 1025, 2_000] {
            // Given a chat whose last member has left, and with them perhaps a whole piece of its members.
            let World { model, users, chat } = World::of(count + 1);
            let left = users[users.len() - 1];
            let world = World { model, users: users[..users.len() - 1].to_vec(), chat };
            world.apply(Event::MemberRemoved { chat, user: left });
            // And metadata that look like the lists of an answer.
            let metadata = || Some(r#"{"users":[1],"read_marks":[2]}"#.into());
            world.apply(Event::ChatEdited { chat, name: None, metadata: metadata() });
            let (seq, user, text) = (Seq(1), None, None);
            world.apply(Event::MessageEdited { chat, seq, user, text, metadata: metadata() });
            let view = world.look(|model, chat| model.view(None, model.listed(chat)));
            // When the addition of the chat is written.
            let shown = data(&written(world.chat_added()), "chat");
            // Then it is what `/chats/show` answers, with the marks of all members but not of the one who left.
            let marks = mark_bodies(world.users.iter().map(|user| (*user, Seq(1))).collect());
            let whole = serde_json::to_value(ShownChatBody::new(&view, false, &marks)).expect("JSON");
            assert_eq!(shown, whole, "{count}");
            assert_eq!(shown.get("unread"), None);
            assert_eq!(shown["users"].as_array().map(Vec::len), usize::try_from(count).ok());
        }
    }

    #[test]
    fn each_kind_of_event_is_written() {
        let world = World::of(2);
        let (chat, [ann, bob]) = (world.chat, [world.users[0], world.users[1]]);
        let user = world.look(|model, _| model.user_view(model.user(ann).expect("it exists")));
        let run = world.look(|model, chat| model.message_at(chat, Seq(1)));
        let member = json!({ "chat": chat, "user": bob });
        let created_at = |micros| Timestamp::from_micros(micros).expect("in range");
        let message = json!({
            "id": Uuid::from_u128(8), "chat": chat, "author": ann, "text": r#""users":[], "read_marks":[]"#,
            "created_at": created_at(4), "seq": 1,
        });
        let shown = json!({
            "id": chat, "name": r#"its "users":[] and "read_marks":[] are many"#, "users": [ann, bob],
            "created_at": created_at(3), "last_message": message, "cursor": "8000000000000004d2f3a3c1",
            "read_marks": [{ "user": ann, "seq": 1 }, { "user": bob, "seq": 1 }],
        });
        let added = json!({ "id": ann, "username": "user 0", "created_at": created_at(1) });
        let read = json!({ "chat": chat, "user": bob, "seq": 1 });
        let kinds = [
            (FeedEventKind::UserAdded(user), "user", added),
            (world.chat_added(), "chat", shown),
            (FeedEventKind::Message(ShownMessage { chat, run, own: None }), "message", message),
            (FeedEventKind::Joined { chat, user: bob }, "member", member.clone()),
            (FeedEventKind::Left { chat, user: bob }, "member_removed", member),
            (FeedEventKind::Read { chat, user: bob, seq: Seq(1) }, "read", read),
        ];
        for (kind, event, expected) in kinds {
            assert_eq!(data(&written(kind), event), expected);
            assert!(DESCRIPTION.contains(&format!("\n| `{event}` | ")), "{event} is documented");
        }
    }
}
