//! The chat page as it is served. `tests/page` tries in a browser how it behaves.

use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::GzDecoder;

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
        let is_path = |text: &&str| {
            !text.contains(char::is_whitespace)
                && matches!(extension(text), "js" | "css" | "svg" | "webmanifest")
        };
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
    assert_eq!(files.len(), 1 + 42, "{files:?}");
    for path in &files {
        let reply = server.get(path).await;
        let media_type = match extension(path) {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "webmanifest" => "application/manifest+json",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(reply.header("content-type"), media_type, "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        // The policy of a page also holds for what it loads, but not for workers.
        let policy =
            reply.headers.get("content-security-policy").map(|policy| policy.to_str().expect("text"));
        assert_eq!(policy.is_some(), matches!(path.as_str(), "/" | "/page/worker.js"), "{path}");
        let Some(policy) = policy else { continue };
        let begin = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';";
        assert!(policy.starts_with(begin) && policy.contains("; require-trusted-types-for 'script';"));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
    }
    // Only the library's own templates write into the page.
    let own = files.iter().filter(|path| !path.contains("lit-html"));
    for path in own {
        let text = server.get(path).await.text;
        for forbidden in
            ["innerHTML", "unsafeHTML", "eval(", "document.write", "http://", "https://", "onclick="]
        {
            // The namespace of SVG is a name, which no browser loads.
            let text = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            assert!(!text.contains(forbidden), "{path} holds {forbidden}");
        }
    }
}

#[tokio::test]
async fn the_page_is_small() {
    const BYTES_MAX: usize = 60_000;
    let server = TestServer::start();
    let mut bytes = 0;
    for path in files(&server).await {
        let mut connection = RawConnection::open(&server.address);
        connection.send(head("GET", &path, &["Accept-Encoding: gzip", "Connection: close"]));
        bytes += connection.rest().len();
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}

/// Returns a file as a browser gets it.
async fn compressed(server: &TestServer, path: &str) -> String {
    let request = server.request("GET", path).header("accept-encoding", "gzip");
    let gzip = request.send().await.expect("answered").bytes().await.expect("read");
    let mut text = String::new();
    GzDecoder::new(&*gzip).read_to_string(&mut text).expect("gzip of text");
    text
}

#[tokio::test]
async fn a_browser_gets_scripts_without_comments() {
    let server = TestServer::start();
    let plain = server.get("/page/stream.js").await.text;
    assert!(plain.starts_with("//") && plain.contains("\n/** ") && plain.contains("fetch"));
    let script = compressed(&server, "/page/stream.js").await;
    let is_code = |line: &&str| !["//", "/*", "*"].iter().any(|begin| line.trim_start().starts_with(begin));
    let code: Vec<_> = plain.lines().filter(is_code).collect();
    assert_eq!(script.lines().collect::<Vec<_>>(), code);
    // What others have written keeps its notice.
    let script = compressed(&server, "/page/lit-html/lit-html.js").await;
    assert!(script.contains("SPDX-License-Identifier: BSD-3-Clause"));
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
        assert_eq!(page.contains(r#"<div id="page" data-needs-token>"#), needs_token, "{page}");
    }
}
