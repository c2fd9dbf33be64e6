//! Reading beside a server that is busy: a prefix of its log that holds all it had answered before.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tool;
use crate::crash::{finish_writers, start_writers};
use crate::support::{Reply, TestServer, segments};

const WRITERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_every_write_acknowledged_before() {
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
    let writers = start_writers(&server, std::slice::from_ref(&chat), &author, WRITERS, "load", note);
    let data = server.data.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let mut dumps = Vec::new();
        while dumps.len() < 12 || segments(&data).len() < 4 {
            let before = acknowledged.load(Ordering::SeqCst);
            let position = tool(&["log", "verify"], &data).position();
            assert!(position >= before, "{position}, and {before} were acknowledged");
            dumps.push(dump(&data, &acknowledged));
        }
        dumps
    });
    let dumps = looking.await.expect("as it should be");
    let stopped = server.kill();
    finish_writers(writers).await;
    let server = stopped.restart();
    let (stopped, _) = server.terminate();
    let whole = tool(&["export"], &stopped.data).stdout;
    for dump in dumps {
        assert!(whole.starts_with(&dump), "a prefix");
    }
}

fn dump(data: &Path, acknowledged: &AtomicU64) -> String {
    let before = acknowledged.load(Ordering::SeqCst);
    let said = tool(&["export"], data);
    let lines = said.done().stdout.lines().count() as u64;
    assert!(lines >= before, "{lines}, and {before} were acknowledged");
    said.stdout
}
