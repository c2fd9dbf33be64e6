//! The power fails at any time: any part of what was written after the last flush may be on the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::block::{Export, Mounted, make_ext4};
use super::write_log::{FailingPower, WriteLog, entries_so_far};
use super::{Dice, add_chats, number, seed};
use crate::crash::{check_chats, finish_writers, start_writers};
use crate::support::{Reply, TestServer};

const WRITERS: usize = 16;
const CHATS: usize = 4;
/// The author and the chats.
const EVENTS_BEFORE_MESSAGES: u64 = 1 + CHATS as u64;
const IMAGE_BYTES: u64 = 32 * 1024 * 1024;
/// Length of a segment. It is small, so that many segments are created while the disk is recorded.
const SEGMENT_BYTES: &str = "131072";
/// Number of further power cuts during a recovery.
const CUTS_IN_RECOVERY: usize = 4;

/// An answer, and how many entries the log of the disk's writes held when it had come. Whatever was lost of
/// the entries after that number, the event that was answered must be there.
struct Answered {
    position: u64,
    entries: u64,
}

/// The run of a server on a disk that records its requests.
struct Watched {
    base: Vec<u8>,
    log: WriteLog,
    answered: Vec<Answered>,
    /// Entries when the server was started.
    started: usize,
    chats: Vec<String>,
    /// The messages at the end of the run. Every acknowledged message is among them.
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

impl Watched {
    /// Returns the position of the last event that must survive a power cut after `cut` entries.
    fn promised(&self, cut: usize) -> u64 {
        let answered = self.answered.iter().filter(|answered| answered.entries <= cut as u64);
        answered.map(|answered| answered.position).max().unwrap_or(0)
    }

    /// Starts a server on what is left of the disk, and checks what it finds: everything promised, and
    /// nothing but what was written, in its order. Writes one event more, if it is not there yet, and gives
    /// its position.
    async fn check(&self, mount: &Mounted, promised: u64) -> u64 {
        let server = TestServer::start_at(&mount.at.join("data"), &["--segment-bytes", SEGMENT_BYTES]);
        let position = server.get("/health").await.json()["position"].as_u64().expect("a position");
        assert!(position >= promised, "event {promised} was acknowledged, and the log ends with {position}");
        let mut found = EVENTS_BEFORE_MESSAGES;
        if position >= EVENTS_BEFORE_MESSAGES {
            for chat in &self.chats {
                let recovered = server.messages(chat).await;
                assert!(self.messages[chat].starts_with(&recovered), "not what was sent, in its order");
                found += recovered.len() as u64;
            }
        }
        let reply = server.post("/users/add", &json!({ "username": "who comes after the cut" })).await;
        let is_there_already = reply.status == 409;
        found += u64::from(is_there_already);
        assert!(position < EVENTS_BEFORE_MESSAGES || position == found, "{position} events, {found} found");
        if is_there_already { position } else { reply.position() }
    }

    /// Repeats the check on a disk that fails a second time, during the recovery from the first power cut or
    /// later.
    async fn check_twice(&self, left: &[u8], promised: u64, dir: &Path, dice: &mut Dice) {
        let [image, log, file, at] =
            ["left", "left.writes", "left.disk", "left.cut"].map(|name| dir.join(name));
        let export = Export::logged(&image, &log, &file);
        let mount = Mounted::ext4(&file, &at);
        let shown = self.check(&mount, promised).await;
        let entries = entries_so_far(&File::open(&log).expect("the log"));
        drop(mount);
        drop(export);

        let log = WriteLog::read(&log);
        let mut power = FailingPower::new(&log, left);
        for cut in cuts(&log, 0, CUTS_IN_RECOVERY, dice) {
            write_anew(&image, &power.cut_after(cut, dice));
            let _said = SaidOnPanic(format!("and again after entry {cut} of {}", log.len()));
            let mount = Mounted::ext4(&image, &at);
            self.check(&mount, if cut as u64 >= entries { shown } else { promised }).await;
        }
    }
}

/// Returns this number of points in a log of writes, up to its end. Every other one is where a power cut
/// loses most.
fn cuts(log: &WriteLog, start: usize, count: usize, dice: &mut Dice) -> Vec<usize> {
    let all: Vec<usize> = (start..log.len()).collect();
    let chunks = all.chunks(all.len().div_ceil(count.saturating_sub(1).max(1)).max(1));
    let cut = |chunk: &[usize]| match dice.below(2) {
        0 => chunk.iter().copied().max_by_key(|&cut| log.sectors_unflushed(cut)).expect("not empty"),
        _ => dice.choose(chunk),
    };
    chunks.map(cut).chain([log.len()]).collect()
}

/// Writes a disk's image into a new file.
///
/// The file system of the image before may still be mounted, in a mount namespace that another test has cloned, as
/// `ip netns exec` does. A mount of the same file would get that file system, and not the new image.
fn write_anew(image: &Path, disk: &[u8]) {
    drop(std::fs::remove_file(image));
    std::fs::write(image, disk).expect("an image");
}

/// A message that is printed if the test fails while this value exists.
struct SaidOnPanic(String);

impl Drop for SaidOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, qemu-storage-daemon, mounts"]
async fn acked_messages_survive_power_cuts() {
    let (count, seed) = (number("CHINWAG_POWER_CUTS", 120), seed());
    eprintln!("power: CHINWAG_POWER_CUTS={count} CHINWAG_SEED={seed}");
    let mut dice = Dice(seed);
    let dir = TempDir::new().expect("a temporary directory");
    let watched = watch(dir.path()).await;
    let (log, answers) = (&watched.log, watched.answered.len());
    let flush_count = (watched.started..log.len()).filter(|&entry| log.is_flush(entry)).count();
    eprintln!("power: {} entries, {flush_count} of them flushes, {answers} answers", log.len());

    let mut power = FailingPower::new(log, &watched.base);
    let [image, at] = ["left", "cut"].map(|name| dir.path().join(name));
    let (mut once, mut twice) = (0, 0);
    for (index, cut) in cuts(log, watched.started, count as usize, &mut dice).into_iter().enumerate() {
        let left = power.cut_after(cut, &mut dice);
        write_anew(&image, &left);
        let promised = watched.promised(cut);
        let _said = SaidOnPanic(format!("the power went after entry {cut} of {}", log.len()));
        if index % 10 == 9 && promised >= EVENTS_BEFORE_MESSAGES {
            watched.check_twice(&left, promised, dir.path(), &mut dice).await;
            twice += CUTS_IN_RECOVERY;
        } else {
            watched.check(&Mounted::ext4(&image, &at), promised).await;
            once += 1;
        }
    }
    let (kept, lost) = (power.kept, power.lost);
    assert!(answers > 100 && lost > 0, "nothing was tried");
    eprintln!("power: {once} cuts, and {twice} cuts of a recovery from a cut");
    eprintln!("power: {kept} sectors kept and {lost} lost that were not flushed, nothing acknowledged lost");
}
