//! `export` and `import`: the same history, in another directory.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    OLD_LOG_EVENTS, alter, contents, export, import, import_allowing_future, old_log, tool, tool_with,
};
use crate::support::{Client, TestServer, binary, segments};

#[tokio::test]
async fn an_imported_history_reads_the_same() {
    let (log, dir) = (old_log(), TempDir::new().unwrap());
    let data = dir.path().join("not/yet");
    let lines = export(log.path());
    let said = import(&data, &lines);
    assert_eq!((said.position(), said.stdout.lines().count()), (OLD_LOG_EVENTS, 1));
    assert!(export(&data) == lines, "byte for byte");
    assert!(segments(&data).len() > 1, "several segments");
    assert_eq!(tool(&["log", "verify"], &data).position(), OLD_LOG_EVENTS);

    let (old, new) = (TestServer::start_at(log.path(), &[]), TestServer::start_at(&data, &[]));
    let user = old.post("/users/get", &json!({ "username": "ann" })).await.json();
    assert_eq!(new.post("/users/get", &json!({ "username": "ann" })).await.json(), user);
    for username in ["bob", "cíd"] {
        let found = old.post("/users/get", &json!({ "username": username })).await.json();
        let chats = old.chats(found["id"].as_str().unwrap()).await;
        assert_eq!(new.chats(found["id"].as_str().unwrap()).await, chats);
        for chat in chats {
            let id = chat["id"].as_str().unwrap();
            assert_eq!(new.messages(id).await, old.messages(id).await);
        }
    }
    let position = new.position().await;
    for server in [&old, &new] {
        let chat = find(&lines, "chat_added", "name", "tea")["id"].clone();
        let said = json!({ "chat": chat, "author": user["id"], "text": "under a key" });
        let retried = retry(server, "old-key", "/messages/add", &said).await;
        assert_eq!(retried["id"], find(&lines, "message_added", "text", "under a key")["id"]);
        let cid = find(&lines, "user_added", "username", "cíd")["id"].clone();
        retry(server, "no-op", "/chats/users/add", &json!({ "chat": chat, "user": cid })).await;
        let other = server.post_under("no-op", "/users/add", &json!({ "username": "dee" })).await;
        assert_eq!(other.status, 422, "{}", other.text);
    }
    assert_eq!(new.position().await, position);
}

fn find(lines: &str, kind: &str, field: &str, value: &str) -> Value {
    let mut events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.find(|event| event["type"] == kind && event[field] == value).unwrap()
}

async fn retry(server: &Client, key: &str, path: &str, body: &Value) -> Value {
    let reply = server.post_under(key, path, body).await;
    assert!(reply.is_replayed(), "{}", reply.text);
    if reply.text.is_empty() { Value::Null } else { reply.json() }
}

pub const ANN: &str = "01a20ad7-0c2a-7768-938d-38b150f53a01";
pub const BOB: &str = "01a20ad7-0c2a-7768-938d-38b150f53a02";
pub const TEA: &str = "01a20ad7-0c2a-7768-938d-38b150f53a03";
pub const OTHER: &str = "01a20ad7-0c2a-7768-938d-38b150f53a04";

/// The lines of two users, a chat and a message.
fn good() -> String {
    let lines = [
        event(
            1,
            &json!({ "type": "user_added", "id": ANN, "username": "ann", "idempotency_key": key("k", 'a') }),
        ),
        event(2, &json!({ "type": "user_added", "id": BOB, "username": "bob" })),
        event(3, &json!({ "type": "chat_added", "id": TEA, "name": "tea", "users": [ANN] })),
        event(4, &json!({ "type": "message_added", "id": OTHER, "chat": TEA, "author": ANN, "text": "hi" })),
    ];
    lines.concat()
}

pub fn key(key: &str, digit: char) -> Value {
    json!({ "key": key, "fingerprint": digit.to_string().repeat(32) })
}

/// Returns the line of an event: the default fields, replaced or extended by these. `null` removes a field.
pub fn event(position: u64, fields: &Value) -> String {
    let mut line =
        json!({ "v": 1, "position": position, "time": format!("2026-11-23T15:04:05.00000{position}Z") });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    format!("{line}\n")
}

#[test]
fn a_bad_line_is_named_and_nothing_imported() {
    let joined = json!({ "type": "member_added", "chat": TEA, "user": BOB });
    let with = |fields: Value| {
        let mut line = joined.clone();
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event(5, &line)
    };
    let user = |fields: Value| {
        let mut line =
            json!({ "type": "user_added", "id": OTHER, "username": "cid", "chat": null, "user": null });
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        with(line)
    };
    let chat = |users: Value| {
        with(
            json!({ "type": "chat_added", "id": OTHER, "name": "den", "users": users, "chat": null, "user": null }),
        )
    };
    let message = |author: &str, text: String| {
        with(json!({ "type": "message_added", "id": OTHER, "author": author, "text": text, "user": null }))
    };
    let read = |user: &str, seq: Value| with(json!({ "type": "read_marked", "user": user, "seq": seq }));
    let marked = event(5, &json!({ "type": "read_marked", "chat": TEA, "user": ANN, "seq": 1 }));
    let long = "é".repeat(65);
    let table: Vec<(String, &[&str])> = vec![
        ("null\n".into(), &["not a JSON object"]),
        ("{\n".into(), &["EOF", "does not end on its line"]),
        (r#"[1,5,"2026-11-23T15:04:05Z","nothing_changed"]"#.into(), &["not a JSON object"]),
        ("\u{1b}[31mnonsense\n".into(), &["not a JSON object"]),
        ("{nonsense\n".into(), &["key must be a string"]),
        (event(5, &joined)[..60].into(), &["EOF"]),
        (good() + "x", &["its position is 1; it must be 5"]),
        (event(6, &joined), &["its position is 6; it must be 5"]),
        (with(json!({ "v": 2 })), &["version 2"]),
        (with(json!({ "v": 2, "what": "is to come" })), &["version 2"]),
        (with(json!({ "position": 5.5 })), &["invalid type"]),
        (with(json!({ "more": 1 })), &["unknown field `more`"]),
        (with(json!({ "text": "x" })), &["no member_added has"]),
        (with(json!({ "time": "yesterday" })), &["RFC 3339", "\"yesterday\""]),
        (with(json!({ "time": "1969-12-31T23:59:59Z" })), &["1970"]),
        (with(json!({ "time": "9999-01-01T00:00:00Z" })), &["9998"]),
        (with(json!({ "time": "2026-11-23T15:04:05.000004Z" })), &["not later than"]),
        (with(json!({ "type": "user_renamed" })), &["no type \"user_renamed\""]),
        (with(json!({ "user": null })), &["user is missing"]),
        (with(json!({ "user": "bob" })), &["user must be a UUID", "\"bob\""]),
        (with(json!({ "user": OTHER })), &["there is no user", OTHER]),
        (with(json!({ "chat": OTHER })), &["there is no chat", OTHER]),
        (with(json!({ "user": ANN })), &["changes nothing"]),
        (with(json!({ "type": "member_removed" })), &["changes nothing"]),
        (with(json!({ "idempotency_key": key("k", 'a') })), &["\"k\" was used before"]),
        (with(json!({ "idempotency_key": key("a b", 'a') })), &["visible ASCII", "\"a b\""]),
        (with(json!({ "idempotency_key": key("x", 'g') })), &["32 digits"]),
        (with(json!({ "idempotency_key": { "key": "x", "fingerprint": OTHER } })), &["32 digits", OTHER]),
        (with(json!({ "type": "nothing_changed" })), &["no nothing_changed has"]),
        (event(5, &json!({ "type": "nothing_changed" })), &["idempotency_key"]),
        (with(json!({ "type": "already_so" })), &["idempotency_key"]),
        (
            with(json!({ "type": "already_so", "user": OTHER, "idempotency_key": key("x", 'a') })),
            &["there is no user", OTHER],
        ),
        (
            with(json!({ "type": "already_so", "seq": 2, "idempotency_key": key("x", 'a') })),
            &["there is no message"],
        ),
        (user(json!({ "username": "ann" })), &["username is taken"]),
        (user(json!({ "username": " ann" })), &["white space", "\" ann\""]),
        (user(json!({ "username": long })), &["at most 64 characters", "é\"…"]),
        (user(json!({ "id": ANN })), &["already exists", ANN]),
        (user(json!({ "id": "01a20ad7-0c2a-4768-938d-38b150f53a04" })), &["version 7"]),
        (chat(json!([])), &["at least one"]),
        (chat(json!([ANN, BOB, ANN])), &["twice"]),
        (chat(json!([ANN, OTHER])), &["there is no user", OTHER]),
        (message(BOB, "hi".into()), &["not a member"]),
        (message(BOB, String::new()), &["not a member"]),
        (message(ANN, "x".repeat(16_385)), &["16384 bytes"]),
        (read(ANN, json!(2)), &["beyond the last message"]),
        (read(ANN, json!(0)), &["changes nothing"]),
        (read(BOB, json!(1)), &["not a member"]),
        (read(ANN, json!("1")), &["invalid type"]),
        (format!("{}{}", event(5, &joined).trim_end(), marked), &["trailing characters"]),
        (event(5, &joined).replace("\"user\"", "\"user\":\"x\",\"user\""), &["duplicate field `user`"]),
        (r#"{"op":"join","chat":"tea","user":"ann"}"#.into(), &["unknown field `op`"]),
    ];
    assert_bad(&table);
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    assert_eq!(
        import(&data, &(good() + &event(5, &joined))).position(),
        5,
        "a good line in place of the bad"
    );
}

/// Checks that each of these lines after the good ones is named with these words, and that nothing is imported.
#[track_caller]
pub fn assert_bad(table: &[(String, &[&str])]) {
    let dir = TempDir::new().unwrap();
    for (bad, words) in table {
        let data = dir.path().join("data");
        let said = import(&data, &(good() + bad));
        said.refused(2, &["line 5: "]);
        said.refused(2, words);
        assert!(said.stderr.len() < 500 && !said.stderr.contains(&"é".repeat(65)), "{}", said.stderr);
        assert!(!data.exists(), "left behind by {bad}");
    }
}

#[test]
fn a_bad_actor_or_revocation_is_named() {
    let with = |fields: Value| {
        let mut line = json!({ "type": "member_added", "chat": TEA, "user": BOB });
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event(5, &line)
    };
    let revoked = |fields: Value| {
        let mut line = json!({ "type": "tokens_revoked", "user": BOB });
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event(5, &line)
    };
    let itself = json!({ "type": "user_added", "id": OTHER, "username": "cid", "by": { "user": OTHER } });
    assert_bad(&[
        (with(json!({ "by": { "user": OTHER } })), &["by names a user who does not exist", OTHER]),
        (with(json!({ "by": { "user": "bob" } })), &["by must be a UUID", "\"bob\""]),
        (with(json!({ "by": { "key": "Backend" } })), &["a-z", "\"Backend\""]),
        (with(json!({ "by": { "key": "b".repeat(33) } })), &["1 to 32 characters"]),
        (with(json!({ "by": { "what": "x" } })), &["unknown variant `what`"]),
        (with(json!({ "by": { "key": "b", "user": ANN } })), &["column"]),
        (with(json!({ "by": "backend" })), &["column"]),
        (event(5, &itself), &["by names a user who does not exist"]),
        (revoked(json!({ "from": 0 })), &["its from is 0; it must be at least 1"]),
        (revoked(json!({ "from": null })), &["from is missing"]),
        (revoked(json!({ "from": 253_402_300_800_u64 })), &["the year 9999"]),
        (revoked(json!({ "from": u64::MAX })), &["the year 9999"]),
        (revoked(json!({ "from": 5, "user": OTHER })), &["there is no user", OTHER]),
    ]);
}

#[test]
fn any_number_of_actors_is_imported() {
    let added = (1..=600).map(|position| {
        let id = format!("01a20ad7-0c2a-7768-938d-{position:012}");
        let time = format!("2026-11-23T15:04:05.{position:06}Z");
        let by = json!({ "key": format!("key-{position}") });
        event(position, &json!({ "type": "user_added", "id": id, "time": time, "username": id, "by": by }))
    });
    let lines: String = added.collect();
    let dir = TempDir::new().unwrap();
    assert_eq!(import(dir.path(), &lines).position(), 600);
    assert_eq!(export(dir.path()).matches("\"by\":{\"key\":\"key-").count(), 600);
    assert_eq!(tool(&["log", "verify"], dir.path()).found("frames"), "3");
}

#[test]
fn blank_lines_and_byte_order_marks_are_skipped() {
    let lines = good();
    let dir = TempDir::new().unwrap();
    let spaced = format!("\n\u{feff}{}", lines.replace('\n', "\r\n \n\n"));
    assert_eq!(import(dir.path(), &spaced).position(), 4);
    let plain = dir.path().join("plain");
    import(&plain, &lines).done();
    assert_eq!(export(dir.path()), export(&plain));

    let bad = format!("{spaced}x\n");
    import(&dir.path().join("data"), &bad).refused(2, &["line 14: "]);
}

#[test]
fn a_line_of_the_future_needs_a_flag() {
    let now = jiff::Timestamp::now();
    let in_hours = |hours| (now + jiff::SignedDuration::from_hours(hours)).to_string();
    let exported = |hours| {
        let joined = json!({ "type": "member_added", "chat": TEA, "user": BOB, "time": in_hours(hours) });
        good() + &event(5, &joined)
    };
    let named = |hours| {
        let said = |hours| {
            let line = json!({ "op": "message", "chat": "tea", "user": "ann", "time": in_hours(hours), "text": "hi" });
            format!("{line}\n")
        };
        said(-1).repeat(4) + &said(hours)
    };
    let dir = TempDir::new().unwrap();
    for (form, [near, far]) in [("exported", [exported(23), exported(25)]), ("named", [named(23), named(25)])]
    {
        let data = dir.path().join(form);
        import(&data, &far).refused(2, &["line 5: ", &in_hours(25)[..19], "--allow-future", "clock"]);
        assert!(!data.exists(), "{form}");
        import(&data, &near).done();

        let future = dir.path().join(format!("{form}, of the future"));
        import_allowing_future(&future, &far);
        let lines = export(&future);
        let copy = dir.path().join(format!("{form}, copied"));
        import(&copy, &lines).refused(2, &["more than a day ahead"]);
        import_allowing_future(&copy, &lines);
        assert!(export(&copy) == lines, "byte for byte");
    }
}

#[test]
fn an_import_leaves_an_existing_log_alone() {
    let log = old_log();
    let before = contents(log.path());
    import(log.path(), &good()).refused(2, &["holds a log", log.path().to_str().unwrap()]);
    assert_eq!(contents(log.path()), before);
}

#[test]
fn an_import_leaves_a_damaged_log_alone() {
    let log = old_log();
    alter(&segments(log.path())[0], |bytes| bytes[30_000] ^= 1);
    std::fs::write(log.path().join("LOCK"), "").unwrap();
    let before = contents(log.path());
    import(log.path(), &good()).refused(2, &["holds a log"]);
    assert_eq!(contents(log.path()), before);
}

/// The import is killed at any time. Then all of the log is there, or the next import succeeds.
#[test]
fn a_killed_import_can_be_repeated() {
    let lines = long_history();
    let (mut whole, mut cut_short) = (0, 0);
    for round in 0..12_u32 {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        let file = dir.path().join("lines");
        std::fs::write(&file, &lines).unwrap();
        let mut process = start_import(&data, &file);
        std::thread::sleep(Duration::from_millis(u64::from(round) * 12));
        process.kill().unwrap();
        process.wait().unwrap();
        let is_whole = data.exists() && export_or_none(&data).is_some_and(|there| there == lines);
        if is_whole {
            whole += 1;
            continue;
        }
        cut_short += 1;
        assert_eq!(import(&data, &lines).position(), lines.lines().count() as u64, "round {round}");
        assert!(export(&data) == lines, "round {round}");
        assert!(!data.join("import-unfinished").exists(), "round {round}");
    }
    assert!(cut_short > 0, "{whole} were not killed in time");
}

/// Returns the lines of thousands of messages.
fn long_history() -> String {
    let said = (5..6_000).map(|position| {
        let time = format!("2026-11-23T15:04:06.{position:06}Z");
        let id = format!("01a20ad7-0c2a-7768-938d-{position:012}");
        let text = "x".repeat(90);
        event(position, &json!({ "time": time, "type": "message_added", "id": id, "chat": TEA, "author": ANN, "text": text }))
    });
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    import(&data, &(good() + &said.collect::<String>())).done();
    export(&data)
}

fn start_import(data: &std::path::Path, lines: &std::path::Path) -> std::process::Child {
    let mut command: Command = binary();
    command.args(["import", "--segment-bytes", "65536", "--data"]).arg(data);
    command.stdin(std::fs::File::open(lines).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Returns the export of a log, or `None` if the directory does not hold a complete one.
fn export_or_none(data: &std::path::Path) -> Option<String> {
    let said = tool(&["export"], data);
    let is_hole = said.code == Some(3) && !data.join("00000000000000000001.log").exists();
    assert!(said.code == Some(0) || is_hole, "{}", said.stderr);
    let nothing = said.stdout.is_empty();
    assert!(nothing || said.code == Some(0), "never a part of it");
    (!nothing).then_some(said.stdout)
}

#[tokio::test]
async fn a_killed_import_is_invisible_to_a_server() {
    let dir = TempDir::new().unwrap();
    let mut command = binary();
    command.args(["import", "--data"]).arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    let unfinished = dir.path().join("import-unfinished");
    while !unfinished.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let server = TestServer::start_at(dir.path(), &[]);
    assert_eq!(server.position().await, 0);
    server.add_user("ann").await;
    drop(server);
    tool_with(&["import"], dir.path(), good().as_bytes()).refused(2, &["holds a log"]);
    assert_eq!(tool(&["log", "verify"], dir.path()).position(), 1);
}
