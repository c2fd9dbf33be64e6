//! `export` and `import` of what changes messages, chats and users.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::import::{ANN, BOB, OTHER, TEA, assert_bad, event, key};
use super::{export, import, log_of_version};
use crate::support::TestServer;

#[tokio::test]
async fn changes_are_imported_as_they_were() {
    let (log, dir) = (log_of_version("2-changes"), TempDir::new().unwrap());
    let data = dir.path().join("data");
    let lines = export(log.path());
    import(&data, &lines).done();
    assert!(export(&data) == lines, "byte for byte");
    // Given that every event of changes is among the lines, with what may be missing and without.
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |kind: &str, field: &str, is_there: bool| {
        let mut of_kind = events.iter().filter(|event| event["type"] == kind);
        of_kind.any(|event| event[field].is_null() != is_there)
    };
    for (kind, field) in [
        ("message_added_with", "reply_to"),
        ("message_added_with", "metadata"),
        ("message_edited", "user"),
        ("message_edited", "text"),
        ("message_edited", "metadata"),
        ("already_so", "chat"),
        ("already_so", "seq"),
        ("already_so", "user"),
        ("already_so", "edited_at"),
        ("message_deleted", "user"),
        ("chat_edited", "name"),
        ("chat_edited", "metadata"),
        ("user_edited", "username"),
        ("user_edited", "metadata"),
    ] {
        assert!(has(kind, field, true) && has(kind, field, false), "{kind} {field}");
    }
    for kind in ["nameless_chat_added", "direct_chat_added", "reaction_added", "reaction_removed"] {
        assert!(has(kind, "chat", true) || has(kind, "users", true), "{kind}");
    }
    for messages in ["erase", "keep"] {
        let is_so = |event: &Value| event["type"] == "user_erased" && event["messages"] == messages;
        assert!(events.iter().any(is_so), "{messages}");
    }
    // Then a server on the copy answers as one on the log does.
    let (old, new) = (TestServer::start_at(log.path(), &[]), TestServer::start_at(&data, &[]));
    let users = old.list("/users/list", &json!({})).await;
    assert_eq!(new.list("/users/list", &json!({})).await, users);
    for user in users {
        let chats = old.chats(user["id"].as_str().unwrap()).await;
        assert_eq!(new.chats(user["id"].as_str().unwrap()).await, chats);
        for chat in chats {
            let body = json!({ "chat": chat["id"], "user": user["id"], "changed_after": 0 });
            let changes = old.list("/messages/get", &body).await;
            assert_eq!(new.list("/messages/get", &body).await, changes);
        }
    }
    let tea = events.iter().find(|event| event["name"] == "tea").unwrap()["id"].clone();
    for (path, seq) in [("/messages/revisions/get", 2), ("/messages/reactions/get", 3)] {
        let body = json!({ "chat": tea, "seq": seq });
        let listed = old.list(path, &body).await;
        assert!(!listed.is_empty(), "{path}");
        assert_eq!(new.list(path, &body).await, listed);
    }
}

#[test]
fn a_bad_change_is_named() {
    let with = |fields: Value| event(5, &fields);
    let over = |base: &Value, fields: Value| {
        let mut line = base.clone();
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event(5, &line)
    };
    let edited = json!({ "type": "message_edited", "chat": TEA, "seq": 1, "user": ANN, "text": "x" });
    let reacted = json!({ "type": "reaction_added", "chat": TEA, "seq": 1, "user": ANN, "emoji": "+1" });
    let deleted = json!({ "type": "message_deleted", "chat": TEA, "seq": 1, "user": null, "erase": true });
    let sent = json!({ "type": "message_added_with", "id": OTHER, "chat": TEA, "author": ANN, "text": "x" });
    let direct = |users: Value| with(json!({ "type": "direct_chat_added", "id": OTHER, "users": users }));
    let nothing = json!({ "type": "already_so", "idempotency_key": key("n", 'b') });
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(8), "]".repeat(8));
    assert_bad(&[
        (over(&edited, json!({ "seq": 2 })), &["no message with seq 2"]),
        (over(&edited, json!({ "seq": 0 })), &["no message with seq 0"]),
        (over(&edited, json!({ "chat": OTHER })), &["there is no chat", OTHER]),
        (over(&edited, json!({ "user": OTHER })), &["there is no user", OTHER]),
        (over(&edited, json!({ "text": "", "seq": 2 })), &["no message with seq 2"]),
        (over(&edited, json!({ "text": "", "metadata": "[]" })), &["metadata must be a JSON object"]),
        (over(&edited, json!({ "text": "", "emoji": "+1" })), &["no message_edited has"]),
        (over(&sent, json!({ "text": "x".repeat(16_385), "metadata": "" })), &["16384 bytes"]),
        (over(&sent, json!({ "text": "", "author": BOB })), &["not a member"]),
        (over(&deleted, json!({ "type": "message_deleted", "text": "" })), &["no message_deleted has"]),
        (over(&edited, json!({ "text": null })), &["text", "metadata", "missing"]),
        (over(&edited, json!({ "metadata": "[]" })), &["metadata must be a JSON object"]),
        (over(&edited, json!({ "metadata": deep })), &["at most 8 levels"]),
        (over(&edited, json!({ "metadata": {} })), &["expected a string"]),
        (over(&edited, json!({ "emoji": "+1" })), &["no message_edited has"]),
        (over(&reacted, json!({ "seq": 2 })), &["no message with seq 2"]),
        (over(&reacted, json!({ "user": OTHER })), &["there is no user", OTHER]),
        (over(&reacted, json!({ "user": null })), &["user is missing"]),
        (over(&reacted, json!({ "emoji": "x".repeat(65) })), &["64 bytes"]),
        (over(&reacted, json!({ "emoji": "a\nb" })), &["control characters"]),
        (over(&reacted, json!({ "type": "reaction_removed", "emoji": null })), &["emoji is missing"]),
        (over(&deleted, json!({ "seq": 2 })), &["no message with seq 2"]),
        (over(&deleted, json!({ "erase": null })), &["erase is missing"]),
        (over(&sent, json!({ "reply_to": 2 })), &["no message with seq 2"]),
        (over(&sent, json!({ "reply_to": 1, "author": BOB })), &["not a member"]),
        (over(&sent, json!({ "metadata": r#"{"a":1,"a":2}"# })), &["each name once"]),
        (with(json!({ "type": "nameless_chat_added", "id": OTHER, "users": [ANN, BOB, ANN] })), &["twice"]),
        (with(json!({ "type": "nameless_chat_added", "id": TEA, "users": [ANN] })), &["already exists"]),
        (direct(json!([ANN])), &["users must hold two ids"]),
        (direct(json!([ANN, ANN])), &["users must hold two ids"]),
        (direct(json!([ANN, OTHER])), &["there is no user", OTHER]),
        (with(json!({ "type": "chat_edited", "chat": TEA })), &["name", "metadata", "missing"]),
        (with(json!({ "type": "chat_edited", "chat": TEA, "name": "tea" })), &["name is taken"]),
        (with(json!({ "type": "chat_edited", "chat": TEA, "name": "", "metadata": "[]" })), &["JSON object"]),
        (with(json!({ "type": "user_edited", "user": ANN })), &["username", "metadata", "missing"]),
        (with(json!({ "type": "user_edited", "user": ANN, "username": "bob" })), &["username is taken"]),
        (with(json!({ "type": "user_erased", "user": ANN })), &["messages is missing"]),
        (with(json!({ "type": "user_erased", "user": ANN, "messages": "hide" })), &["unknown variant"]),
        (over(&nothing, json!({ "idempotency_key": null })), &["must have an idempotency_key"]),
        (over(&nothing, json!({ "edited_at": "yesterday" })), &["RFC 3339", "\"yesterday\""]),
        (over(&nothing, json!({ "edited_at": "2026-11-23T15:04:06Z" })), &["edited_at", "before its time"]),
        (over(&nothing, json!({ "text": "x" })), &["no already_so has"]),
    ]);
}
