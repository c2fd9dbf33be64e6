//! The limits of a batch, and of a frame.

use futures_util::future::join_all;

use chinwag::domain::{Actor, ChatName, Command, Refusal};
use chinwag::engine::{Engine, SubmitError};

use super::{add_user, id, message, plug, start, start_on, submit};
use crate::support::{AppendOutcome, LogScript, ScriptedLog};

/// Returns the number of these commands that are in their first batch. The log has room for that batch only.
async fn count_first_batch(
    commands: &[(Command, Actor<'static>)],
    engine: &Engine,
    script: &LogScript,
) -> usize {
    let plug = plug(engine, script).await;
    let commands = commands.iter().cloned();
    let batches = join_all(commands.map(|(command, by)| engine.submit(command, None, by)));
    let outcomes = [AppendOutcome::Stored, AppendOutcome::Stored, AppendOutcome::NoRoom];
    let (answers, (), ()) = tokio::join!(batches, plug, async { script.give(outcomes) });
    let (stored, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(refused.iter().all(|answer| matches!(answer, Err(SubmitError::StorageFull))), "{refused:?}");
    stored.len()
}

#[tokio::test]
async fn a_batch_has_at_most_1024_commands() {
    let (engine, _end, script) = start(2_000);
    let commands: Vec<_> =
        (0..1_500).map(|number| (add_user(&format!("user {number}")), Actor::Unknown)).collect();
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 1_024);
}

#[tokio::test]
async fn a_batch_of_1_mib_gets_no_more_commands() {
    let (engine, _end, script) = start(2_000);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);
    let commands = vec![(message(chat, ann, &"x".repeat(16 * 1024)), Actor::Unknown); 100];
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 64);
}

#[tokio::test]
async fn a_batch_names_at_most_254_actors() {
    let (engine, _end, script) = start(1_000);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    script.wait_for_appends(2);
    // Authors of their own messages, and those who were named before, are not counted.
    let own = vec![(message(chat, ann, "hi"), Actor::User(ann)); 300];
    let keys = (0..300).map(|number| Actor::key(format!("key-{number}")).unwrap());
    let by_keys = keys.flat_map(|key| vec![(message(chat, ann, "hi"), key); 2]);
    let commands: Vec<_> = own.into_iter().chain(by_keys).collect();
    assert_eq!(count_first_batch(&commands, &engine, &script).await, 300 + 2 * 253 + 1);
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_stored_in_parts() {
    // Given a log whose frames have room for a few users.
    let (mut log, script) = ScriptedLog::new();
    log.frame_bytes_max = 400;
    let (engine, _end, script) = start_on(log, script, 100);
    let users: Vec<_> = (0..12).map(|number| add_user(&format!("user {number}"))).collect();
    // When more are in one batch, with one who comes twice.
    let commands: Vec<_> = users.iter().chain(&users[..1]).cloned().collect();
    let plug = plug(&engine, &script).await;
    let batch = join_all(commands.iter().map(|command| submit(&engine, command.clone())));
    let outcomes = (0..commands.len()).map(|_| AppendOutcome::Stored);
    let (answers, (), ()) = tokio::join!(batch, plug, async { script.give(outcomes) });
    // Then several appends store each once, in order, and each gets its own answer.
    let positions: Vec<_> = answers.iter().flatten().map(|receipt| receipt.position.0).collect();
    assert!(positions.is_sorted() && positions.len() == users.len(), "{positions:?}");
    assert!(matches!(answers.last(), Some(Err(SubmitError::Refused(Refusal::UsernameTaken { .. })))));
    assert_eq!(engine.position().0, 13);
    assert!(script.appends() > 1, "one frame has no room for them");
}

#[tokio::test]
async fn a_command_that_does_not_fit_is_refused() {
    let (mut log, script) = ScriptedLog::new();
    log.frame_bytes_max = 400;
    let (engine, _end, script) = start_on(log, script, 100);
    script.give([AppendOutcome::Stored, AppendOutcome::Stored, AppendOutcome::Stored]);
    let ann = id(&submit(&engine, add_user("ann")).await.unwrap()).into();
    let name = ChatName::try_from("tea".to_owned()).unwrap();
    let chat =
        id(&submit(&engine, Command::AddChat { name: Some(name), users: vec![ann] }).await.unwrap()).into();
    let refused = submit(&engine, message(chat, ann, &"x".repeat(400))).await;
    assert!(
        matches!(refused, Err(SubmitError::TooLarge { bytes, bytes_max: 400 }) if bytes > 400),
        "{refused:?}"
    );
    // A shorter one fits.
    assert_eq!(submit(&engine, message(chat, ann, "x")).await.expect("stored").position.0, 3);
}
