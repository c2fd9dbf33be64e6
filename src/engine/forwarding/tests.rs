//! What servers make of each other's commands and answers.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{
    ChatId, ChatName, Decision, Emoji, ErasedMessages, Event, MessageEdit, MessageExtras, MessageField,
    Metadata, NewMessage, Position, Reaction, Record, Refusal, Seq, Stamp, Text, UserField, UserId, Username,
    decide,
};
use crate::engine::{Accepted, EngineSettings, ReplayProgress, projector};
use crate::log::{Frame, MemoryLog};
use crate::model::{Outcome, Receipt, SentMessage};

fn id<T: From<Uuid>>(number: u128) -> T {
    Uuid::from_u128(number).into()
}

fn message(text: &str) -> NewMessage {
    NewMessage {
        chat: id(1),
        author: id(2),
        text: Text::try_from(text.to_owned()).expect("a text"),
        with: None,
    }
}

fn metadata(json: &str) -> Metadata {
    Metadata::try_from(json.to_owned()).expect("metadata")
}

fn edit(chat: ChatId, seq: Seq, user: Option<UserId>) -> MessageEdit {
    let text = Some(Text::try_from("b".to_owned()).expect("a text"));
    MessageEdit { chat, seq, user, text, metadata: Some(metadata(r#"{"a": 1}"#)) }
}

fn reaction(chat: ChatId, seq: Seq, user: UserId) -> Reaction {
    Reaction { chat, seq, user, emoji: Emoji::try_from("👍".to_owned()).expect("an emoji") }
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
            name: Some(ChatName::try_from(name("tea")).expect("a name")),
            users: vec![id(2), id(3)],
        },
        Command::AddMessage(message("\u{1}\n\u{1F600}\\")),
        Command::AddMessages(vec![message("a"), message("b")]),
        Command::AddMember { chat: id(1), user: id(2) },
        Command::RemoveMember { chat: id(1), user: id(2) },
        Command::MarkRead { chat: id(1), user: id(2), seq: Seq(u64::MAX) },
        Command::RevokeTokens { user: id(2), from: 7 },
        Command::AddChat { name: None, users: vec![id(2)] },
        Command::AddDirectChat { users: [id(2), id(3)] },
        Command::AddMessage(NewMessage {
            with: MessageExtras::of(Some(Seq(1)), Some(metadata("{ \"é\": [1.0, null] }"))),
            ..message("a")
        }),
        Command::EditMessage(Box::new(edit(id(1), Seq(1), None))),
        Command::EditMessage(Box::new(MessageEdit { text: None, ..edit(id(1), Seq(1), Some(id(2))) })),
        Command::DeleteMessage {
            chat: id(1),
            seq: Seq(1),
            user: Some(id(2)),
            is_moderator: true,
            erase: false,
        },
        Command::AddReaction(Box::new(reaction(id(1), Seq(1), id(2)))),
        Command::RemoveReaction(Box::new(reaction(id(1), Seq(1), id(2)))),
        Command::EditChat { chat: id(1), name: None, metadata: Some(metadata("{}")) },
        Command::EditUser { user: id(2), username: None, metadata: Some(metadata("{}")) },
        Command::EraseUser { user: id(2), messages: ErasedMessages::Keep },
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
        Outcome::ExistingChat(id(1)),
        Outcome::EditedAt(Some(created_at)),
        Outcome::EditedAt(None),
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
        Refusal::MessageNotFound { chat: id(1), seq: Seq(2), field: MessageField::ReplyTo },
        Refusal::MessageDeleted { chat: id(1), seq: Seq(2), field: MessageField::Seq },
        Refusal::NotTheAuthor { chat: id(1), seq: Seq(2), user: id(2) },
        Refusal::TooManyReactions { chat: id(1), seq: Seq(2), user: id(2), emoji: 100, of_user: 20 },
        Refusal::DirectChat { chat: id(1) },
        Refusal::UserErased { user: id(1), field: UserField::User },
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

/// A log of two users, a chat of the first one, and a message with a reaction.
fn small_log() -> MemoryLog {
    let (chat, author) = (id(1), id(1));
    let events = [
        Event::UserAdded { id: id(1), username: "ann".into() },
        Event::UserAdded { id: id(2), username: "bob".into() },
        Event::ChatAdded { id: chat, name: "tea".into(), users: vec![author] },
        Event::MessageAdded { id: id(9), chat, author, text: "hello".into() },
        Event::ReactionAdded { chat, seq: Seq(1), user: author, emoji: "👍".into() },
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
    let settings = EngineSettings { queue_max: 1, can_follow_all: true, scrub: None };
    projector::replay(log, settings, &ReplayProgress::default()).expect("every event can be applied")
}

/// Commands as another server may send them, with the values that break something first.
fn commands() -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["ann", "bob", "tea", "new"]);
    let user = || (1..4_u128).prop_map(id::<UserId>);
    let chat = || (1..3_u128).prop_map(id::<ChatId>);
    let number = || prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), 0..4_u64];
    let seq = || number().prop_map(Seq);
    let any_metadata = || prop::option::of(prop::sample::select(vec!["{}", r#"{"a":1}"#]).prop_map(metadata));
    let with = (prop::option::of(seq()), any_metadata())
        .prop_map(|(reply_to, metadata)| MessageExtras::of(reply_to, metadata));
    let message = (chat(), user(), with).prop_map(|(chat, author, with)| NewMessage {
        chat,
        author,
        with,
        ..message("a")
    });
    let chat_name = |name: &str| ChatName::try_from(name.to_owned()).expect("good");
    let username = |name: &str| Username::try_from(name.to_owned()).expect("good");
    let messages = prop_oneof![
        message.clone().prop_map(Command::AddMessage),
        vec(message, 0..3).prop_map(Command::AddMessages),
        (chat(), seq(), prop::option::of(user()), any_metadata()).prop_map(|(chat, seq, user, metadata)| {
            Command::EditMessage(Box::new(MessageEdit { metadata, ..edit(chat, seq, user) }))
        }),
        (chat(), seq(), prop::option::of(user()), any::<[bool; 2]>()).prop_map(
            |(chat, seq, user, [is_moderator, erase])| Command::DeleteMessage {
                chat,
                seq,
                user,
                is_moderator,
                erase
            }
        ),
        (chat(), seq(), user())
            .prop_map(|(chat, seq, user)| Command::AddReaction(Box::new(reaction(chat, seq, user)))),
        (chat(), seq(), user())
            .prop_map(|(chat, seq, user)| Command::RemoveReaction(Box::new(reaction(chat, seq, user)))),
        (chat(), user(), seq()).prop_map(|(chat, user, seq)| Command::MarkRead { chat, user, seq }),
    ];
    let others = prop_oneof![
        name().prop_map(move |name| Command::AddUser { username: username(name) }),
        (prop::option::of(name()), vec(user(), 0..4))
            .prop_map(move |(name, users)| Command::AddChat { name: name.map(chat_name), users }),
        [user(), user()].prop_map(|users| Command::AddDirectChat { users }),
        (chat(), user()).prop_map(|(chat, user)| Command::AddMember { chat, user }),
        (chat(), user()).prop_map(|(chat, user)| Command::RemoveMember { chat, user }),
        (user(), number()).prop_map(|(user, from)| Command::RevokeTokens { user, from }),
        (chat(), prop::option::of(name()), any_metadata()).prop_map(move |(chat, name, metadata)| {
            Command::EditChat { chat, name: name.map(chat_name), metadata }
        }),
        (user(), prop::option::of(name()), any_metadata()).prop_map(move |(user, name, metadata)| {
            Command::EditUser { user, username: name.map(username), metadata }
        }),
        (user(), prop::sample::select(vec![ErasedMessages::Erase, ErasedMessages::Keep]))
            .prop_map(|(user, messages)| Command::EraseUser { user, messages }),
    ];
    prop_oneof![messages, others]
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
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_a_sound_command_becomes_can_be_replayed(command in commands(), by in actors()) {
        let mut log = small_log();
        let model = replay(&mut log);
        if !is_sound(&model, &command, &by, time(10)) {
            return Ok(());
        }
        let stamps: Vec<_> = (0..command.events_max() as u64)
            .map(|number| Stamp { time: time(6 + number), id: Uuid::from_u128(100 + u128::from(number)) })
            .collect();
        let events = match decide(&model, &command, &by, &stamps) {
            Ok(Decision::Event(event)) => vec![event],
            Ok(Decision::Events(events)) => events,
            Ok(Decision::Unchanged | Decision::NothingEdited(_) | Decision::ChatExists(_)) | Err(_) => return Ok(()),
        };
        let decided = events.len() as u64;
        append(&mut log, Position(6), events, &by);
        prop_assert_eq!(replay(&mut log).position(), Position(5 + decided));
    }
}
