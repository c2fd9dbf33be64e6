//! Writes messages, and the receipts of messages, as JSON, fast enough for hundreds of thousands: the parts that all of
//! them share are copied, and each text is read once.

use std::ops::{BitOr, Range};

use serde::Serialize;
use uuid::Uuid;

use crate::domain::{ChatId, Position, Timestamp};
use crate::http::answer::bodies::ExtrasBody;
use crate::model::{Message, OwnReactions, SentMessage};

/// Writes the same bytes as a serialised [`MessageBody`](super::bodies::MessageBody), in a fifth of the time.
pub(crate) struct MessageJson {
    /// The JSON before the text, with the chat filled in.
    head: [u8; HEAD.len()],
    tail: Tail<{ TAIL.len() }>,
}

const HEAD: [u8; 146] = *b"{\"id\":\"00000000-0000-0000-0000-000000000000\",\
    \"chat\":\"00000000-0000-0000-0000-000000000000\",\
    \"author\":\"00000000-0000-0000-0000-000000000000\",\"text\":";
const ID: Range<usize> = 7..43;
const CHAT: Range<usize> = 53..89;
const AUTHOR: Range<usize> = 101..137;

const TAIL: [u8; 50] = *b",\"created_at\":\"1970-01-01T00:00:00.000000Z\",\"seq\":";

impl MessageJson {
    pub(crate) fn new(chat: ChatId) -> Self {
        let mut head = HEAD;
        write_id(chat.into(), &mut head[CHAT]);
        Self { head, tail: Tail::new(TAIL) }
    }

    /// `own` holds the reader's own reactions, if it is known who reads.
    #[expect(clippy::inline_always, reason = "a call for each message makes a list an eighth slower")]
    #[inline(always)]
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, message: &Message<'_>, own: Option<&OwnReactions>) {
        let head = push_copy(out, &self.head);
        write_id(message.id.into(), &mut head[ID]);
        write_id(message.author.into(), &mut head[AUTHOR]);
        push_text(out, message.text);
        self.tail.push(out, message.created_at);
        push_json(out, &message.seq);
        if let Some(extras) = message.extras {
            let end = out.len();
            push_json(out, &ExtrasBody::new(message.seq, extras, own));
            // The members follow those that are there, or there are none.
            if out[end..] == *b"{}" {
                out.truncate(end);
            } else {
                out[end] = b',';
                return;
            }
        }
        out.push(b'}');
    }

    /// Does what [`push`](Self::push) does for a message that last changed at this position.
    pub(crate) fn push_changed(
        &mut self,
        out: &mut Vec<u8>,
        message: &Message<'_>,
        own: Option<&OwnReactions>,
        position: Position,
    ) {
        self.push(out, message, own);
        out.pop();
        out.extend_from_slice(b",\"position\":");
        push_json(out, &position);
        out.push(b'}');
    }
}

/// Writes the receipts of sent messages: the same bytes as a serialised [`SentBody`](super::bodies::SentBody).
pub(crate) struct SentJson {
    tail: Tail<{ SENT_TAIL.len() }>,
}

/// Digits of the greatest seq.
const SEQ_BYTES_MAX: usize = 20;

const SENT_HEAD: [u8; 51] = *b"{\"id\":\"00000000-0000-0000-0000-000000000000\",\"seq\":";
const SENT_TAIL: [u8; 44] = *b",\"created_at\":\"1970-01-01T00:00:00.000000Z\"}";

impl SentJson {
    /// Maximum length of a receipt.
    pub(crate) const BYTES_MAX: usize = SENT_HEAD.len() + SEQ_BYTES_MAX + SENT_TAIL.len();

    pub(crate) const fn new() -> Self {
        Self { tail: Tail::new(SENT_TAIL) }
    }

    pub(crate) fn push(&mut self, out: &mut Vec<u8>, sent: &SentMessage) {
        let head = push_copy(out, &SENT_HEAD);
        write_id(sent.id.into(), &mut head[ID]);
        push_json(out, &sent.seq);
        self.tail.push(out, sent.created_at);
    }
}

/// The JSON from a message's time on, with the date of the last message filled in.
struct Tail<const BYTES: usize> {
    json: [u8; BYTES],
    /// The day of that date, in days since 1970.
    day: u64,
}

/// The place of the time in both tails.
const CREATED_AT: Range<usize> = 15..42;

impl<const BYTES: usize> Tail<BYTES> {
    /// `json` has the first moment of 1970 where the time is to be.
    const fn new(json: [u8; BYTES]) -> Self {
        Self { json, day: 0 }
    }

    #[inline]
    fn push(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let day = time.as_micros() / DAY_MICROS;
        if day != self.day {
            self.json[CREATED_AT].copy_from_slice(time.to_string().as_bytes());
            self.day = day;
        }
        let json = push_copy(out, &self.json);
        write_time_of_day(time, &mut json[CREATED_AT]);
    }
}

/// Microseconds of a day. As POSIX counts time, no day has a leap second.
const DAY_MICROS: u64 = 86_400_000_000;

/// Writes the time of day over that of another time of the same day.
fn write_time_of_day(time: Timestamp, rfc3339: &mut [u8]) {
    let micros = time.as_micros() % 1_000_000;
    let seconds = time.as_micros() / 1_000_000 % 86_400;
    let pairs = [
        (11, seconds / 3_600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
        (20, micros / 10_000),
        (22, micros / 100 % 100),
        (24, micros % 100),
    ];
    for (at, number) in pairs {
        rfc3339[at..at + 2].copy_from_slice(&TWO_DIGITS[usize::try_from(number).expect("below 100")]);
    }
}

/// The numbers 00 to 99.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut all = [*b"00"; 100];
    let mut number = 0;
    while number < 100 {
        all[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    all
};

fn push_copy<'o>(out: &'o mut Vec<u8>, bytes: &[u8]) -> &'o mut [u8] {
    let start = out.len();
    out.extend_from_slice(bytes);
    &mut out[start..]
}

/// Writes an id over another one, whose hyphens stay. It takes half of the instructions of [`Uuid::hyphenated`].
fn write_id(id: Uuid, place: &mut [u8]) {
    let mut digits = [0; 32];
    for (eight, &four) in digits.as_chunks_mut().0.iter_mut().zip(id.as_bytes().as_chunks().0) {
        *eight = hex(four);
    }
    for (at, part) in [(0, 0..8), (9, 8..12), (14, 12..16), (19, 16..20), (24, 20..32)] {
        place[at..at + part.len()].copy_from_slice(&digits[part]);
    }
}

/// Returns four bytes as hexadecimal digits. All eight are computed at once, each in a byte of a word, without a table.
fn hex(bytes: [u8; 4]) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(u32::from_be_bytes(bytes));
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (spread | spread << 4) & (EACH * 0x0f);
    let is_letter = ((digits + EACH * 6) >> 4) & EACH;
    let past_digits = u64::from(b'a' - b'9' - 1);
    (digits + EACH * u64::from(b'0') + is_letter * past_digits).to_be_bytes()
}

fn push_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("numbers and text are JSON");
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    if must_be_escaped(text) {
        push_json(out, text);
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// Returns whether JSON must escape one of the characters. The loop over a block has no branch, so all its bytes are
/// checked at once. The last block overlaps the one before it, so that no remainder is checked byte by byte.
fn must_be_escaped(text: &str) -> bool {
    const BLOCK: usize = 16;
    let special = |byte: &u8| u8::from(*byte < b' ' || *byte == b'"' || *byte == b'\\');
    let any = |bytes: &[u8]| bytes.iter().map(special).fold(0, BitOr::bitor);
    let any_of_block = |block: &[u8; BLOCK]| any(block);
    let text = text.as_bytes();
    let found = match text.last_chunk() {
        None => any(text),
        Some(last) => text.as_chunks().0.iter().map(any_of_block).fold(any_of_block(last), BitOr::bitor),
    };
    found != 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Actor, Deletion, Event, MessageId, Record, Seq, UserId};
    use crate::http::answer::bodies::{MessageBody, SentBody};
    use crate::model::{Extras, Model};

    /// Ids, text, seq; microseconds since 1970; what the message is besides.
    type Said = ([u128; 2], String, u64, u64, Option<Extras>);

    fn micros() -> impl Strategy<Value = u64> {
        prop_oneof![0..3 * DAY_MICROS, 0..253_402_207_200_000_000_u64]
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        micros().prop_map(|micros| Timestamp::from_micros(micros).expect("in range"))
    }

    fn extras() -> impl Strategy<Value = Extras> {
        let metadata = prop_oneof![Just(r#"{"a":[1.0,null]}"#), Just(r#"{"é":"\u0000\"", "b" : {}}"#)];
        let reactions = vec(("\\PC{1,8}", 1..u32::MAX), 0..3);
        let rest = (option::of(1..u64::MAX), option::of(metadata), reactions);
        (option::of(time()), option::of(time()), rest).prop_map(|(edited_at, deleted_at, rest)| {
            let (reply_to, metadata, reactions) = rest;
            Extras {
                reply_to: reply_to.map(Seq),
                metadata: metadata.map(Arc::from),
                edited_at,
                deleted: deleted_at.map(|at| (at, Deletion::Kept)),
                reactions: reactions.into_iter().map(|(emoji, count)| (emoji.into(), count)).collect(),
                ..Extras::default()
            }
        })
    }

    fn said() -> impl Strategy<Value = Said> {
        let text = prop_oneof!["[ -~]{0,80}", "\\PC{0,80}", "(?s).{0,40}"];
        (any::<[u128; 2]>(), text, 1..u64::MAX, micros(), option::of(extras()))
    }

    proptest! {
        #[test]
        fn receipts_are_written_as_their_bodies_are(
            all in vec((any::<u128>(), 1..u64::MAX, time()), 1..5),
        ) {
            let mut json = SentJson::new();
            for (id, seq, created_at) in all {
                let sent = SentMessage { id: Uuid::from_u128(id).into(), seq: Seq(seq), created_at };
                let mut written = Vec::new();
                json.push(&mut written, &sent);
                let body = serde_json::to_string(&SentBody::from(&sent)).expect("JSON");
                prop_assert_eq!(String::from_utf8(written).expect("text"), body);
            }
        }

        #[test]
        fn messages_are_written_as_their_bodies_are(
            chat in any::<u128>(),
            all in vec(said(), 1..5),
            is_read in any::<bool>(),
        ) {
            let chat = Uuid::from_u128(chat).into();
            let mut json = MessageJson::new(chat);
            let own = is_read.then(OwnReactions::default);
            for (ids, text, seq, micros, extras) in all {
                let [id, author] = ids.map(Uuid::from_u128);
                let created_at = Timestamp::from_micros(micros).expect("in range");
                let (id, author, seq, extras) = (id.into(), author.into(), Seq(seq), extras.as_ref());
                let message = Message { id, author, text: &text, created_at, seq, extras };
                let mut written = Vec::new();
                json.push(&mut written, &message, own.as_ref());
                let body = serde_json::to_string(&MessageBody::new(chat, &message, own.as_ref())).expect("JSON");
                prop_assert_eq!(String::from_utf8(written).expect("text"), body);
            }
        }
    }

    #[test]
    fn a_message_shows_every_member_that_is_set() {
        // Given a reply with metadata that was edited, with reactions of two users, and one that was deleted.
        let mut model = Model::default();
        let [ann, bob] = [1, 2].map(|number| UserId::from(Uuid::from_u128(number)));
        let (chat, message) = (ChatId::from(Uuid::from_u128(3)), |id| MessageId::from(Uuid::from_u128(id)));
        let sent = |id, reply_to, metadata: Option<&'static str>| {
            let (id, text, metadata) = (message(id), "tea".into(), metadata.map(Into::into));
            Event::MessageAddedWith { id, chat, author: ann, text, reply_to, metadata }
        };
        let reaction =
            |user, emoji: &'static str| Event::ReactionAdded { chat, seq: Seq(2), user, emoji: emoji.into() };
        let edit = Event::MessageEdited {
            chat,
            seq: Seq(2),
            user: Some(ann),
            text: Some("\"tea\"".into()),
            metadata: None,
        };
        for (second, event) in (1..).zip([
            Event::UserAdded { id: ann, username: "ann".into() },
            Event::UserAdded { id: bob, username: "bob".into() },
            Event::ChatAdded { id: chat, name: "den".into(), users: vec![ann, bob] },
            sent(4, None, None),
            sent(5, Some(Seq(1)), Some(r#"{"a": 1.0}"#)),
            edit,
            reaction(ann, "👍"),
            reaction(bob, "👍"),
            reaction(ann, "+1"),
            Event::MessageDeleted { chat, seq: Seq(1), user: None, erase: false },
        ]) {
            let time = Timestamp::from_micros(second * 1_000_000).expect("in range");
            model.apply(&Record { time, by: Actor::Unknown, key: None, event });
        }
        let shown = |seq, reader: Option<UserId>| {
            let index = model.chat(chat).expect("it exists");
            let run = model.message_at(index, Seq(seq));
            let own =
                reader.map(|reader| model.own_reactions(index, &run, model.user(reader).expect("a user")));
            let mut written = Vec::new();
            let message = run.messages().next().expect("a run of one");
            MessageJson::new(chat).push_changed(&mut written, &message, own.as_ref(), Position(9));
            String::from_utf8(written).expect("text")
        };
        let id = |number| format!("00000000-0000-0000-0000-00000000000{number}");
        let time = |second: u64| format!("1970-01-01T00:00:{second:02}.000000Z");
        // Then what is set follows what every message has, and the position comes last.
        let head = |number: u64, text: &str, second, seq: u64| {
            let (id, chat, ann, sent) = (id(number), id(3), id(1), time(second));
            format!(
                r#"{{"id":"{id}","chat":"{chat}","author":"{ann}","text":"{text}","created_at":"{sent}","seq":{seq}"#
            )
        };
        let own = |is_own: Option<bool>| is_own.map_or_else(String::new, |own| format!(r#","own":{own}"#));
        for (reader, owns) in
            [(None, [None; 2]), (Some(ann), [Some(true); 2]), (Some(bob), [Some(true), Some(false)])]
        {
            let expected = format!(
                r#"{},"edited_at":"{}","reply_to":1,"metadata":{{"a": 1.0}},"reactions":[{{"emoji":"👍","count":2{}}},{{"emoji":"+1","count":1{}}}],"position":9}}"#,
                head(5, r#"\"tea\""#, 5, 2),
                time(6),
                own(owns[0]),
                own(owns[1]),
            );
            assert_eq!(shown(2, reader), expected);
            let deleted = format!(r#"{},"deleted_at":"{}","position":9}}"#, head(4, "", 4, 1), time(10));
            assert_eq!(shown(1, reader), deleted);
        }
    }
}
