//! A server on a stream, without one: what it refuses to start on, and what it says while it waits. So do the tools of a
//! stream.

use tempfile::TempDir;

use crate::support::{TestServer, binary, run_to_end, serve_to_end};

/// A server that wrote a copy alone would begin another history.
#[tokio::test]
async fn a_copy_of_a_stream_is_not_served_alone() {
    // Given a directory that is marked as a copy.
    let server = TestServer::start();
    server.add_user("ann").await;
    let stopped = server.kill();
    let data = stopped.data.as_path();
    std::fs::write(data.join("STREAM"), "tea 01a21f09-ae75-7a54-a4c0-58de98f4e460\n").unwrap();
    // When it is served without its stream, it is refused, until it is detached.
    serve_to_end(data, &[]).expect(2, &["is a copy of stream tea", "--nats", "chinwag stream detach"]);
    let from = ["stream", "create", "--nats", "nats://127.0.0.1:1", "--from"];
    let created = run_to_end(binary().args(from).arg(data));
    created.expect(2, &["is a copy of stream tea", "chinwag stream restore", "chinwag stream detach"]);
    let detach = || run_to_end(binary().args(["stream", "detach", "--data"]).arg(data));
    detach().expect(0, &[]);
    detach().expect(2, &["not a copy of a stream"]);
    let dir = TempDir::new().unwrap();
    for (data, why) in [(dir.path().to_owned(), "holds no log"), (dir.path().join("away"), "away")] {
        let detached = run_to_end(binary().args(["stream", "detach", "--data"]).arg(data));
        detached.expect(2, &[why]);
    }
    assert_eq!(stopped.restart().position().await, 1);
}

#[test]
fn a_shared_log_is_not_kept_in_memory() {
    let ended = run_to_end(binary().args(["--nats", "nats://127.0.0.1:1", "--ephemeral"]));
    ended.expect(2, &["--nats", "--ephemeral"]);
}

#[test]
#[cfg(not(feature = "nats"))]
fn a_binary_without_nats_says_so() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let of_stream = ["--nats", "nats://127.0.0.1:1"];
    serve_to_end(&data, &of_stream).expect(2, &["built without NATS", "--features nats"]);
    assert!(!data.exists(), "nothing is left behind");
    let check = run_to_end(binary().args(["stream", "check"]).args(of_stream));
    check.expect(2, &["built without NATS"]);
}

#[test]
fn servers_without_a_common_secret_are_warned_of() {
    let (nats, keys, secret) =
        (["--nats", "nats://127.0.0.1:1"], ["--api-keys", "nowhere"], ["--secret", "nowhere"]);
    for (flags, is_warned_of) in [
        ([&nats[..], &keys].concat(), true),
        ([&nats[..], &keys, &secret].concat(), false),
        (keys.to_vec(), false),
    ] {
        let ended = run_to_end(binary().args(&flags));
        ended.expect(2, &["nowhere"]);
        assert_eq!(
            ended.stderr.contains("/events/token is good only on this server"),
            is_warned_of,
            "{flags:?}"
        );
    }
}

#[tokio::test]
#[cfg(feature = "nats")]
async fn a_log_of_one_server_does_not_become_a_copy() {
    let server = TestServer::start();
    server.add_user("ann").await;
    let stopped = server.kill();
    let of_stream = ["--nats", "nats://127.0.0.1:1"];
    serve_to_end(&stopped.data, &of_stream).expect(2, &["holds a log that is not a copy"]);
}

#[test]
#[cfg(feature = "nats")]
fn a_tool_does_not_wait_for_a_stream() {
    let away = ["--nats", "nats://127.0.0.1:1"];
    for command in ["check", "create"] {
        let ended = run_to_end(binary().args(["stream", command]).args(away));
        ended.expect(1, &["stream chinwag cannot be reached", "nats://127.0.0.1:1"]);
    }
    run_to_end(binary().args(["stream", "check"])).expect(2, &["--nats"]);
    let missing = run_to_end(binary().args(["stream", "check", "--nats-creds", "nowhere"]).args(away));
    missing.expect(2, &["nowhere", "--nats-creds"]);
}

#[tokio::test]
#[cfg(feature = "nats")]
async fn a_server_says_that_it_waits_for_a_stream() {
    use std::io::Read;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};

    use crate::support::{Client, free_address, problem};

    let (dir, address) = (TempDir::new().unwrap(), free_address());
    let away = "nats://127.0.0.1:1,nats://127.0.0.1:2";
    let mut starting = binary();
    starting.args(["--nats", away, "--listen", &address, "--data"]).arg(dir.path().join("data"));
    let mut server = starting.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // When no node can be reached, /health says what it waits for,
    let client = Client::new(&address);
    let asked = Instant::now();
    loop {
        if let Ok(health) = client.try_send(client.request("GET", "/health")).await {
            problem(&health, 503, "starting");
            if health.json()["detail"].as_str().unwrap().contains("reads the stream") {
                break;
            }
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "it does not say so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // and the log names each node and its reason, once.
    tokio::time::sleep(Duration::from_secs(3)).await;
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let mut log = String::new();
    server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(server.wait().unwrap().success(), "{log}");
    for node in ["127.0.0.1:1", "127.0.0.1:2"] {
        let of_node = log.lines().filter(|line| line.contains("failed to connect") && line.contains(node));
        let of_node: Vec<_> = of_node.collect();
        assert!(of_node.len() == 1 && of_node[0].contains("Connection refused"), "{log}");
    }
}
