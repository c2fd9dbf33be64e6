//! Files of keys at the start of a server: bad ones refuse it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;

use super::fixture::{API_KEYS, KeyFiles, TOKEN_KEYS, jwks, line, server_key, token};
use crate::support::{Ended, TestServer, binary, problem, run_to_end};

/// Text that no message may show.
const HIDDEN: &str = "c2VjcmV0LXRoYXQtbm9ib2R5LXNlZXM";

#[test]
fn a_bad_file_refuses_the_start() {
    let keys = KeyFiles::new();
    let twice = line("backend", "all", 1) + &line("other", "read", 1);
    let short = format!("{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"one\",\"k\":\"{HIDDEN}\"}}]}}");
    let same_kid = jwks(&["main", "main"]);
    let many: String = (0..65).map(|number| line("backend", "all", number)).collect();
    for (name, content, word) in [
        (API_KEYS, "", "is empty"),
        (API_KEYS, &*format!("# one\nbackend all {HIDDEN}\n"), "line 2"),
        (API_KEYS, &format!("{HIDDEN}\n"), "line 1"),
        (API_KEYS, &format!("backend all {}\n", server_key(1)), "line 1"),
        (API_KEYS, &twice, "line 2"),
        (API_KEYS, &many, "64"),
        (TOKEN_KEYS, "", "is empty"),
        (TOKEN_KEYS, &short, "key 1"),
        (TOKEN_KEYS, &short[..short.len() - 4], "not JSON"),
        (TOKEN_KEYS, &format!("[{HIDDEN:?}]"), "not a JWK Set"),
        (TOKEN_KEYS, &same_kid, "key 2"),
        ("secret", "", "32 bytes"),
        ("secret", HIDDEN, "32 bytes"),
    ] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, content).unwrap();
        refused(&keys, name, &file, word);
    }
    let dir = TempDir::new().unwrap();
    for name in [API_KEYS, TOKEN_KEYS, "secret"] {
        refused(&keys, name, &dir.path().join("missing"), "No such file");
        refused(&keys, name, dir.path(), "Is a directory");
    }
}

/// Starts a server with this file, and checks that one sentence says what is wrong.
#[track_caller]
fn refused(keys: &KeyFiles, name: &str, file: &std::path::Path, word: &str) {
    let data = keys.path("data");
    let flag = format!("--{name}");
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    if name == "secret" {
        command.arg("--api-keys").arg(keys.path(API_KEYS));
    }
    let Ended { code, stderr } = run_to_end(command.arg(&flag).arg(file));
    assert_eq!(code, Some(2), "{stderr}");
    let sentence = stderr.lines().last().unwrap_or_default();
    for word in [file.to_str().unwrap(), &flag, word] {
        assert!(sentence.contains(word), "no {word:?} in: {stderr}");
    }
    for content in [HIDDEN, &server_key(1)] {
        assert!(!stderr.contains(content), "{content} is shown: {stderr}");
    }
    assert!(!data.exists(), "nothing is left behind");
}

#[tokio::test]
async fn files_without_keys_let_nobody_in() {
    for (api_keys, token_keys) in [
        (Some("# nobody\n"), Some(r#"{"keys":[]}"#)),
        (Some("\n"), None),
        (Some(" "), None),
        (None, Some(r#"{"keys":[],"more":1}"#)),
    ] {
        let keys = KeyFiles::new();
        let mut flags = vec!["--ephemeral"];
        let paths = [API_KEYS, TOKEN_KEYS].map(|name| keys.path(name).to_str().unwrap().to_owned());
        for ((name, flag, content), path) in
            [(API_KEYS, "--api-keys", api_keys), (TOKEN_KEYS, "--token-keys", token_keys)].iter().zip(&paths)
        {
            if let Some(content) = content {
                keys.write(name, content);
                flags.extend([*flag, path]);
            }
        }
        let server = TestServer::start_with(&flags);
        let nobody = "01a20aa4-0a09-74de-9d72-3ca94e1ae31f";
        for credentials in [server_key(1), token(nobody)] {
            let caller = server.bearing(Some(&credentials));
            problem(&caller.post("/users/list", &json!({})).await, 401, "credentials_invalid");
            problem(&caller.get("/events").await, 401, "credentials_invalid");
            problem(&caller.get("/metrics").await, 401, "credentials_invalid");
        }
        problem(&server.post("/users/list", &json!({})).await, 401, "credentials_missing");
        assert_eq!(server.get("/health").await.status, 200);
    }
}

#[test]
fn a_file_that_everyone_may_read_warns() {
    for (mode, warns) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        let keys = KeyFiles::new();
        keys.write("secret", &"s".repeat(32));
        for name in [API_KEYS, TOKEN_KEYS, "secret"] {
            std::fs::set_permissions(keys.path(name), Permissions::from_mode(mode)).unwrap();
        }
        let secret = keys.path("secret");
        let server = keys.start(&["--ephemeral", "--secret", secret.to_str().unwrap()]);
        let (_, ended) = server.terminate();
        for name in [API_KEYS, TOKEN_KEYS, "secret"] {
            let is_warning =
                |line: &str| line.contains("WARN") && line.contains(keys.path(name).to_str().unwrap());
            assert_eq!(ended.stderr.lines().any(is_warning), warns, "{mode:o} {name}: {}", ended.stderr);
        }
    }
}
