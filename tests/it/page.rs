//! The chat page as it is served. `tests/page` tries in a browser how it behaves.

use std::collections::BTreeSet;

use crate::support::{RawConnection, TestRouter, TestServer, head};

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Returns all files that the page loads, directly or through another file.
async fn files(server: &TestServer) -> BTreeSet<String> {
    let mut found = BTreeSet::from(["/".to_owned()]);
    let mut unread = vec!["/".to_owned()];
    while let Some(path) = unread.pop() {
        let reply = server.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        let (dir, _) = path.rsplit_once('/').expect("absolute");
        let is_path =
            |text: &&str| !text.contains(char::is_whitespace) && matches!(extension(text), "js" | "css");
        for name in reply.text.split('"').filter(is_path) {
            let mut parts: Vec<&str> = dir.split('/').collect();
            for part in name.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let path = parts.join("/");
            if found.insert(path.clone()) {
                unread.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn the_page_loads_only_local_files() {
    let server = TestServer::start();
    let files = files(&server).await;
    assert!(files.len() > 8, "{files:?}");
    for path in &files {
        let reply = server.get(path).await;
        let media_type = match extension(path) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(reply.header("content-type"), media_type, "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        let policy = reply.header("content-security-policy");
        assert!(
            policy
                .starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    }
    // Only the library's own templates write into the page.
    let own = files.iter().filter(|path| !path.contains("lit-html"));
    for path in own {
        let text = server.get(path).await.text;
        for forbidden in
            ["innerHTML", "unsafeHTML", "eval(", "document.write", "http://", "https://", "onclick="]
        {
            assert!(!text.contains(forbidden), "{path} holds {forbidden}");
        }
    }
}

#[test]
fn the_page_answers_head() {
    let server = TestServer::start();
    let mut connection = RawConnection::open(&server.address);
    connection.send(head("HEAD", "/", &[]) + &head("GET", "/", &[]));
    assert_eq!(connection.head().expect("answered").0, 200);
    assert!(connection.reply().text.starts_with("<!doctype html>"));
}

#[tokio::test]
async fn the_page_asks_for_a_token_if_calls_need_one() {
    for (server, needs_token) in [(TestRouter::start(), false), (TestRouter::start_keyed(), true)] {
        let page = server.get("/").await.text;
        assert_eq!(page.contains(r#"<div id="page" data-needs-token></div>"#), needs_token, "{page}");
    }
}
