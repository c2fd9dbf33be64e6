//! A file system with no room left, twice over, and a restart on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::add_chats;
use super::block::{Mounted, make_ext4};
use crate::crash::{Diary, check_chats};
use crate::support::{Client, TestServer, problem};

const SEGMENT_BYTES: &str = "1048576";
const MIB: u64 = 1024 * 1024;

/// Sends messages, shorter ones when the long ones do not fit any more, until not even the shortest does.
async fn fill(client: &Client, chat: &str, author: &str, name: &str) -> Diary {
    let mut acknowledged: Vec<(String, Value)> = Vec::new();
    for bytes in [16_000, 4_000, 1_000, 100, 1] {
        loop {
            let text = format!("{name}: {} {}", acknowledged.len(), "x".repeat(bytes));
            let body = json!({ "chat": chat, "author": author, "text": text });
            let reply = client.post("/messages/add", &body).await;
            if reply.status != 201 {
                problem(&reply, 507, "storage_full");
                break;
            }
            acknowledged.push((text, reply.json()));
            assert!(acknowledged.len() < 10_000, "the disk is never full");
        }
    }
    // A refused message must not be there.
    Diary { chat: chat.to_owned(), acknowledged, in_doubt: String::new(), last_words: None }
}

/// Fills the file system completely.
fn add_ballast(path: &Path, bytes_max: u64) {
    let mut file = File::create(path).expect("a file");
    let mut written = 0;
    for piece in [64 * 1024, 1] {
        while written < bytes_max && file.write_all(&vec![1; piece]).is_ok() {
            written += piece as u64;
        }
    }
    // Without room, this may also fail.
    drop(file.sync_all());
}

async fn writes_stop_and_go_with_the_room(mount: &Mounted) {
    let ballast: Vec<PathBuf> = (0..3).map(|number| mount.at.join(format!("ballast {number}"))).collect();
    for path in &ballast {
        add_ballast(path, 4 * MIB);
    }
    let data = mount.at.join("data");
    let mut server = TestServer::start_at(&data, &["--segment-bytes", SEGMENT_BYTES]);
    let (author, chats) = add_chats(&server, 1).await;
    let mut known = BTreeMap::new();
    let mut counts = Vec::new();
    for (round, path) in ballast.iter().enumerate() {
        let diary = fill(&server, &chats[0], &author, &format!("round {round}")).await;
        counts.push(diary.acknowledged.len());
        assert!(diary.acknowledged.len() > 100, "there was room");
        check_chats(&server, &chats, &mut known, &[diary]).await;

        // However the server ends, it restarts on the full disk and serves reads.
        let stopped = if round % 2 == 0 { server.kill() } else { server.terminate().0 };
        server = stopped.restart();
        check_chats(&server, &chats, &mut known, &[]).await;
        let body = json!({ "chat": chats[0], "author": author, "text": "x".repeat(16_000) });
        problem(&server.post("/messages/add", &body).await, 507, "storage_full");
        let wrong = json!({ "chat": chats[0], "author": author, "text": "" });
        problem(&server.post("/messages/add", &wrong).await, 400, "invalid_field");

        std::fs::remove_file(path).expect("removed");
    }
    let diary = fill(&server, &chats[0], &author, "at last").await;
    counts.push(diary.acknowledged.len());
    check_chats(&server, &chats, &mut known, &[diary]).await;
    server = server.kill().restart();
    check_chats(&server, &chats, &mut known, &[]).await;
    eprintln!("full: {counts:?} messages between one full disk and the next, none lost");
}

/// On an empty directory of a full file system a server starts, and refuses writes until there is room.
async fn a_server_starts_on_a_full_disk(mount: &Mounted) {
    let data = mount.at.join("empty");
    std::fs::create_dir(&data).expect("a directory");
    let ballast = mount.at.join("ballast");
    add_ballast(&ballast, u64::MAX);
    let server = TestServer::start_at(&data, &["--segment-bytes", SEGMENT_BYTES]);
    assert_eq!(server.position().await, 0);
    let ann = json!({ "username": "ann" });
    problem(&server.post("/users/add", &ann).await, 507, "storage_full");
    problem(&server.post("/users/add", &json!({ "username": "" })).await, 400, "invalid_field");
    let server = server.kill().restart();
    problem(&server.post("/users/add", &ann).await, 507, "storage_full");
    std::fs::remove_file(&ballast).expect("removed");
    assert_eq!(server.post("/users/add", &ann).await.position(), 1);
    let server = server.kill().restart();
    problem(&server.post("/users/add", &ann).await, 409, "username_taken");
}

#[tokio::test]
#[ignore = "needs root, mounts"]
async fn writes_on_ext4_stop_and_resume_with_room() {
    let dir = TempDir::new().unwrap();
    make_ext4(&dir.path().join("image"), 24 * MIB);
    let mount = Mounted::ext4(&dir.path().join("image"), &dir.path().join("mounted"));
    writes_stop_and_go_with_the_room(&mount).await;
}

#[tokio::test]
#[ignore = "needs root, mounts"]
async fn writes_on_tmpfs_stop_and_resume_with_room() {
    let dir = TempDir::new().unwrap();
    let mount = Mounted::tmpfs(18, &dir.path().join("mounted"));
    writes_stop_and_go_with_the_room(&mount).await;
}

#[tokio::test]
#[ignore = "needs root, mounts"]
async fn a_server_starts_on_an_already_full_disk() {
    let dir = TempDir::new().unwrap();
    make_ext4(&dir.path().join("image"), 24 * MIB);
    let mount = Mounted::ext4(&dir.path().join("image"), &dir.path().join("mounted"));
    a_server_starts_on_a_full_disk(&mount).await;
    let mount = Mounted::tmpfs(4, &dir.path().join("memory"));
    a_server_starts_on_a_full_disk(&mount).await;
}
