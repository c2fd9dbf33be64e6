//! The power goes at any time: of what the disk was told after its last flush, any part may be there.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::block::{Export, Mounted, make_ext4};
use super::write_log::{WriteLog, entries_so_far};
use super::{Dice, add_chats, number, seed};
use crate::crash::{check_chats, finish_writers, start_writers};
use crate::support::{Client, Reply, TestServer};

const WRITERS: usize = 16;
const CHATS: usize = 4;
/// The author and the chats.
const EVENTS_BEFORE_MESSAGES: usize = 1 + CHATS;
const IMAGE_BYTES: u64 = 32 * 1024 * 1024;
/// Small, so that many are made while the disk is watched.
const SEGMENT_BYTES: &str = "131072";

/// An answer, and how many entries the log of the disk's writes held when it had come. Whatever was lost of the
/// entries after that number, the event that was answered must be there.
struct Answered {
    position: u64,
    entries: u64,
}

/// What a server did on a disk that was watched.
struct Watched {
    base: Vec<u8>,
    log: WriteLog,
    answered: Vec<Answered>,
    /// Entries when the server was started.
    started: usize,
    chats: Vec<String>,
    /// What was there in the end, which all that was acknowledged is a part of.
    messages: BTreeMap<String, Vec<Value>>,
}

async fn watch(dir: &Path) -> Watched {
    let [image, log, file, at] = ["image", "writes", "disk", "mounted"].map(|name| dir.join(name));
    make_ext4(&image, IMAGE_BYTES);
    let base = std::fs::read(&image).expect("the image");
    let export = Export::logged(&image, &log, &file);
    let mount = Mounted::ext4(&file, &at);
    let log_file = Arc::new(File::open(&log).expect("the log"));
    let started = usize::try_from(entries_so_far(&log_file)).expect("64 bits");

    let answered = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let answered = Arc::clone(&answered);
        // The answer first, then the number: what the answer says was durable before the number was read.
        move |reply: &Reply| {
            let answer = Answered { position: reply.position(), entries: entries_so_far(&log_file) };
            answered.lock().expect("no writer panics").push(answer);
        }
    };
    let server = TestServer::start_at(&at.join("data"), &["--segment-bytes", SEGMENT_BYTES]);
    let (author, chats) = add_chats(&server, CHATS).await;
    let mut messages = BTreeMap::new();
    let mut server = Some(server);
    for round in 0..2 {
        let running = server.take().expect("it runs");
        let writers =
            start_writers(&running, &chats, &author, WRITERS, &format!("round {round}"), note.clone());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stopped = running.kill();
        let diaries = finish_writers(writers).await;
        let restarted = stopped.restart();
        check_chats(&restarted, &chats, &mut messages, &diaries).await;
        server = Some(restarted);
    }
    drop(server);
    drop(mount);
    drop(export);
    let answered = std::mem::take(&mut *answered.lock().expect("no writer panics"));
    Watched { base, log: WriteLog::read(&log), answered, started, chats, messages }
}

/// What a server finds where the power was cut.
async fn check_cut(watched: &Watched, client: &Client, cut: usize) -> u64 {
    let position = client.get("/health").await.json()["position"].as_u64().expect("a position");
    let answered = watched.answered.iter().filter(|answered| answered.entries <= cut as u64);
    let promised = answered.map(|answered| answered.position).max().unwrap_or(0);
    assert!(position >= promised, "event {promised} was acknowledged, and the log ends with {position}");
    let mut found = 0;
    if position >= EVENTS_BEFORE_MESSAGES as u64 {
        for chat in &watched.chats {
            let recovered = client.messages(chat).await;
            assert!(watched.messages[chat].starts_with(&recovered), "not what was sent, in its order");
            found += recovered.len() as u64;
        }
        assert_eq!(found + EVENTS_BEFORE_MESSAGES as u64, position);
    }
    client.add_user("bob, who comes later").await;
    promised
}

/// Points in the log of writes, that many in all, from the start of the server to the very end.
fn cuts(watched: &Watched, count: usize, dice: &mut Dice) -> Vec<usize> {
    let all: Vec<usize> = (watched.started + 1..watched.log.len()).collect();
    let chunks = all.chunks(all.len().div_ceil(count.saturating_sub(1).max(1)).max(1));
    chunks.map(|chunk| dice.choose(chunk)).chain([watched.log.len()]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, qemu-storage-daemon, mounts"]
async fn acked_messages_survive_power_cuts() {
    let (count, seed) = (number("CHINWAG_POWER_CUTS", 200), seed());
    eprintln!("power: CHINWAG_POWER_CUTS={count} CHINWAG_SEED={seed}");
    let mut dice = Dice(seed);
    let dir = TempDir::new().unwrap();
    let watched = watch(dir.path()).await;
    let flush_count =
        (watched.started..watched.log.len()).filter(|&entry| watched.log.is_flush(entry)).count();
    eprintln!(
        "power: {} entries with {flush_count} flushes, {} answers; cut with the server off at {}",
        watched.log.len(),
        watched.answered.len(),
        watched.started
    );

    // The disk with all that was flushed, brought forward from cut to cut.
    let mut disk = watched.base.clone();
    let mut applied = 0;
    let (mut kept, mut lost, mut promised, mut tried) = (0, 0, 0, 0);
    for cut in cuts(&watched, count as usize, &mut dice) {
        let flushed =
            (applied..cut).rev().find(|&entry| watched.log.is_flush(entry)).map_or(applied, |at| at + 1);
        watched.log.apply(applied..flushed, &mut disk);
        applied = flushed;
        let chance = dice.choose(&[0, 10, 50, 90, 100]);
        let mut torn_disk = disk.clone();
        let some = watched.log.apply_some(flushed..cut, &mut torn_disk, chance, &mut dice);
        (kept, lost) = (kept + some.0, lost + some.1);

        eprintln!(
            "power: cut after entry {cut}, flushed up to {flushed}, {} sectors kept and {} lost",
            some.0, some.1
        );
        let image = dir.path().join(format!("cut-{cut}"));
        std::fs::write(&image, &torn_disk).expect("an image");
        let mount = Mounted::ext4(&image, &dir.path().join("cut"));
        let server = TestServer::start_at(&mount.at.join("data"), &["--segment-bytes", SEGMENT_BYTES]);
        promised = promised.max(check_cut(&watched, &server, cut).await);
        drop(server);
        drop(mount);
        std::fs::remove_file(&image).expect("removed");
        tried += 1;
    }
    assert!(promised > 100 && lost > 0, "nothing was tried");
    eprintln!(
        "power: {tried} cuts, {kept} sectors kept and {lost} lost of those not flushed, nothing acknowledged lost"
    );
}
