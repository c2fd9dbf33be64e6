//! The limit on a user's threads (`ulimit -u`), which does not bind root.

use std::thread::available_parallelism;

use tempfile::TempDir;

use crate::support::{TestServer, binary_under, run_to_end};

/// Returns the words that run a command as a user who has no other process, with this limit on threads.
fn limited_to(threads: usize) -> Vec<String> {
    // The files of the tests belong to root.
    const CAPABILITIES: &str = "+dac_override,+dac_read_search";
    let script = format!("ulimit -u {threads}; exec \"$0\" \"$@\"");
    let words = ["bash", "-c", &script, "setpriv", "--reuid=64919", "--regid=64919", "--clear-groups"];
    let capabilities = [format!("--inh-caps=-all,{CAPABILITIES}"), format!("--ambient-caps={CAPABILITIES}")];
    words.into_iter().map(str::to_owned).chain(capabilities).collect()
}

#[tokio::test]
#[ignore = "needs root, setpriv"]
async fn too_few_threads_are_exit_1_and_enough_serve() {
    let dir = TempDir::new().unwrap();
    let run = |threads: usize, words: &[&str]| {
        let limited = limited_to(threads);
        let limited: Vec<_> = limited.iter().map(String::as_str).collect();
        run_to_end(binary_under(&limited).args(words).arg("--data").arg(dir.path()))
    };
    for threads in 1..=7 {
        let ended = run(threads, &["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code, Some(1), "{threads}: {}", ended.stderr);
        let named = format!("threads and processes (ulimit -u) is {threads}\n");
        for words in ["failed to start", " threads: ", &named] {
            assert!(ended.stderr.contains(words), "no {words:?} in {}", ended.stderr);
        }
    }
    let import = run(1, &["import"]);
    assert_eq!(import.code, Some(1), "{}", import.stderr);
    assert!(import.stderr.contains("failed to start the thread"), "{}", import.stderr);

    let enough = limited_to(available_parallelism().unwrap().get() + 16);
    let enough: Vec<_> = enough.iter().map(String::as_str).collect();
    let server = TestServer::start_under(&enough, dir.path(), &[]);
    server.add_user("ann").await;
    assert_eq!(server.terminate().1.code, Some(0));
}
