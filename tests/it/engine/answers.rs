//! When a write is seen and answered.

use std::time::Duration;

use tokio::time::timeout;

use chinwag::domain::Refusal;
use chinwag::engine::SubmitError;

use super::{add_user, plug, start, submit};
use crate::support::AppendOutcome;

#[tokio::test]
async fn nothing_is_seen_or_answered_before_it_is_durable() {
    let (engine, _end, script) = start(10);
    let mut submitted = std::pin::pin!(submit(&engine, add_user("ann")));
    for _ in 0..20 {
        let answered = timeout(Duration::from_millis(5), &mut submitted).await;
        assert!(answered.is_err(), "answered before the log has it: {answered:?}");
        engine.read(|model| assert!(model.user_named("ann").is_none() && model.position().0 == 0));
    }
    script.give([AppendOutcome::Stored]);
    submitted.await.expect("stored");
    engine.read(|model| assert!(model.user_named("ann").is_some() && model.position().0 == 1));
}

#[tokio::test]
async fn a_refusal_within_a_batch_waits_for_its_sync() {
    let (engine, _end, script) = start(10);
    let plug = plug(&engine, &script).await;
    let mut both =
        Box::pin(async { tokio::join!(submit(&engine, add_user("ann")), submit(&engine, add_user("ann"))) });
    let patience = Duration::from_millis(50);
    assert!(timeout(patience, &mut both).await.is_err());
    script.give([AppendOutcome::Stored]);
    plug.await;
    assert!(timeout(patience, &mut both).await.is_err(), "neither the success nor the refusal");
    script.give([AppendOutcome::Stored]);
    let (first, second) = both.await;
    assert!(first.is_ok());
    assert!(matches!(second, Err(SubmitError::Refused(Refusal::UsernameTaken { .. }))), "{second:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_changes_nothing() {
    let (engine, _end, script) = start(10);
    {
        let submitted = submit(&engine, add_user("ann"));
        let patience = Duration::from_millis(20);
        assert!(timeout(patience, submitted).await.is_err(), "given up");
    }
    script.give([AppendOutcome::Stored, AppendOutcome::Stored]);
    assert_eq!(submit(&engine, add_user("bob")).await.expect("stored").position.0, 2);
    engine.read(|model| assert!(model.user_named("ann").is_some()));
}
