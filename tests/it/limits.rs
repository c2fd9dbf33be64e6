//! The system's limit on the length of a file (`ulimit -f`): a refusal or a clear error, and never a signal
//! that ends the process.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ended, Scene, TestServer, binary, binary_under, problem, run_to_end, segments};

/// Returns a shell script that runs its arguments with files limited to this number of KiB.
fn limited_to(kib: u32) -> String {
    // A soft limit, which a user who is not root can lift.
    format!("ulimit -S -f {kib}; exec \"$0\" \"$@\"")
}

/// Runs the binary on a directory, as the arguments of this shell script.
fn run_in(script: &str, words: &[&str], data: &Path) -> Ended {
    run_to_end(binary_under(&["bash", "-c", script]).args(words).arg("--data").arg(data))
}

fn limit(server: &TestServer, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(server.pid()), Resource::Fsize, limit).expect("a soft limit, of an own process");
}

/// Returns the offset behind the last byte of the file that is not zero.
fn used(file: &Path) -> u64 {
    let bytes = std::fs::read(file).unwrap();
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

#[tokio::test]
async fn a_server_without_room_for_a_segment_refuses_writes() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let server = TestServer::start_under(&["bash", "-c", &limited_to(32)], &data, &[]);
    let ann = json!({ "username": "ann" });
    for _ in 0..2 {
        problem(&server.post("/users/add", &ann).await, 507, "storage_full");
        assert_eq!(server.position().await, 0, "reads go on");
    }
    limit(&server, None);
    assert_eq!(server.post("/users/add", &ann).await.position(), 1);
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("(ulimit -f) is 32768 bytes"), "{}", ended.stderr);
    assert_eq!(stopped.restart().position().await, 1);
}

#[tokio::test]
async fn healthcheck_tells_whether_writes_have_room() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let check =
        |flags: &[&str]| run_to_end(binary().args(["healthcheck", "--listen", &server.address]).args(flags));
    assert_eq!(check(&["--writable"]).code, Some(0));
    limit(&server, Some(0));
    problem(&server.post("/users/add", &json!({ "username": "bob" })).await, 507, "storage_full");
    let refused = check(&["--writable"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("refuses writes"), "{}", refused.stderr);
    assert_eq!(check(&[]).code, Some(0), "reads go on");
    limit(&server, None);
    let lifted = Instant::now();
    while check(&["--writable"]).code != Some(0) {
        assert!(lifted.elapsed() < Duration::from_secs(20), "it needs a client's write to notice");
    }
    let (_, ended) = server.terminate();
    for words in ["refusing writes", "accepting writes again"] {
        assert_eq!(ended.stderr.matches(words).count(), 1, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_write_beyond_the_file_limit_is_refused_whole() {
    let scene = Scene::on(TestServer::start()).await;
    let server = &scene.server;
    let body = json!({ "chat": scene.den, "author": scene.ann, "text": "x".repeat(1_000) });
    assert_eq!(server.post("/messages/add", &body).await.status, 201);
    let position = server.position().await;
    let segment = segments(&server.data).remove(0);
    let before = std::fs::read(&segment).unwrap();
    for bytes in [0, 100, used(&segment), used(&segment) + 100] {
        limit(server, Some(bytes));
        problem(&server.post("/messages/add", &body).await, 507, "storage_full");
        assert_eq!(server.position().await, position);
        assert_eq!(std::fs::read(&segment).unwrap(), before, "no part of it is written: {bytes}");
    }
    limit(server, None);
    for more in 1..=80 {
        assert_eq!(server.post("/messages/add", &body).await.position(), position + more);
    }
    let chat = scene.den;
    let server = scene.server.kill().restart();
    assert_eq!(server.messages(&chat).await.len(), 81, "all that were acknowledged, and no other");
}

#[tokio::test]
async fn at_the_start_the_file_limit_is_exit_1() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let chat = server.add_chat("den", &[&ann]).await;
    server.add_message(&chat, &ann, &"x".repeat(16_000)).await;
    let stopped = server.terminate().0;
    let ended = run_in(&limited_to(16), &["serve", "--listen", "127.0.0.1:0"], &stopped.data);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let segment = stopped.segments().remove(0);
    for word in [segment.to_str().unwrap(), "the limit on the length of a file (ulimit -f) is 16384 bytes"] {
        assert!(ended.stderr.contains(word), "no {word} in {}", ended.stderr);
    }
    assert_eq!(stopped.restart().messages(&chat).await.len(), 1);
}

#[test]
fn an_import_beyond_the_file_limit_is_exit_1() {
    let dir = TempDir::new().unwrap();
    let line = json!({ "op": "message", "chat": "tea", "user": "ann", "time": "2004-11-15T12:18:00Z", "text": "hi" });
    let lines = dir.path().join("lines");
    std::fs::write(&lines, format!("{line}\n")).unwrap();
    let data = dir.path().join("data");
    let script = format!("{} <'{}'", limited_to(64), lines.display());
    let ended = run_in(&script, &["import"], &data);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("(ulimit -f) is 65536 bytes"), "{}", ended.stderr);
    assert!(!data.exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_repair_beyond_the_file_limit_is_exit_1() {
    let server = TestServer::start();
    for number in 0..100 {
        server.add_user(&format!("user {number}")).await;
    }
    let stopped = server.terminate().0;
    let segment = stopped.segments().remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8192 + 40] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let ended = run_in(&limited_to(1), &["log", "repair"], &stopped.data);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("(ulimit -f) is 1024 bytes"), "{}", ended.stderr);
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "as it was");
    let names = std::fs::read_dir(&stopped.data).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains("damaged")), "no copy is left");
}

#[tokio::test]
async fn an_export_beyond_the_file_limit_is_exit_1() {
    let server = TestServer::start();
    for number in 0..20 {
        server.add_user(&format!("user {number}")).await;
    }
    let out = server.data.join("out");
    let ended = run_in(&format!("{} >'{}'", limited_to(1), out.display()), &["export"], &server.data);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("failed to write the output: File too large"), "{}", ended.stderr);
}

/// A full disk, or the limit, may also hold what the process logs.
#[tokio::test]
async fn a_log_message_that_cannot_be_written_is_dropped() {
    let dir = TempDir::new().unwrap();
    let (data, script) = (dir.path().join("data"), "exec \"$0\" \"$@\" 2>/dev/full");
    let server = TestServer::start_under(&["bash", "-c", script], &data, &["--log", "debug"]);
    server.add_user("ann").await;
    let in_use = run_in(script, &["serve", "--listen", "127.0.0.1:0", "--log", "off"], &data);
    assert_eq!(in_use.code, Some(4), "the message is lost, the exit code is not");
    assert_eq!(server.terminate().1.code, Some(0));
}
