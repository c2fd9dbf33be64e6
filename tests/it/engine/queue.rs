//! The queue of writes: its bounds, and the counts of what is refused.

use futures_util::future::join_all;
use uuid::Uuid;

use chinwag::domain::{Command, NewMessage, Text};
use chinwag::engine::{Engine, SubmitError};
use chinwag::model::Receipt;

use super::{add_user, plug, start, submit};
use crate::support::AppendOutcome;

#[tokio::test]
async fn a_full_queue_refuses_without_losing_queued_writes() {
    let (engine, _end, script) = start(3);
    let plug = plug(&engine, &script).await;
    let names: Vec<_> = (0..20).map(|number| format!("user {number}")).collect();
    let answers = join_all(names.iter().map(|name| submit(&engine, add_user(name))));
    let release = async { script.give([AppendOutcome::Stored, AppendOutcome::Stored]) };
    let (answers, (), ()) = tokio::join!(answers, plug, release);
    for (index, (name, answer)) in names.iter().zip(&answers).enumerate() {
        assert!(
            matches!((index, answer), (0..3, Ok(_)) | (3.., Err(SubmitError::Overloaded))),
            "{answers:?}"
        );
        assert_eq!(engine.read(|model| model.user_named(name).is_some()), answer.is_ok());
    }
}

#[tokio::test]
async fn queued_writes_are_limited_by_bytes() {
    let (engine, _end, script) = start(1_000);
    let plug = plug(&engine, &script).await;
    // 16 MB each; four of them are still short of the bound. The chat that they name does not exist.
    let text = "x".repeat(16_384);
    let message = |_| {
        let (chat, author) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        NewMessage { chat, author, text: Text::try_from(text.clone()).unwrap(), with: None }
    };
    let long = || submit(&engine, Command::AddMessages((0..1_000).map(message).collect()));
    let answers = join_all((0..6).map(|_| long()));
    let (answers, (), ()) = tokio::join!(answers, plug, async { script.give([AppendOutcome::Stored]) });
    let overloaded = |answer: &Result<Receipt, SubmitError>| matches!(answer, Err(SubmitError::Overloaded));
    assert_eq!(answers.iter().map(overloaded).collect::<Vec<_>>(), [false, false, false, false, false, true]);
    assert!(!overloaded(&long().await), "there is room again");
}

#[tokio::test]
async fn a_refused_write_gives_its_bytes_back() {
    let (engine, _end, script) = start(1);
    let plug = plug(&engine, &script).await;
    let texts = 1_000;
    let text = Text::try_from("x".repeat(16_384)).unwrap();
    let message = |_| {
        let (chat, author) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        NewMessage { chat, author, text: text.clone(), with: None }
    };
    // 16 MB each: the refused ones are beyond the bound of 64 MiB together.
    let long = || submit(&engine, Command::AddMessages((0..texts).map(message).collect()));
    let queued = submit(&engine, add_user("ann"));
    let refused = async {
        for _ in 0..5 {
            assert!(matches!(long().await, Err(SubmitError::Overloaded)));
        }
        script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    };
    let (queued, (), ()) = tokio::join!(queued, refused, plug);
    queued.expect("stored");
    script.give([AppendOutcome::Stored]);
    submit(&engine, add_user("bob")).await.expect("there is room");
}

/// Returns the values of `chinwag_writes_refused_total` by reason.
fn refusals(engine: &Engine) -> Vec<(String, u64)> {
    let families = engine.metrics();
    let refused = families.iter().find(|family| family.name() == "chinwag_writes_refused_total");
    let counts = refused.expect("counted").get_metric().iter().map(|count| {
        let [label] = count.get_label() else { panic!("one label: {count:?}") };
        assert_eq!(label.name(), "reason");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        (label.value().to_owned(), count.get_counter().get_value() as u64)
    });
    counts.collect()
}

#[tokio::test]
async fn refused_writes_are_counted_by_reason() {
    let (engine, _end, script) = start(1);
    script.give([AppendOutcome::Stored, AppendOutcome::NoRoom]);
    submit(&engine, add_user("ann")).await.expect("stored");
    submit(&engine, add_user("ann")).await.expect_err("a rule");
    submit(&engine, add_user("bob")).await.expect_err("no room");
    script.wait_for_appends(2);
    let plug = plug(&engine, &script).await;
    let overload = join_all(["bob", "cid", "dan", "eve"].map(|name| submit(&engine, add_user(name))));
    let release = async { script.give([AppendOutcome::Stored, AppendOutcome::Failed]) };
    tokio::join!(overload, release, plug);
    submit(&engine, add_user("bob")).await.expect_err("stopped");
    let reasons = refusals(&engine);
    let reasons: Vec<_> = reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    let expected = [
        ("log_failed", 1),
        ("overloaded", 3),
        ("rule", 1),
        ("shutting_down", 1),
        ("storage_full", 1),
        ("unavailable", 0),
        ("unconfirmed", 0),
    ];
    assert_eq!(reasons, expected);
}
