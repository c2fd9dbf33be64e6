//! The golden bytes of the format.

use uuid::Uuid;

use crate::domain::{
    Actor, Epoch, ErasedMessages, Event, Fingerprint, IdempotencyKey, Position, Record, Seq, Timestamp,
};
use crate::log::Frame;
use crate::log::segment::{BLOCK_BYTES, Header, LogId};

/// **Invariant:** these bytes stay readable for ever. A change of this golden file is a change of the format.
#[test]
fn a_segment_with_every_event() {
    let log = LogId::from_bytes(*b"the log's own id");
    let epoch = Epoch(u64::from_le_bytes(*b"an epoch"));
    let id = |number: u128| Uuid::from_u128(0x0193_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + number);
    let record = |micros: u64, event| Record {
        time: Timestamp::from_micros(1_763_910_245_123_456 + micros).expect("in range"),
        by: Actor::Unknown,
        key: None,
        event,
    };
    let mut first = Frame::new(Position(1));
    first.push(&record(0, Event::UserAdded { id: id(1).into(), username: "ann".into() }));
    let name = "tea".into();
    first.push(&record(1, Event::ChatAdded { id: id(2).into(), name, users: vec![id(1).into()] }));
    let text = "héllo".into();
    let said = Event::MessageAdded { id: id(3).into(), chat: id(2).into(), author: id(1).into(), text };
    let fingerprint = Fingerprint(*b"of sixteen bytes");
    let key = Some(IdempotencyKey::recorded("a key".into(), fingerprint, &Actor::Unknown));
    let mut second = Frame::new(Position(3));
    second.push(&Record { key, ..record(2, said) });
    let (chat, user) = (id(2).into(), id(1).into());
    second.push(&record(3, Event::ReadMarked { chat, user, seq: Seq(1) }));
    second.push(&record(4, Event::MemberRemoved { chat, user }));
    second.push(&record(5, Event::MemberAdded { chat, user }));
    second.push(&record(6, Event::NothingChanged));
    let mut third = Frame::new(Position(8));
    let by = |by, micros, event| Record { by, ..record(micros, event) };
    let said = |number| {
        let text = "hi".into();
        Event::MessageAdded { id: id(number).into(), chat: id(2).into(), author: id(1).into(), text }
    };
    third.push(&by(Actor::Key("backend".into()), 7, said(4)));
    third.push(&by(Actor::User(user), 8, said(5)));
    third.push(&by(Actor::User(id(9).into()), 9, said(6)));
    third.push(&by(Actor::Unknown, 10, said(7)));
    let mut fourth = Frame::new(Position(12));
    fourth.push(&by(Actor::Key("backend".into()), 11, Event::TokensRevoked { user, from: 1_763_910_256 }));
    let mut fifth = Frame::new(Position(13));
    for (micros, event) in (12..).zip(of_talk(id)) {
        fifth.push(&record(micros, event));
    }

    let header = Header::new(log, Position(1)).encode();
    let (block, copy) = header.split_at(BLOCK_BYTES);
    assert!(block[64..].iter().all(|&byte| byte == 0));
    assert_eq!(block, copy);
    let bytes = [
        &header[..64],
        first.seal(log, epoch),
        second.seal(log, epoch),
        third.seal(log, epoch),
        fourth.seal(log, epoch),
        fifth.seal(log, epoch),
    ]
    .concat();
    let lines = bytes.chunks(16).enumerate().map(|(index, line)| {
        let hex = line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let text = line.iter().map(|&byte| if byte.is_ascii_graphic() { byte as char } else { '.' });
        format!("{:04x}  {hex:48} {}\n", index * 16, text.collect::<String>())
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

/// Returns events of each kind by which messages, chats and users change, each with every field and with none.
fn of_talk(id: impl Fn(u128) -> Uuid) -> Vec<Event<'static>> {
    let (chat, user, seq) = (id(2).into(), id(1).into(), Seq(4));
    let said = |number, reply_to, metadata: Option<&'static str>| {
        let (id, text, metadata) = (id(number).into(), "hi".into(), metadata.map(Into::into));
        Event::MessageAddedWith { id, chat, author: user, text, reply_to, metadata }
    };
    let edited_at = Timestamp::from_micros(1_763_910_245_123_456);
    vec![
        said(8, Some(Seq(1)), Some(r#"{"a":1}"#)),
        said(9, None, None),
        Event::NamelessChatAdded { id: id(10).into(), users: vec![user, id(9).into()] },
        Event::DirectChatAdded { id: id(11).into(), users: [user, id(9).into()] },
        Event::MessageEdited {
            chat,
            seq,
            user: Some(user),
            text: Some("héy".into()),
            metadata: Some("{}".into()),
        },
        Event::MessageEdited { chat, seq, user: None, text: None, metadata: None },
        Event::AlreadySo { chat: Some(chat), seq: Some(seq), user: Some(user), edited_at },
        Event::AlreadySo { chat: None, seq: None, user: None, edited_at: None },
        Event::MessageDeleted { chat, seq, user: Some(user), erase: false },
        Event::MessageDeleted { chat, seq, user: None, erase: true },
        Event::ReactionAdded { chat, seq, user, emoji: "👍".into() },
        Event::ReactionRemoved { chat, seq, user, emoji: "👍".into() },
        Event::ChatEdited { chat, name: Some("den".into()), metadata: Some("{}".into()) },
        Event::ChatEdited { chat, name: None, metadata: None },
        Event::UserEdited { user, username: Some("anna".into()), metadata: Some("{}".into()) },
        Event::UserEdited { user, username: None, metadata: None },
        Event::UserErased { user, messages: ErasedMessages::Erase },
        Event::UserErased { user, messages: ErasedMessages::Keep },
    ]
}
