//! Idempotency keys in the engine.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

use chinwag::domain::{Actor, ChatName, Command, IdempotencyKey, Refusal};
use chinwag::engine::{Accepted, Engine, SubmitError};

use super::{add_user, id, plug, start, submit};
use crate::support::AppendOutcome;

/// Submits under a key.
async fn submit_keyed(engine: &Engine, key: &str, command: Command) -> Result<Accepted, SubmitError> {
    submit_keyed_by(Actor::Unknown, engine, key, command).await
}

async fn submit_keyed_by(
    by: Actor<'static>,
    engine: &Engine,
    key: &str,
    command: Command,
) -> Result<Accepted, SubmitError> {
    let key = IdempotencyKey::new(key.to_owned(), &command, &by).unwrap();
    engine.submit(command, Some(key), by).await
}

#[tokio::test]
async fn within_a_batch_users_keys_are_their_own() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let [ann, bob] = [1, 2].map(|user| Actor::User(Uuid::from_u128(user).into()));
    let requests = [(ann.clone(), "a"), (bob, "b"), (Actor::Unknown, "c"), (ann.clone(), "a"), (ann, "d")];
    let batch = requests.map(|(by, username)| submit_keyed_by(by, &engine, "k", add_user(username)));
    let (answers, (), ()) = tokio::join!(join_all(batch), plug, async {
        script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    });
    let positions: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|accepted| (accepted.receipt.position.0, accepted.replayed)))
        .collect();
    assert_eq!(
        positions,
        [Some((2, false)), Some((3, false)), Some((4, false)), Some((2, true)), None],
        "{answers:?}"
    );
    assert!(matches!(answers[4], Err(SubmitError::Refused(Refusal::KeyReused { .. }))), "{answers:?}");
}

#[tokio::test]
async fn concurrent_writes_under_one_key_become_one_event() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let ann = || submit_keyed(&engine, "k", add_user("ann"));
    let bob = submit_keyed(&engine, "k", add_user("bob"));
    let mut all = Box::pin(async { tokio::join!(ann(), ann(), bob) });
    assert!(timeout(Duration::from_millis(20), &mut all).await.is_err());
    script.give([AppendOutcome::Stored]);
    plug.await;
    assert!(timeout(Duration::from_millis(50), &mut all).await.is_err(), "none before the first is durable");
    script.give([AppendOutcome::Stored]);
    let (first, second, third) = all.await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.receipt, second.receipt);
    assert!(matches!(third, Err(SubmitError::Refused(Refusal::KeyReused { .. }))), "{third:?}");
    engine.read(|model| assert_eq!(model.position().0, 2));
}

#[tokio::test]
async fn a_refusal_or_full_disk_leaves_keys_free() {
    let (engine, _end, script) = start(10);
    script.give([AppendOutcome::Stored, AppendOutcome::NoRoom]);
    submit(&engine, add_user("ann")).await.unwrap();
    let refused = submit_keyed(&engine, "k", add_user("ann")).await;
    assert!(matches!(refused, Err(SubmitError::Refused(Refusal::UsernameTaken { .. }))), "{refused:?}");
    let refused = submit_keyed(&engine, "k", add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::StorageFull)), "{refused:?}");
    script.give([AppendOutcome::Stored]);
    assert!(!submit_keyed(&engine, "k", add_user("cid")).await.unwrap().replayed);
    let retried = submit_keyed(&engine, "k", add_user("cid")).await.unwrap();
    assert_eq!((retried.replayed, retried.receipt.position.0), (true, 2));
}

#[tokio::test]
async fn a_write_without_effect_is_stored_with_keys_only() {
    let (engine, _end, script) = start(10);
    script.give((0..10).map(|_| AppendOutcome::Stored));
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    let (join, leave) = (Command::AddMember { chat, user: ann }, Command::RemoveMember { chat, user: ann });
    let is_member =
        || engine.read(|model| model.has_member(model.chat(chat).unwrap(), model.user(ann).unwrap()));

    assert_eq!(submit(&engine, join.clone()).await.unwrap().position.0, 2, "nothing was written");
    let first = submit_keyed(&engine, "join", join.clone()).await.unwrap();
    assert_eq!((first.replayed, first.receipt.position.0), (false, 3));
    assert_eq!(submit(&engine, leave).await.unwrap().position.0, 4);
    let retried = submit_keyed(&engine, "join", join).await.unwrap();
    assert_eq!((retried.replayed, retried.receipt), (true, first.receipt));
    assert!(!is_member(), "the retry does not undo what came between");
}
