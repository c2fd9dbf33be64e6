//! The end of the writer: a failed append, a panic, a clean end.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use chinwag::engine::{SubmitError, WriterError};

use super::{add_user, start, submit};
use crate::support::AppendOutcome;

#[tokio::test]
async fn a_failed_append_ends_the_writer() {
    let (engine, mut end, script) = start(10);
    // A second append would succeed, but the writer must not try it.
    script.give([AppendOutcome::Failed, AppendOutcome::Stored]);
    assert!(matches!(submit(&engine, add_user("ann")).await, Err(SubmitError::Failed)));
    let refused = submit(&engine, add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown)), "{refused:?}");
    assert!(matches!(end.wait().await, Err(WriterError::Log(_))));
    engine.read(|model| assert_eq!(model.position().0, 0));
    let refused = submit(&engine, add_user("bob")).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown)), "{refused:?}");
}

#[tokio::test]
async fn only_a_failed_batch_has_an_unknown_fate() {
    let (engine, _end, script) = start(10);
    let mut failing = Box::pin(submit(&engine, add_user("ann")));
    assert!(timeout(Duration::ZERO, &mut failing).await.is_err(), "it waits");
    script.wait_for_appends(1);
    let queued = join_all(["bob", "cid"].map(|name| submit(&engine, add_user(name))));
    let fail = async { script.give([AppendOutcome::Failed]) };
    let (failed, queued, ()) = tokio::join!(failing, queued, fail);
    assert!(matches!(failed, Err(SubmitError::Failed)), "{failed:?}");
    assert!(
        matches!(queued.as_slice(), [Err(SubmitError::ShuttingDown), Err(SubmitError::ShuttingDown)]),
        "{queued:?}"
    );
}

#[tokio::test]
async fn a_panic_in_the_writer_is_reported() {
    let (engine, mut end, script) = start(10);
    drop(script);
    assert!(matches!(submit(&engine, add_user("ann")).await, Err(SubmitError::Failed)));
    assert!(matches!(end.wait().await, Err(WriterError::Panicked)));
}

#[tokio::test]
async fn closing_finishes_accepted_writes_and_refuses_others() {
    let (engine, mut end, script) = start(10);
    let taken = submit(&engine, add_user("ann"));
    let close = async {
        engine.close();
        assert!(matches!(submit(&engine, add_user("bob")).await, Err(SubmitError::ShuttingDown)));
        script.give([AppendOutcome::Stored]);
    };
    let (taken, ()) = tokio::join!(taken, close);
    assert!(taken.is_ok());
    end.wait().await.expect("a clean end");
}
