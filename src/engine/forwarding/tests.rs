//! What servers make of each other's commands and answers.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    ChatId, ChatName, Decision, Event, NewMessage, Position, Record, Refusal, Seq, Stamp, Text, UserField,
    UserId, Username, decide,
};
use crate::engine::{Accepted, EngineSettings, ReplayProgress, projector};
use crate::log::{Frame, MemoryLog};
use crate::model::{Outcome, Receipt, SentMessage};

fn id<T: From<Uuid>>(number: u128) -> T {
    Uuid::from_u128(number).into()
}

fn message(text: &str) -> NewMessage {
    NewMessage { chat: id(1), author: id(2), text: Text::try_from(text.to_owned()).expect("a text") }
}

fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros).expect("in range")
}

#[test]
fn a_question_is_understood_as_it_is_asked() {
    let name = |name: &str| name.to_owned();
    let commands = [
        Command::AddUser { username: Username::try_from(name("ann \"é\"")).expect("a name") },
        Command::AddChat {
            name: ChatName::try_from(name("tea")).expect("a name"),
            users: vec![id(2), id(3)],
        },
        Command::AddMessage(message("\u{1}\n\u{1F600}\\")),
        Command::AddMessages(vec![message("a"), message("b")]),
        Command::AddMember { chat: id(1), user: id(2) },
        Command::RemoveMember { chat: id(1), user: id(2) },
        Command::MarkRead { chat: id(1), user: id(2), seq: Seq(u64::MAX) },
        Command::RevokeTokens { user: id(2), from: 7 },
    ];
    let actors = [Actor::Unknown, Actor::key(name("back-end")).expect("a key"), Actor::User(id(2))];
    for command in commands {
        for (by, key) in actors.iter().zip([None, Some("k"), Some("\"")]) {
            let asked = Asked { command: &command, key, by: by.clone() };
            let asked = serde_json::to_vec(&asked).expect("JSON");
            let question = question_of(time(7), &[&asked, &asked]);
            let heard: Question = serde_json::from_slice(&question).expect("understood");
            assert_eq!((heard.asked_at, heard.commands.len()), (time(7), 2));
            for heard in heard.commands {
                assert_eq!((&heard.command, heard.key.as_deref(), &heard.by), (&command, key, by));
            }
        }
    }
}

#[test]
fn what_breaks_a_rule_of_form_is_not_understood() {
    for text in ["", &"x".repeat(Text::BYTES_MAX + 1)] {
        let asked = serde_json::json!({
            "command": { "add_message": { "chat": id::<Uuid>(1), "author": id::<Uuid>(2), "text": text } },
            "key": null,
            "by": "unknown",
        });
        let heard = serde_json::from_value::<Asked<Command, String>>(asked);
        assert!(heard.is_err_and(|error| error.to_string().contains("must")), "{} bytes", text.len());
    }
}

#[test]
fn an_answer_is_understood_as_it_is_given() {
    let created_at = time(1_700_000_000_000_001);
    let sent = |seq| SentMessage { id: id(9), seq: Seq(seq), created_at };
    let outcomes = [
        Outcome::User(id(1)),
        Outcome::Chat(id(1)),
        Outcome::Message(sent(1)),
        Outcome::Messages(vec![sent(1), sent(2)]),
        Outcome::TokensFrom(3),
        Outcome::Done,
    ];
    for (outcome, replayed) in outcomes.into_iter().zip([true, false].into_iter().cycle()) {
        let accepted = Accepted { receipt: Receipt { position: Position(u64::MAX), outcome }, replayed };
        let given = serde_json::to_vec(&Answer::Ok(accepted.clone())).expect("JSON");
        let heard: Answer = serde_json::from_slice(&given).expect("understood");
        assert_eq!(heard.expect("accepted"), accepted);
    }
    let refusals = [
        Refusal::UserNotFound { user: id(1), field: UserField::Users(3) },
        Refusal::ChatNotFound { chat: id(1) },
        Refusal::NotAMember { chat: id(1), user: id(2), field: UserField::Caller },
        Refusal::BeyondLastMessage { seq: Seq(2), last: Seq(1) },
        Refusal::UsernameTaken { username: "ann".to_owned() },
        Refusal::ChatNameTaken { name: "tea".to_owned() },
        Refusal::KeyReused { key: "k".to_owned() },
    ];
    let of_message = |refusal| Refusal::OfMessage { index: 1, refusal: Box::new(refusal) };
    let all = refusals.iter().cloned().chain(refusals.iter().cloned().map(of_message));
    let others = [
        SubmitError::Overloaded,
        SubmitError::StorageFull,
        SubmitError::TooLarge { bytes: 2, bytes_max: 1 },
        SubmitError::Unavailable,
        SubmitError::Unconfirmed,
        SubmitError::ShuttingDown,
        SubmitError::Failed,
    ];
    for refused in all.map(SubmitError::from).chain(others) {
        let given = serde_json::to_vec(&Answer::Err(refused)).expect("JSON");
        let heard: Answer = serde_json::from_slice(&given).expect("understood");
        // An error cannot be compared, but all that it holds is shown.
        let again = serde_json::to_vec(&heard).expect("JSON");
        assert_eq!(String::from_utf8(again), String::from_utf8(given));
    }
}

/// A log of two users, a chat of the first one, and a message.
fn small_log() -> MemoryLog {
    let (chat, author) = (id(1), id(1));
    let events = [
        Event::UserAdded { id: id(1), username: "ann".into() },
        Event::UserAdded { id: id(2), username: "bob".into() },
        Event::ChatAdded { id: chat, name: "tea".into(), users: vec![author] },
        Event::MessageAdded { id: id(9), chat, author, text: "hello".into() },
    ];
    let mut log = MemoryLog::default();
    append(&mut log, Position(1), events.into(), &Actor::Unknown);
    log
}

fn append(log: &mut MemoryLog, first: Position, events: Vec<Event<'_>>, by: &Actor<'_>) {
    let mut frame = Frame::new(first);
    for (number, event) in (first.0..).zip(events) {
        frame.push(&Record { time: time(number), by: by.borrowed(), key: None, event });
    }
    log.append(&mut frame).expect("memory");
}

fn replay(log: &mut MemoryLog) -> Model {
    let settings = EngineSettings { queue_max: 1, can_follow_all: true };
    projector::replay(log, settings, &ReplayProgress::default()).expect("every event can be applied")
}

/// Commands as another server may send them, with the values that break something first.
fn commands() -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["ann", "bob", "tea", "new"]);
    let user = || (1..4_u128).prop_map(id::<UserId>);
    let chat = || (1..3_u128).prop_map(id::<ChatId>);
    let message = (chat(), user()).prop_map(|(chat, author)| NewMessage { chat, author, ..message("a") });
    let number = || prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), 0..4_u64];
    prop_oneof![
        name().prop_map(|name| Command::AddUser {
            username: Username::try_from(name.to_owned()).expect("good")
        }),
        (name(), vec(user(), 0..4)).prop_map(|(name, users)| Command::AddChat {
            name: ChatName::try_from(name.to_owned()).expect("good"),
            users
        }),
        vec(message, 0..3).prop_map(Command::AddMessages),
        (chat(), user()).prop_map(|(chat, user)| Command::AddMember { chat, user }),
        (chat(), user()).prop_map(|(chat, user)| Command::RemoveMember { chat, user }),
        (chat(), user(), number()).prop_map(|(chat, user, seq)| Command::MarkRead {
            chat,
            user,
            seq: Seq(seq)
        }),
        (user(), number()).prop_map(|(user, from)| Command::RevokeTokens { user, from }),
    ]
}

fn actors() -> impl Strategy<Value = Actor<'static>> {
    let names = prop::sample::select(vec!["back-end", "", "no name\n", "\u{202e}"]);
    prop_oneof![
        Just(Actor::Unknown),
        names.prop_map(|name| Actor::Key(Cow::Borrowed(name))),
        (1..4_u128).prop_map(|user| Actor::User(id(user))),
    ]
}

proptest! {
    #[test]
    fn what_a_sound_command_becomes_can_be_replayed(command in commands(), by in actors()) {
        let mut log = small_log();
        let model = replay(&mut log);
        if !is_sound(model.index(), &command, &by, time(10)) {
            return Ok(());
        }
        let stamps: Vec<_> = (0..command.events_max() as u64)
            .map(|number| Stamp { time: time(5 + number), id: Uuid::from_u128(100 + u128::from(number)) })
            .collect();
        let events = match decide(model.index(), &command, &by, &stamps) {
            Ok(Decision::Event(event)) => vec![event],
            Ok(Decision::Events(events)) => events,
            Ok(Decision::Unchanged) | Err(_) => return Ok(()),
        };
        let decided = events.len() as u64;
        append(&mut log, Position(5), events, &by);
        prop_assert_eq!(replay(&mut log).position(), Position(4 + decided));
    }
}
