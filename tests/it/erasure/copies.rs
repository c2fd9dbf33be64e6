//! `chinwag log scrub`, for copies of a log

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::{AT_ONCE, CANARY, holding, wait_until_scrubbed};
use crate::support::{Ended, TestServer, binary, exported, run_to_end};

fn scrub(data: &Path, more: &[&str]) -> Ended {
    run_to_end(binary().args(["log", "scrub", "--data"]).arg(data).args(more))
}

/// Copies the files of a directory.
fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a temporary directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).expect("copied");
    }
    to
}

#[tokio::test]
async fn a_backup_loses_what_was_erased_since() {
    let server = TestServer::start_with(&AT_ONCE);
    let (ann, bob) = (server.add_user(&format!("{CANARY} ann")).await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    server.add_message(&den, &ann, CANARY).await;
    server.add_message(&den, &bob, "kept").await;
    let backup = copy(&server.data);
    let before = exported(backup.path());
    // By itself, nothing is due in it.
    scrub(backup.path(), &[]).expect(0, &[]);
    assert_eq!(exported(backup.path()), before);
    assert_eq!(server.post("/users/erase", &json!({ "user": ann, "messages": "erase" })).await.status, 202);
    wait_until_scrubbed(&server.data).await;
    let live = server.data.display().to_string();
    scrub(backup.path(), &["--erasures-of", &live]).expect(0, &[]);
    assert!(holding(CANARY, backup.path()).is_empty());
    // It is the same log as the live one, up to where it was copied.
    let (backup, live) = (exported(backup.path()), exported(&server.data));
    assert!(live.starts_with(&backup), "{backup} and {live}");
    assert_eq!(backup.lines().count(), before.lines().count());
}

#[tokio::test]
async fn a_log_is_scrubbed_by_itself_after_the_time_that_is_given() {
    let server = TestServer::start();
    let bob = server.add_user("bob").await;
    let den = server.add_chat("den", &[&bob]).await;
    server.add_message(&den, &bob, CANARY).await;
    server.post("/messages/delete", &json!({ "chat": den, "seq": 1 })).await.done();
    let (stopped, _) = server.terminate();
    scrub(&stopped.data, &["--keep-deleted-days", "1"]).expect(0, &[]);
    assert!(!holding(CANARY, &stopped.data).is_empty());
    scrub(&stopped.data, &["--keep-deleted-days", "0"]).expect(0, &[]);
    assert!(holding(CANARY, &stopped.data).is_empty());
    let server = stopped.restart();
    assert_eq!(server.messages(&den).await.len(), 1);
}

#[tokio::test]
async fn only_a_copy_is_scrubbed_by_another_log() {
    let [one, other] = [TestServer::start(), TestServer::start()];
    for server in [&one, &other] {
        server.add_user("ann").await;
    }
    let backup = copy(&one.data);
    let before = exported(backup.path());
    let refused = scrub(backup.path(), &["--erasures-of", &other.data.display().to_string()]);
    refused.expect(2, &["holds log", "only a copy of a log can be scrubbed by that log"]);
    assert_eq!(exported(backup.path()), before);
    // So is only one that goes on from it: not an older one, nor one that was restored.
    let (older, backup) = (backup, copy(&one.data));
    one.add_user("bob").await;
    let backup_of_more = copy(&one.data);
    for other in [older.path(), backup.path()] {
        let refused = scrub(backup_of_more.path(), &["--erasures-of", &other.display().to_string()]);
        refused.expect(2, &["does not go on from --data", "event 2"]);
    }
    let restored = TestServer::start_at(backup.path(), &[]);
    restored.add_user("cid").await;
    restored.add_user("dan").await;
    let refused = scrub(backup_of_more.path(), &["--erasures-of", &restored.data.display().to_string()]);
    refused.expect(2, &["does not go on from --data", "event 2"]);
    scrub(older.path(), &["--erasures-of", &restored.data.display().to_string()]).expect(0, &[]);
    scrub(&one.data, &[]).expect(4, &["in use"]);
    scrub(Path::new("/nowhere"), &[]).expect(2, &["/nowhere"]);
}
