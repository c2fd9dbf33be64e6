//! The replay of a log.

use uuid::Uuid;

use chinwag::domain::{Actor, ChatName, Command, Event, Position, Record, Timestamp};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress};
use chinwag::log::{EventLog, FileLog, Frame, LogError, MemoryLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::Model;

use super::{add_user, id, message, submit};

#[tokio::test]
async fn a_replayed_model_equals_the_written_one() {
    let disk = tempfile::tempdir().unwrap();
    let open = || {
        let disk = RealDisk::lock(disk.path()).unwrap();
        let log = FileLog::new(disk, SEGMENT_BYTES_MIN);
        let settings = EngineSettings { queue_max: 10, can_follow_all: true, scrub: None };
        Engine::start(Box::new(log), settings, &ReplayProgress::default()).unwrap()
    };
    let (engine, mut end) = open();
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    for chat in 0..5 {
        let name = ChatName::try_from(format!("chat {chat}")).unwrap();
        let chat =
            id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap())
                .into();
        for number in 0..300 {
            submit(&engine, message(chat, ann, &format!("message {number}"))).await.unwrap();
        }
    }
    engine.close();
    end.wait().await.unwrap();
    let (replayed, _end) = open();
    engine.read(|written| replayed.read(|read| assert!(written == read, "the models differ")));
    assert_eq!(replayed.read(Model::position).0, 1 + 5 * 301);
}

#[test]
fn contradicting_events_are_damage_instead_of_a_panic() {
    let user = |time, id: u128, username: &'static str| Record {
        time: Timestamp::from_micros(time).unwrap(),
        by: Actor::Unknown,
        key: None,
        event: Event::UserAdded { id: Uuid::from_u128(id).into(), username: username.into() },
    };
    let at = |time, event| {
        let time = Timestamp::from_micros(time).unwrap();
        Record { time, by: Actor::Unknown, key: None, event }
    };
    let nobody = Uuid::from_u128(99);
    let chat = Event::ChatAdded { id: nobody.into(), name: "tea".into(), users: vec![nobody.into()] };
    let text = "hello".into();
    let message = Event::MessageAdded { id: nobody.into(), chat: nobody.into(), author: nobody.into(), text };
    let revoked = |id: u128, from| at(2, Event::TokensRevoked { user: Uuid::from_u128(id).into(), from });
    let contradictions = [
        user(2, 1, "bob"),
        user(2, 2, "ann"),
        user(1, 2, "bob"),
        at(2, chat),
        at(2, message),
        revoked(99, 5),
        revoked(1, 0),
        revoked(1, u64::MAX),
    ];
    for contradiction in contradictions {
        let mut log = MemoryLog::default();
        let mut frame = Frame::new(Position(1));
        frame.push(&user(1, 1, "ann"));
        frame.push(&contradiction);
        log.append(&mut frame).unwrap();
        let settings = EngineSettings { queue_max: 1, can_follow_all: false, scrub: None };
        let started = Engine::start(Box::new(log), settings, &ReplayProgress::default());
        assert!(matches!(started, Err(LogError::Damaged { .. })), "{contradiction:?}");
    }
}
