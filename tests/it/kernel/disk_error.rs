//! A disk that fails a write or a flush.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::add_chats;
use super::block::{Export, Fault, Mounted, make_ext4, text};
use crate::crash::{Diary, check_chats, finish_writers, start_writers};
use crate::support::{TestServer, problem};

const WRITERS: usize = 16;
/// Length of a segment. It is large, so that no second one, which would meet the fault first, is prepared
/// during the test.
const SEGMENT_BYTES: &str = "8388608";
const IMAGE_BYTES: u64 = 48 * 1024 * 1024;

/// The ways in which the fault goes away.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// While the file system stays mounted: its page cache shows what the disk never got.
    InPlace,
    /// With the disk itself taken away and brought back.
    NewDisk,
}

async fn the_server_ends_and_nothing_acknowledged_is_lost(fault: Fault, end: End) {
    let dir = TempDir::new().expect("a temporary directory");
    let [image, file, at] = ["image", "disk", "mounted"].map(|name| dir.path().join(name));
    make_ext4(&image, IMAGE_BYTES);
    let mut export = Export::faulty(&image, &file);
    let mut mount = Mounted::ext4(&file, &at);
    let data = at.join("data");
    let flags = ["--segment-bytes", SEGMENT_BYTES];
    let server = TestServer::start_at(&data, &flags);
    let (author, chats) = add_chats(&server, 4).await;
    let mut known = BTreeMap::new();

    let writers = start_writers(&server, &chats, &author, WRITERS, "load", |_| {});
    tokio::time::sleep(Duration::from_millis(500)).await;
    export.fail(fault, end == End::InPlace && matches!(fault, Fault::Flush));
    let (stopped, ended) = server.ended(Duration::from_secs(10));
    let mut diaries = finish_writers(writers).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let segment = stopped.segments().pop().expect("a segment");
    assert!(ended.stderr.contains(text(&segment)), "names the file: {}", ended.stderr);
    diaries.iter_mut().for_each(believe_last_words);

    match end {
        End::InPlace => export.heal(),
        End::NewDisk => {
            drop(mount);
            drop(export);
            // It may repair something, but must not fail.
            let checked = Command::new("e2fsck").args(["-f", "-y", text(&image)]).output().expect("e2fsck");
            assert!(checked.status.code().is_some_and(|code| code < 4), "{checked:?}");
            export = Export::faulty(&image, &file);
            mount = Mounted::ext4(&file, &at);
        }
    }
    let server = TestServer::start_at(&data, &flags);
    check_chats(&server, &chats, &mut known, &diaries).await;
    drop(server);

    // A message that was shown once stays, and is on the disk, not only in the page cache.
    drop(mount);
    let mount = Mounted::ext4(&export.file, &at);
    let server = TestServer::start_at(&data, &flags);
    check_chats(&server, &chats, &mut known, &[]).await;
    server.add_message(&chats[0], &author, "and on").await;
    drop(server);
    drop(mount);
    let acknowledged = diaries.iter().map(|diary| diary.acknowledged.len()).sum::<usize>();
    eprintln!("{fault:?} error, {end:?}: exit 1, {acknowledged} acknowledged messages, none lost");
}

/// A write that waited for the disk may be there or not; one that came after the failure says that it is not.
fn believe_last_words(diary: &mut Diary) {
    match &diary.last_words {
        Some(reply) if reply.status == 503 => {
            problem(reply, 503, "shutting_down");
            diary.in_doubt.clear();
        }
        Some(reply) => {
            problem(reply, 500, "internal");
        }
        None => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, qemu-storage-daemon, mounts"]
async fn a_failed_flush_loses_no_acknowledged_write() {
    the_server_ends_and_nothing_acknowledged_is_lost(Fault::Flush, End::InPlace).await;
    the_server_ends_and_nothing_acknowledged_is_lost(Fault::Flush, End::NewDisk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, qemu-storage-daemon, mounts"]
async fn a_failed_write_loses_no_acknowledged_write() {
    the_server_ends_and_nothing_acknowledged_is_lost(Fault::Write, End::InPlace).await;
    the_server_ends_and_nothing_acknowledged_is_lost(Fault::Write, End::NewDisk).await;
}
