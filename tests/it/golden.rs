//! The answers, byte for byte, except the ids, times and cursors in them. A change of an answer is a
//! decision, which the diff of `snapshots` shows. On the real process, because the snapshots hold request
//! ids.

use serde_json::{Value, json};

use crate::support::{RawConnection, Reply, TestServer, head, post, problem};

const V4: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";

#[tokio::test]
async fn answers_of_each_call() {
    let server = TestServer::start();
    let add_ann = server.post("/users/add", &json!({ "username": "ann" })).await;
    check("users_add", &[], &add_ann);
    check("users_get", &[], &server.post("/users/get", &json!({ "username": "ann" })).await);
    let (ann, bob) = (add_ann.id(), server.add_user("bob").await);
    let add_den = server.post("/chats/add", &json!({ "name": "den", "users": [bob, ann] })).await;
    check("chats_add", &[], &add_den);
    let (den, empty) = (add_den.id(), server.add_chat("empty", &[&ann]).await);
    let names = [("ann", ann.as_str()), ("bob", &bob), ("den", &den), ("empty", &empty)];

    let message = json!({ "chat": den, "author": ann, "text": "hello" });
    check("messages_add", &[], &server.post("/messages/add", &message).await);
    server.add_message(&den, &bob, "\0\u{1f}\u{7f}\"\\/ é🦀\u{2028}\r\n").await;
    check("messages_get", &names, &server.post("/messages/get", &json!({ "chat": den })).await);
    check("messages_get_empty", &names, &server.post("/messages/get", &json!({ "chat": empty })).await);
    check("chats_get", &names, &server.post("/chats/get", &json!({ "user": ann })).await);
    check("chats_show", &names, &server.post("/chats/show", &json!({ "chat": den, "user": ann })).await);
    check("users_list", &names, &server.post("/users/list", &json!({})).await);
    check("users_find", &names, &server.post("/users/find", &json!({ "prefix": "A" })).await);
    check("users_get_many", &names, &server.post("/users/get", &json!({ "users": [bob, ann] })).await);
    let cy = server.add_user("cy").await;
    check("chats_get_empty", &[], &server.post("/chats/get", &json!({ "user": cy })).await);
    let health = server.get("/health").await;
    let text = |member: &str| health.json()[member].as_str().unwrap().to_owned();
    check("health", &[("log", &text("log")), ("epoch", &text("epoch"))], &health);

    let membership = json!({ "chat": den, "user": cy });
    check("chats_users_add", &[], &server.post("/chats/users/add", &membership).await);
    let mark = json!({ "chat": den, "user": ann, "seq": 2 });
    check("chats_read", &[], &server.post("/chats/read", &mark).await);
    check("chats_users_remove", &[], &server.post("/chats/users/remove", &membership).await);
    check("chats_users_remove_again", &[], &server.post("/chats/users/remove", &membership).await);
    let batch = json!({ "messages": [message, { "chat": empty, "author": ann, "text": "hello" }, message] });
    check("messages_batch", &[], &server.post("/messages/batch", &batch).await);
}

#[tokio::test]
async fn answers_of_calls_that_change_messages() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    let mut names = vec![("ann", ann.as_str()), ("bob", &bob), ("den", &den)];
    let seq = |seq: u64| json!({ "chat": den, "seq": seq });
    let of = |number: u64, more: Value| {
        let mut body = seq(number);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    server.add_message(&den, &bob, "hello").await;
    let message = json!({
        "chat": den, "author": ann, "text": "hello", "reply_to": 1, "metadata": { "a": [1.0, "é\u{2028}"], "b": {} },
    });
    check("messages_add_with", &[], &server.post("/messages/add", &message).await);
    let edit = of(2, json!({ "user": ann, "text": "hi" }));
    check("messages_edit", &[], &server.post("/messages/edit", &edit).await);
    let unchanged = of(1, json!({ "text": "hello" }));
    check("messages_edit_unchanged", &[], &server.post("/messages/edit", &unchanged).await);
    let reaction = |user: &str, emoji: &str| of(2, json!({ "user": user, "emoji": emoji }));
    let add = "/messages/reactions/add";
    check("messages_reactions_add", &[], &server.post(add, &reaction(&ann, "👍")).await);
    server.post(add, &reaction(&bob, "👍")).await.done();
    server.post(add, &reaction(&bob, "\"<3\"")).await.done();
    server.post(add, &reaction(&ann, "gone")).await.done();
    let removed = server.post("/messages/reactions/remove", &reaction(&ann, "gone")).await;
    check("messages_reactions_remove", &[], &removed);
    let reactions = server.post("/messages/reactions/get", &seq(2)).await;
    let cursors = reactions.json();
    let cursors: Vec<_> =
        cursors.as_array().unwrap().iter().map(|one| one["cursor"].as_str().unwrap()).collect();
    names.extend(cursors.iter().map(|cursor| ("cursor", *cursor)));
    check("messages_reactions_get", &names, &reactions);
    check("messages_revisions_get", &names, &server.post("/messages/revisions/get", &seq(2)).await);
    check("messages_delete", &[], &server.post("/messages/delete", &of(1, json!({ "user": bob }))).await);
    let get = |more: Value| {
        let mut body = json!({ "chat": den });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let server = &server;
        async move { server.post("/messages/get", &body).await }
    };
    check("messages_get_changed", &names, &get(json!({ "user": ann, "changed_after": 0 })).await);
    check("messages_get_seqs", &names, &get(json!({ "seqs": [2, 9] })).await);
    check("chats_get_changed", &names, &server.post("/chats/get", &json!({ "user": bob })).await);
}

#[tokio::test]
async fn answers_of_calls_that_change_chats_and_users() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let direct = json!({ "users": [ann, bob] });
    let added = server.post("/chats/direct", &direct).await;
    check("chats_direct", &[], &added);
    let pair = added.id();
    let names = [("ann", ann.as_str()), ("bob", &bob), ("pair", &pair)];
    check("chats_direct_again", &names, &server.post("/chats/direct", &direct).await);
    check("chats_add_nameless", &[], &server.post("/chats/add", &json!({ "users": [ann] })).await);
    let edit = json!({ "chat": pair, "metadata": { "a": 1.0 } });
    check("chats_edit", &[], &server.post("/chats/edit", &edit).await);
    let edit = json!({ "user": ann, "username": "anna", "metadata": { "b": null } });
    check("users_edit", &[], &server.post("/users/edit", &edit).await);
    check("users_get_changed", &names, &server.post("/users/get", &json!({ "user": ann })).await);
    check("chats_show_direct", &names, &server.post("/chats/show", &json!({ "chat": pair })).await);
}

#[tokio::test]
async fn answers_with_each_code_of_changes() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    let pair = server.post("/chats/direct", &json!({ "users": [ann, bob] })).await.id();
    let names = [("ann", ann.as_str()), ("bob", &bob), ("den", &den), ("pair", &pair)];
    for text in ["one", "two"] {
        server.add_message(&den, &ann, text).await;
    }
    server.post("/messages/delete", &json!({ "chat": den, "seq": 1 })).await.done();
    let reaction = |emoji: u64| json!({ "chat": den, "seq": 2, "user": ann, "emoji": emoji.to_string() });
    for emoji in 0..20 {
        server.post("/messages/reactions/add", &reaction(emoji)).await.done();
    }
    let edit = |seq: u64, user: &str| json!({ "chat": den, "seq": seq, "user": user, "text": "x" });
    let position = server.position().await;
    let other = json!({ "chat": den, "changed_after": format!("{position}-00000000000000ab") });
    for (code, status, path, body) in [
        ("message_not_found", 404, "/messages/edit", edit(3, &ann)),
        ("not_the_author", 403, "/messages/edit", edit(2, &bob)),
        ("message_deleted", 409, "/messages/edit", edit(1, &ann)),
        ("too_many_reactions", 409, "/messages/reactions/add", reaction(20)),
        ("direct_chat", 409, "/chats/users/add", json!({ "chat": pair, "user": ann })),
        ("history_changed", 409, "/messages/get", other),
    ] {
        let reply = server.post(path, &body).await;
        problem(&reply, status, code);
        check(code, &names, &reply);
    }
    let reply_to = json!({ "chat": den, "author": ann, "text": "x", "reply_to": 1 });
    check("message_deleted_reply", &names, &server.post("/messages/add", &reply_to).await);
}

#[tokio::test]
async fn answers_under_a_key() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let names = [("ann", ann.as_str()), ("den", &den)];
    let message = json!({ "chat": den, "author": ann, "text": "hello" });
    let membership = json!({ "chat": den, "user": ann });
    for (first, again, path, body) in [
        ("keyed", "keyed_again", "/messages/add", message),
        ("keyed_without_change", "keyed_without_change_again", "/chats/users/add", membership),
    ] {
        check(first, &names, &server.post_under(path, path, &body).await);
        check(again, &names, &server.post_under(path, path, &body).await);
    }
    let user = json!({ "username": "bob" });
    check("idempotency_key_reused", &[], &server.post_under("/messages/add", "/users/add", &user).await);
    check("key_invalid", &[], &server.post_under("two words", "/users/add", &user).await);
    let twice = server.request("POST", "/users/add").header("content-type", "application/json");
    let twice = twice.header("idempotency-key", "key").header("idempotency-key", "key");
    check("key_twice", &[], &server.send(twice.body(user.to_string())).await);
}

#[tokio::test]
async fn answers_with_each_code() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann]).await;
    let names = [("ann", ann.as_str()), ("bob", &bob), ("den", &den)];
    let cases: [(&str, u16, &str, Value); 9] = [
        ("not_a_member", 403, "/messages/add", json!({ "chat": den, "author": bob, "text": "hello" })),
        ("user_not_found", 404, "/chats/add", json!({ "name": "pub", "users": [ann, V4] })),
        ("chat_not_found", 404, "/messages/get", json!({ "chat": V4 })),
        ("username_taken", 409, "/users/add", json!({ "username": "ann" })),
        ("chat_name_taken", 409, "/chats/add", json!({ "name": "den", "users": [bob] })),
        ("invalid_json", 400, "/users/add", json!([])),
        ("invalid_field", 400, "/users/add", json!({ "username": "x".repeat(65) })),
        ("route_not_found", 404, "/nothing", json!({})),
        ("method_not_allowed", 405, "/health", json!({})),
    ];
    for (code, status, path, body) in cases {
        let reply = server.post(path, &body).await;
        problem(&reply, status, code);
        check(code, &names, &reply);
    }
    let of_bob = json!({ "messages": [
        { "chat": den, "author": ann, "text": "hello" }, { "chat": den, "author": bob, "text": "hello" },
    ] });
    check("not_a_member_in_a_batch", &names, &server.post("/messages/batch", &of_bob).await);
    let bob_reads = json!({ "chat": den, "user": bob, "seq": 0 });
    check("not_a_member_reads", &names, &server.post("/chats/read", &bob_reads).await);
    let cy = json!({ "username": "cy" });
    check("user_not_found_by_name", &[], &server.post("/users/get", &cy).await);
    check("invalid_json_syntax", &[], &server.post_raw("/users/add", "{\"username\": ann}").await);
}

#[tokio::test]
async fn answers_that_blame_a_field() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let names = [("ann", ann.as_str()), ("den", &den)];
    let cases = [
        ("field_missing", "/users/add", json!({})),
        ("field_unknown", "/users/add", json!({ "username": "bob", "more": 1 })),
        ("field_empty", "/users/add", json!({ "username": "" })),
        ("field_of_wrong_type", "/users/add", json!({ "username": 5 })),
        ("field_with_control_character", "/users/add", json!({ "username": "a\tb" })),
        ("field_with_white_space_at_an_end", "/users/add", json!({ "username": "bob " })),
        ("users_empty", "/chats/add", json!({ "name": "den", "users": [] })),
        ("users_no_array", "/chats/add", json!({ "name": "den", "users": ann })),
        ("users_no_id", "/chats/add", json!({ "name": "den", "users": [ann, "bob"] })),
        ("text_too_long", "/messages/add", json!({ "chat": V4, "author": V4, "text": "é".repeat(8_193) })),
        ("limit_out_of_range", "/messages/get", json!({ "chat": V4, "limit": 0 })),
        ("user_and_username", "/users/get", json!({ "user": ann, "username": "ann" })),
        ("user_or_username", "/users/get", json!({})),
        ("seq_beyond_the_last", "/chats/read", json!({ "chat": den, "user": ann, "seq": 5 })),
        ("seq_negative", "/chats/read", json!({ "chat": den, "user": ann, "seq": -5 })),
        ("messages_empty", "/messages/batch", json!({ "messages": [] })),
        (
            "messages_with_a_bad_text",
            "/messages/batch",
            json!({ "messages": [{ "chat": V4, "author": V4, "text": 5 }] }),
        ),
        ("after_and_before", "/messages/get", json!({ "chat": V4, "after": 1, "before": 2 })),
    ];
    for (name, path, body) in cases {
        let reply = server.post(path, &body).await;
        problem(&reply, 400, "invalid_field");
        check(name, &names, &reply);
    }
    let twice = server.post_raw("/users/add", r#"{"username":"bob","username":"bob"}"#).await;
    check("field_twice", &[], &twice);
}

#[test]
fn answers_to_what_no_client_library_sends() {
    let server = TestServer::start_with(&["--request-timeout-s", "1"]);
    let reply = |request: &[u8]| {
        let mut connection = RawConnection::open(&server.address);
        connection.send(request);
        connection.reply()
    };
    let json = "Content-Type: application/json";
    let silent = head("POST", "/users/add", &[json, "Content-Length: 9"]);
    check("request_timeout", &[], &reply(silent.as_bytes()));
    let too_large = head("POST", "/users/add", &[json, "Content-Length: 1048577", "Expect: 100-continue"]);
    check("body_too_large", &[], &reply(too_large.as_bytes()));
    check("unsupported_media_type", &[], &reply(head("POST", "/users/add", &[]).as_bytes()));
    let text = head("POST", "/users/add", &["Content-Type: text/plain", "Content-Length: 0"]);
    check("unsupported_media_type_text", &[], &reply(text.as_bytes()));
    check("invalid_host", &[], &reply(b"GET /health HTTP/1.1\r\nHost: ann@chinwag.test\r\n\r\n"));
    let gzip = head("POST", "/users/add", &[json, "Content-Encoding: gzip", "Content-Length: 0"]);
    check("unsupported_media_type_gzip", &[], &reply(gzip.as_bytes()));
    let get = head("GET", "/messages/add", &[]);
    check("method_not_allowed_get", &[], &reply(get.as_bytes()));
    assert_eq!(reply(&post("/users/add", &json!({ "username": "ann" }))).status, 201);
}

/// Compares the status, the promised headers and the body with the snapshot of this name.
#[track_caller]
pub fn check(snapshot: &str, names: &[(&str, &str)], reply: &Reply) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(snapshot, golden(names, reply));
    });
}

/// Returns the answer as text, with names in place of the ids that have one and a line for each item of a
/// list.
fn golden(names: &[(&str, &str)], reply: &Reply) -> String {
    let mut body = reply.text.clone();
    for (name, id) in names {
        body = body.replace(id, &format!("<{name}>"));
    }
    for (shape, name) in [
        ("00000000-0000-7000-0000-000000000000", "<id>"),
        ("0000-00-00T00:00:00.000000Z", "<time>"),
        ("\"cursor\":\"000000000000000000000000\"", "\"cursor\":\"<cursor>\""),
    ] {
        body = redacted(&body, shape, name);
    }
    let headers =
        ["content-type", "allow", "retry-after", "chinwag-position", "idempotent-replayed"].into_iter();
    let headers = headers.filter(|name| reply.headers.contains_key(*name));
    let headers: String = headers.flat_map(|name| [name, ": ", reply.header(name), "\n"]).collect();
    format!("{}\n{headers}\n{}", reply.status, body.replace("},{", "},\n{"))
}

/// Returns the text with the name in place of everything that has this shape, where 0 stands for any
/// hexadecimal digit.
fn redacted(text: &str, shape: &str, name: &str) -> String {
    let fits = |(byte, shape): (u8, u8)| if shape == b'0' { byte.is_ascii_hexdigit() } else { byte == shape };
    let mut redacted = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let candidate = rest.get(..shape.len());
        if candidate.is_some_and(|candidate| candidate.bytes().zip(shape.bytes()).all(fits)) {
            redacted.push_str(name);
            rest = &rest[shape.len()..];
        } else {
            redacted.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    redacted
}
