//! A server owns its data directory: no second server writes in it, and nothing is acknowledged into a
//! directory or a segment that is gone.

use std::fs::{Permissions, read_dir, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ended, TestServer, binary, run_to_end, segments, serve_to_end};

fn verify(data: &Path) -> Ended {
    run_to_end(binary().args(["log", "verify", "--data"]).arg(data))
}

#[tokio::test]
async fn a_lost_lock_file_admits_no_second_server() {
    let server = TestServer::start();
    let lock = server.data.join("LOCK");
    let changes: [(&str, &dyn Fn()); 4] = [
        ("left alone", &|| {}),
        ("removed", &|| std::fs::remove_file(&lock).unwrap()),
        ("replaced", &|| std::fs::write(&lock, "").unwrap()),
        ("moved", &|| std::fs::rename(&lock, lock.with_extension("old")).unwrap()),
    ];
    for (what, change) in changes {
        change();
        let ended = serve_to_end(&server.data, &[]);
        assert_eq!(ended.code, Some(4), "LOCK was {what}: {}", ended.stderr);
    }
    server.add_user("ann").await;
    assert_eq!(server.kill().restart().position().await, 1);
}

#[tokio::test]
async fn a_server_without_its_files_acknowledges_nothing() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("the directory was removed", |data| std::fs::remove_dir_all(data).unwrap()),
        ("the directory was moved", |data| std::fs::rename(data, data.with_extension("moved")).unwrap()),
        ("the segment was removed", |data| std::fs::remove_file(&segments(data)[0]).unwrap()),
        ("the segment was moved", |data| {
            let segment = &segments(data)[0];
            std::fs::rename(segment, segment.with_extension("moved")).unwrap();
        }),
        ("the directory was replaced by a copy", |data| {
            let moved = data.with_extension("moved");
            std::fs::rename(data, &moved).unwrap();
            std::fs::create_dir(data).unwrap();
            for segment in segments(&moved) {
                std::fs::copy(&segment, data.join(segment.file_name().unwrap())).unwrap();
            }
        }),
    ];
    for (what, change) in changes {
        let server = TestServer::start();
        server.add_user("ann").await;
        change(&server.data);
        let answer = server.try_post("/users/add", &json!({ "username": "bob" })).await;
        assert!(answer.is_err() || answer.is_ok_and(|reply| reply.status == 500), "{what}");
        let (_, ended) = server.ended(Duration::from_secs(10));
        assert_eq!(ended.code, Some(1), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("no longer there"), "{what}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn only_the_owner_reads_what_a_server_writes() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data), 0o700);
    let files: Vec<_> = read_dir(&server.data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let (_, ended) = server.terminate();
    assert!(!ended.stderr.contains("other users"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_directory_that_others_may_read_is_warned_of() {
    for (mode, is_wide) in [(0o700, false), (0o750, true), (0o705, true)] {
        let dir = TempDir::new().unwrap();
        set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let (_, ended) = TestServer::start_at(dir.path(), &[]).terminate();
        assert_eq!(ended.stderr.contains("other users"), is_wide, "{mode:o}: {}", ended.stderr);
    }
}

/// Such names are left by programs that copy or restore files.
#[tokio::test]
async fn a_misnamed_log_is_not_an_empty_one() {
    for name in ["00000000000000000001 (1).log", "00000000000000000001.LOG"] {
        let server = TestServer::start();
        server.add_user("ann").await;
        let (stopped, _) = server.terminate();
        let misnamed = stopped.data.join(name);
        std::fs::rename(&stopped.segments()[0], &misnamed).unwrap();
        for ended in [serve_to_end(&stopped.data, &[]), verify(&stopped.data)] {
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            assert!(ended.stderr.contains(name), "{}", ended.stderr);
        }
        std::fs::rename(&misnamed, stopped.data.join("00000000000000000001.log")).unwrap();
        assert_eq!(stopped.restart().position().await, 1);
    }
}

/// A server that has lost its directory to a copy begins segments too, in the directory that it has locked.
#[tokio::test]
async fn a_replaced_directory_is_left_to_its_new_server() {
    let old = TestServer::start();
    let ann = old.add_user("ann").await;
    let den = old.add_chat("den", &[&ann]).await;
    let moved = old.data.with_extension("moved");
    std::fs::rename(&old.data, &moved).unwrap();
    std::fs::create_dir(&old.data).unwrap();
    for segment in segments(&moved) {
        std::fs::copy(&segment, old.data.join(segment.file_name().unwrap())).unwrap();
    }
    let new = TestServer::start_at(&old.data, &["--segment-bytes", "65536"]);
    // Given that both write more than a segment holds.
    let text = "x".repeat(16_000);
    let message = json!({ "chat": den, "author": ann, "text": text });
    let batch = json!({ "messages": [message, message, message, message, message] });
    assert_eq!(new.post("/messages/batch", &batch).await.status, 201);
    let answer = old.try_post("/messages/batch", &batch).await;
    assert!(answer.is_err() || answer.is_ok_and(|reply| reply.status == 500));
    let (_kept, ended) = old.ended(Duration::from_secs(10));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    // Then the new server has all that it has acknowledged.
    assert_eq!(new.post("/messages/batch", &batch).await.status, 201);
    let new = new.kill().restart();
    assert_eq!(new.messages(&den).await.len(), 10);
}

#[tokio::test]
async fn a_misnamed_last_segment_does_not_shorten_a_log() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let text = "x".repeat(16_000);
    while segments(&server.data).len() < 3 {
        server.add_message(&den, &ann, &text).await;
    }
    let (stopped, _) = server.terminate();
    let last = stopped.segments().pop().unwrap();
    let misnamed = last.with_extension("LOG");
    std::fs::rename(&last, &misnamed).unwrap();
    for ended in [serve_to_end(&stopped.data, &[]), verify(&stopped.data)] {
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    }
    // A second copy of a segment that is there does no harm.
    std::fs::copy(&misnamed, &last).unwrap();
    assert_eq!(verify(&stopped.data).code, Some(0));
}
