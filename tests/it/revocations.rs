//! Revocations: an event from which on a user's older tokens are not good.

use chinwag::domain::{Actor, Command, Event, Position, Record, Timestamp, UserId};
use chinwag::engine::{Begin, Engine, EngineSettings, ReplayProgress, SubmitError};
use chinwag::log::{EventLog, Frame, MemoryLog};
use chinwag::model::Outcome;
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestEngine, exported, imported, server_key};

fn revoke(user: UserId, from: u64) -> Command {
    Command::RevokeTokens { user, from }
}

/// Returns the time from which the user's tokens are good, and the number of revocations.
fn revoked(server: &TestEngine, user: UserId) -> (u64, u64) {
    server.engine.read(|model| (model.tokens_from(model.user(user).unwrap()), model.revocations()))
}

#[tokio::test]
async fn a_revocation_is_kept() {
    // Given two revocations of Ann, of which the second has no later time, and none of Bob.
    let server = TestEngine::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    assert_eq!((revoked(&server, ann), revoked(&server, bob)), ((0, 0), (0, 0)));
    for (from, expected) in [(1_795_446_256, 1_795_446_256), (1_795_446_255, 1_795_446_257)] {
        let outcome = server.submit(revoke(ann, from), server_key("backend")).await;
        assert_eq!(outcome, Outcome::TokensFrom(expected));
    }
    // Then it is there after a restart,
    let server = server.restart().await;
    assert_eq!((revoked(&server, ann), revoked(&server, bob)), ((1_795_446_257, 2), (0, 2)));
    // in an export, and after an import of that.
    let dir = server.stop().await;
    let lines = exported(dir.path());
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let expected = json!({
        "v": 1, "position": 4, "time": last["time"], "type": "tokens_revoked", "user": ann,
        "from": 1_795_446_257, "by": { "key": "backend" },
    });
    assert_eq!(last, expected);
    let copy = imported(&lines);
    assert_eq!(exported(copy.path()), lines);
    let server = TestEngine::start_at(copy);
    assert_eq!(revoked(&server, ann), (1_795_446_257, 2));
}

#[tokio::test]
async fn revocations_of_one_batch_follow_each_other() {
    let server = TestEngine::start();
    let ann = server.add_user("ann").await;
    let all = join_all((0..50).map(|_| server.submit(revoke(ann, 100), Actor::Unknown))).await;
    let expected: Vec<_> = (100..150).map(Outcome::TokensFrom).collect();
    assert_eq!(all, expected);
    assert_eq!(revoked(&server, ann), (149, 50));
}

#[tokio::test]
async fn a_retried_revocation_has_its_first_answer() {
    let server = TestEngine::start();
    let ann = server.add_user("ann").await;
    let by = server_key("backend");
    // More than 32 bits, to be sure of both halves.
    let from = (7 << 32) + 5;
    let first = server.submit_keyed("k", revoke(ann, from), by.clone()).await.unwrap();
    server.submit(revoke(ann, from + 10), by.clone()).await;
    let check = async |server: &TestEngine| {
        // The server chooses another time for the retry.
        let retried = server.submit_keyed("k", revoke(ann, from + 20), by.clone()).await.unwrap();
        assert_eq!((retried.replayed, retried.receipt), (true, first.receipt.clone()));
        assert_eq!(first.receipt.outcome, Outcome::TokensFrom(from));
        assert_eq!(revoked(server, ann), (from + 10, 2));
    };
    check(&server).await;
    let server = server.restart().await;
    check(&server).await;
    let nobody = Uuid::nil().into();
    let refused = server.submit_keyed("k", revoke(nobody, from), by.clone()).await;
    assert!(matches!(refused, Err(SubmitError::Refused(_))), "{refused:?}");
}

#[test]
fn a_revocation_that_does_not_rise_is_damage() {
    for (second, is_sound) in [(101, true), (100, false), (99, false)] {
        let mut log = MemoryLog::default();
        let mut frame = Frame::new(Position(1));
        let user = Uuid::from_u128(1).into();
        let events = [
            Event::UserAdded { id: user, username: "ann".into() },
            Event::TokensRevoked { user, from: 100 },
            Event::TokensRevoked { user, from: second },
        ];
        for (event, time) in events.into_iter().zip(1..) {
            let time = Timestamp::from_micros(time).unwrap();
            frame.push(&Record { time, by: Actor::Unknown, key: None, event });
        }
        log.append(&mut frame).unwrap();
        let settings = EngineSettings { queue_max: 1, can_follow_all: false, scrub: None };
        let started = Engine::start(Box::new(log), settings, &ReplayProgress::default());
        assert_eq!(started.is_ok(), is_sound, "{second}");
    }
}

#[tokio::test]
async fn streams_do_not_show_a_revocation() {
    let server = TestEngine::start();
    let ann = server.add_user("ann").await;
    server.submit(revoke(ann, 100), Actor::Unknown).await;
    let mut follower = server.engine.follow(ann, Begin::After(Position(0))).unwrap();
    server.submit(revoke(ann, 200), Actor::Unknown).await;
    server.engine.end_following();
    assert!(!follower.wait().await, "the feed ends without an event");
}
