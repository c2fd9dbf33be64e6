//! The backup that `docs/operations.md` describes, made of a server that is busy.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::{alter, export, last_used, old_log, tool};
use crate::crash::{finish_writers, start_writers};
use crate::support::{Reply, TestServer, binary, segments};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// Returns the documented commands under this mark, with `data` and `backup` set.
fn commands(of: &str, data: &Path, backup: &Path) -> Command {
    let begin = format!("<!-- {of} -->\n\n```sh\n");
    let text =
        OPERATIONS.split_once(&begin).and_then(|(_, text)| text.split_once("```")).expect("documented").0;
    let mut command = Command::new("sh");
    let chinwag = binary();
    command.args(["-euc", &format!("chinwag() {{ '{}' \"$@\"; }}\n{text}", chinwag.get_program().display())]);
    command.env("data", data).env("backup", backup);
    command
}

#[track_caller]
fn run(mut command: Command) -> String {
    let output = command.output().expect("a shell runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_busy_server_holds_everything_acknowledged() {
    const ROUNDS: usize = 10;
    let server = TestServer::start();
    let author = server.add_user("ann").await;
    let chat = server.add_chat("tea", &[&author]).await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let note = {
        let acknowledged = Arc::clone(&acknowledged);
        move |reply: &Reply| {
            acknowledged.fetch_max(reply.position(), Ordering::SeqCst);
        }
    };
    let writers = start_writers(&server, std::slice::from_ref(&chat), &author, 64, "load", note);
    let dir = TempDir::new().unwrap();
    let (data, parent) = (server.data.clone(), dir.path().to_owned());
    let backups = tokio::task::spawn_blocking(move || {
        let mut backups = Vec::new();
        while backups.len() < ROUNDS || segments(&data).len() < 4 {
            let backup = parent.join(format!("backup {}", backups.len()));
            let before = acknowledged.load(Ordering::SeqCst);
            run(commands("backup", &data, &backup));
            backups.push((backup, before));
        }
        backups
    });
    let backups = backups.await.expect("the backups end");
    let stopped = server.kill();
    finish_writers(writers).await;
    let (stopped, _) = stopped.restart().terminate();
    let whole = export(&stopped.data);
    for (backup, before) in backups {
        let data = dir.path().join("restored");
        run(commands("restore", &data, &backup));
        let restored = TestServer::start_at(&data, &[]);
        assert!(restored.position().await >= before, "{before} were acknowledged");
        drop(restored);
        assert!(whole.starts_with(&export(&data)), "a prefix");
        std::fs::remove_dir_all(&data).unwrap();
    }
}

/// A damaged log must not take the place of the last good copy.
#[test]
fn a_backup_never_overwrites_an_earlier_one() {
    let fails = |mut command: Command| !command.output().expect("a shell runs").status.success();
    let (log, dir) = (old_log(), TempDir::new().unwrap());
    let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
    run(commands("backup", log.path(), &good));
    let copied = export(&good);
    alter(&segments(log.path())[0], |bytes| {
        let end = last_used(bytes);
        bytes[end - 400..end - 200].fill(0);
    });
    assert!(fails(commands("backup", log.path(), &good)), "the directory exists");
    assert!(fails(commands("backup", log.path(), &bad)), "the log is damaged");
    assert!(fails(commands("restore", &bad, &good)), "the directory exists");
    assert_eq!(export(&good), copied);
}

/// A copy can catch the place of a frame before the frame was written, and a later place after it was.
#[test]
fn a_copy_without_an_earlier_frame_is_reported_and_repaired() {
    let log = old_log();
    let whole = export(log.path());
    let last = segments(log.path()).pop().unwrap();
    alter(&last, |bytes| {
        let end = last_used(bytes);
        bytes[end - 400..end - 200].fill(0);
    });
    tool(&["log", "verify"], log.path()).refused(3, &[last.to_str().unwrap()]);
    tool(&["log", "repair"], log.path()).done();
    let left = export(log.path());
    assert!(whole.starts_with(&left) && left.lines().count() > 600, "all but the last frames");
}
