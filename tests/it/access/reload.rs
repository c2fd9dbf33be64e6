//! Files of keys are read again: when they change, and at SIGHUP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use super::fixture::{
    API_KEYS, KeyFiles, TOKEN_KEYS, jwks, line, secret, server_key, token, token_of, wait_for_status,
};
use crate::support::{Client, RawConnection, head, problem};

/// Waits until the metric has this value.
async fn wait_for_stale(client: &Client, value: u8) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let reply = client.get("/metrics").await;
        assert_eq!(reply.status, 200, "the old keys are good: {reply:?}");
        if reply.text.contains(&format!("\nchinwag_keys_stale {value}\n")) {
            return;
        }
        assert!(Instant::now() < deadline, "{}", reply.text);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn changed_files_are_read_again() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral"]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let (new, page) =
        (server.bearing(Some(&server_key(2))), server.bearing(Some(&token_of("new", &ann, &json!({})))));
    let asked = json!({ "user": ann });
    problem(&new.post("/users/get", &asked).await, 401, "credentials_invalid");
    problem(&page.post("/users/get", &asked).await, 401, "credentials_invalid");
    // One file is replaced, the other is written in place.
    keys.write(API_KEYS, &(line("backend", "all", 1) + &line("new", "all", 2)));
    std::fs::write(keys.path(TOKEN_KEYS), jwks(&["main", "new"])).unwrap();
    wait_for_status(&new, "/users/get", &asked, 200).await;
    wait_for_status(&page, "/users/get", &asked, 200).await;
    assert_eq!(backend.post("/users/get", &asked).await.status, 200);
    assert_eq!(server.bearing(Some(&token(&ann))).post("/users/get", &asked).await.status, 200);
}

#[tokio::test]
async fn a_hangup_reads_the_keys_at_once() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral"]);
    let start = Instant::now();
    for number in 2..8 {
        keys.write(API_KEYS, &line("backend", "all", number));
        server.signal(Signal::HUP);
        let key = server.bearing(Some(&server_key(number)));
        wait_for_status(&key, "/users/list", &json!({}), 200).await;
    }
    // The server looks at the files every 2 s, so six changes would take it 10 s and more.
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_keys() {
    let keys = KeyFiles::new();
    let good = [(API_KEYS, line("backend", "all", 1)), (TOKEN_KEYS, jwks(&["main"]))];
    let server = keys.start(&["--ephemeral"]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let page = server.bearing(Some(&token(&ann)));
    wait_for_stale(&backend, 0).await;
    let hidden = "c2VjcmV0LXRoYXQtbm9ib2R5LXNlZXM";
    let bad = [
        (API_KEYS, Some(format!("other all {hidden}\n")), "line 1"),
        (API_KEYS, Some(line("other", "everything", 2)), "line 1"),
        (API_KEYS, Some(String::new()), "empty"),
        (API_KEYS, None, "No such file"),
        (TOKEN_KEYS, Some(format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{hidden}\"}}]}}")), "key 1"),
        (TOKEN_KEYS, Some(format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{hidden}")), "not JSON"),
        (TOKEN_KEYS, Some(String::new()), "empty"),
        (TOKEN_KEYS, None, "No such file"),
    ];
    for (name, content, _) in &bad {
        // When a file becomes bad, or goes,
        match content {
            Some(content) => keys.write(name, content),
            None => std::fs::remove_file(keys.path(name)).unwrap(),
        }
        server.signal(Signal::HUP);
        wait_for_stale(&backend, 1).await;
        // Then the keys from before are good.
        assert_eq!(page.post("/users/get", &json!({ "user": ann })).await.status, 200);
        // And it heals.
        let (_, content) = good.iter().find(|(good, _)| good == name).unwrap();
        keys.write(name, content);
        server.signal(Signal::HUP);
        wait_for_stale(&backend, 0).await;
    }
    let (_, ended) = server.terminate();
    let errors: Vec<_> =
        ended.stderr.lines().filter(|line| line.contains("the keys of a file stay")).collect();
    for (name, _, what) in bad {
        let (path, flag) = (keys.path(name), format!("--{name}"));
        let is_told =
            |line: &&str| [path.to_str().unwrap(), &*flag, what].iter().all(|word| line.contains(word));
        assert!(errors.iter().any(is_told), "{name} {what}: {errors:#?}");
    }
    for content in [hidden, "everything", &*secret("main"), &*server_key(1)] {
        assert!(!ended.stderr.contains(content), "{content} is logged: {}", ended.stderr);
    }
}

/// A file that is bad does not keep the other one from being read.
#[tokio::test]
async fn a_key_is_removed_beside_a_bad_file() {
    let keys = KeyFiles::new();
    let both = line("backend", "all", 1) + &line("leaked", "all", 2);
    keys.write(API_KEYS, &both);
    let server = keys.start(&["--ephemeral"]);
    let backend = server.bearing(Some(&server_key(1)));
    let leaked = server.bearing(Some(&server_key(2)));
    let ann = backend.add_user("ann").await;
    keys.write(TOKEN_KEYS, "{");
    server.signal(Signal::HUP);
    wait_for_stale(&backend, 1).await;
    keys.write(API_KEYS, &line("backend", "all", 1));
    server.signal(Signal::HUP);
    wait_for_status(&leaked, "/users/list", &json!({}), 401).await;
    let page = server.bearing(Some(&token(&ann)));
    assert_eq!(page.post("/users/get", &json!({ "user": ann })).await.status, 200);
    wait_for_stale(&backend, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_loses_no_request() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral"]);
    // Given programs that call with a key without a pause,
    let (current, asked) = (Arc::new(AtomicU8::new(1)), Arc::new(AtomicUsize::new(0)));
    let programs: Vec<_> = (0..4)
        .map(|_| {
            let (client, current, asked) = (server.client(), Arc::clone(&current), Arc::clone(&asked));
            tokio::spawn(async move {
                loop {
                    let number = current.load(Ordering::SeqCst);
                    if number == 0 {
                        return;
                    }
                    let key = client.bearing(Some(&server_key(number)));
                    let reply = key.post("/users/list", &json!({})).await;
                    assert_eq!(reply.status, 200, "key {number}: {reply:?}");
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let has_failed = || programs.iter().any(JoinHandle::is_finished);
    let more_requests = async |count: usize| {
        let before = asked.load(Ordering::SeqCst);
        while asked.load(Ordering::SeqCst) < before + count && !has_failed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // When it is replaced by another one of the same name,
    for number in 2..5 {
        more_requests(50).await;
        keys.write(API_KEYS, &(line("backend", "all", number - 1) + &line("backend", "all", number)));
        server.signal(Signal::HUP);
        wait_for_status(&server.bearing(Some(&server_key(number))), "/users/list", &json!({}), 200).await;
        current.store(number, Ordering::SeqCst);
        // Each program uses the second key by then.
        more_requests(50).await;
        keys.write(API_KEYS, &line("backend", "all", number));
        server.signal(Signal::HUP);
        let old = server.bearing(Some(&server_key(number - 1)));
        wait_for_status(&old, "/users/list", &json!({}), 401).await;
    }
    current.store(0, Ordering::SeqCst);
    // Then every request was answered.
    for program in programs {
        program.await.expect("answered");
    }
}

#[tokio::test]
async fn a_connection_forgets_tokens_of_removed_keys() {
    let keys = KeyFiles::new();
    keys.write(TOKEN_KEYS, &jwks(&["main", "second"]));
    let server = keys.start(&["--ephemeral"]);
    let ann = server.bearing(Some(&server_key(1))).add_user("ann").await;
    let ask = |kid| {
        let bearer = format!("Authorization: Bearer {}", token_of(kid, &ann, &json!({})));
        head("POST", "/chats/get", &["Content-Length: 2", "Content-Type: application/json", &bearer]) + "{}"
    };
    // Given connections on which tokens of two keys were good,
    let mut connections = ["main", "second"].map(|kid| (RawConnection::open(&server.address), ask(kid)));
    let mut statuses = || {
        connections.each_mut().map(|(connection, request)| {
            connection.send(&*request);
            connection.reply().status.as_u16()
        })
    };
    assert_eq!(statuses(), [200, 200]);
    // When one of the keys is removed,
    keys.write(TOKEN_KEYS, &jwks(&["main"]));
    server.signal(Signal::HUP);
    let removed = server.bearing(Some(&token_of("second", &ann, &json!({}))));
    wait_for_status(&removed, "/chats/get", &json!({}), 401).await;
    // Then its token is refused there, too.
    assert_eq!(statuses(), [200, 401]);
}
