//! `/chats/add`, `/chats/get` and `/chats/show`

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, Scene, TestRouter, TestServer, assert_id, assert_time, post_many, problem};
use crate::users::{bad_names, good_names};

#[tokio::test]
async fn a_chat_is_answered_with_its_id() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let reply = server.post("/chats/add", &json!({ "name": "den", "users": [ann] })).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.position(), 2);
    let id = &reply.json()["id"];
    assert_id(id);
    assert_eq!(reply.json(), json!({ "id": id }));
}

#[tokio::test]
async fn a_chat_name_is_taken_once() {
    let server = TestRouter::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    server.add_chat("den", &[&ann]).await;
    let again = server.post("/chats/add", &json!({ "name": "den", "users": [bob] })).await;
    assert_eq!(problem(&again, 409, "chat_name_taken").as_deref(), Some("name"));
    assert!(server.chats(&bob).await.is_empty());
}

#[tokio::test]
async fn concurrent_creations_give_a_chat_name_once() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let body = json!({ "name": "den", "users": [ann] });
    let replies = join_all((0..64).map(|_| server.post("/chats/add", &body))).await;
    let (added, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((added.len(), refused.len()), (1, 63));
    for reply in refused {
        problem(reply, 409, "chat_name_taken");
    }
    assert_eq!(server.chats(&ann).await.len(), 1);
}

#[tokio::test]
async fn users_and_chats_may_share_names() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    server.add_chat("ann", &[&ann]).await;
}

#[tokio::test]
async fn chat_names_are_1_to_128_trimmed_characters() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    for name in good_names(128) {
        let reply = server.post("/chats/add", &json!({ "name": name, "users": [ann] })).await;
        assert_eq!(reply.status, 201, "{name:?}: {}", reply.text);
    }
    let mut names: Vec<_> = server.chats(&ann).await.iter().map(|chat| chat["name"].clone()).collect();
    names.reverse();
    assert_eq!(names, good_names(128));
    for name in bad_names(128) {
        let reply = server.post("/chats/add", &json!({ "name": name, "users": [ann] })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("name"), "{name:?}");
    }
}

#[tokio::test]
async fn a_repeated_user_counts_once_where_first() {
    let server = TestRouter::start();
    let (ann, bob, cy) =
        (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cy").await);
    server.add_chat("den", &[&cy, &ann, &cy, &cy.to_uppercase(), &bob, &ann, &bob]).await;
    assert_eq!(server.chats(&bob).await[0]["users"], json!([cy, ann, bob]));
}

#[tokio::test]
async fn a_chat_needs_a_user() {
    let server = TestRouter::start();
    let reply = server.post("/chats/add", &json!({ "name": "den", "users": [] })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users"));
}

#[tokio::test]
async fn a_chat_may_have_a_whole_body_of_users() {
    let server = TestServer::start_with(&["--ephemeral"]);
    let bodies: Vec<_> = (0..20_000).map(|number| json!({ "username": format!("user {number}") })).collect();
    let users: Vec<_> =
        post_many(&server.address, "/users/add", &bodies).iter().map(|reply| reply.id()).collect();
    let refs: Vec<_> = users.iter().map(String::as_str).collect();
    let chat = server.add_chat("crowd", &refs).await;
    let listed = &server.chats(&users[19_999]).await[0];
    assert_eq!((&listed["id"], &listed["users"]), (&json!(chat), &json!(users)));
}

#[tokio::test]
async fn a_listed_chat_has_just_these_members() {
    let server = TestRouter::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let id = server.add_chat("den", &[&bob, &ann]).await;
    let mut chat = server.chats(&ann).await.remove(0);
    assert_time(&chat["created_at"]);
    assert!(chat["cursor"].as_str().is_some_and(|cursor| !cursor.is_empty()));
    let expected = json!({
        "id": id, "name": "den", "users": [bob, ann], "created_at": chat["created_at"], "last_message": null,
        "unread": 0, "cursor": chat["cursor"],
    });
    assert_eq!(chat, expected);

    server.add_message(&id, &ann, "one").await;
    let added = server.add_message(&id, &bob, "two").await;
    let created_at = chat["created_at"].take();
    chat = server.chats(&ann).await.remove(0);
    let last = json!({
        "id": added["id"], "chat": id, "author": bob, "text": "two", "created_at": added["created_at"], "seq": 2,
    });
    assert_eq!((&chat["last_message"], &chat["created_at"]), (&last, &created_at));
    assert_eq!(server.messages(&id).await[1], last);
}

#[tokio::test]
async fn a_user_lists_only_their_own_chats() {
    let server = TestRouter::start();
    let (ann, bob, cy) =
        (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cy").await);
    let den = server.add_chat("den", &[&ann]).await;
    let pub_ = server.add_chat("pub", &[&ann, &bob]).await;
    assert_eq!(ids(&server.chats(&ann).await), [pub_.clone(), den]);
    assert_eq!(ids(&server.chats(&bob).await), [pub_]);
    assert_eq!(server.post("/chats/get", &json!({ "user": cy })).await.text, "[]");
}

#[tokio::test]
async fn a_chat_without_messages_comes_last() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let old = server.add_chat("old", &[&ann]).await;
    server.add_message(&old, &ann, "hello").await;
    let new = server.add_chat("new", &[&ann]).await;
    let newer = server.add_chat("newer", &[&ann]).await;
    assert_eq!(ids(&server.chats(&ann).await), [old, newer, new]);
}

#[tokio::test]
async fn the_chat_with_the_latest_message_comes_first() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let mut chats = Vec::new();
    for name in 'a'..='f' {
        chats.push(server.add_chat(&name.to_string(), &[&ann]).await);
    }
    // The newest chat is first, until a message is sent.
    let mut expected: Vec<_> = chats.iter().rev().cloned().collect();
    assert_eq!(ids(&server.chats(&ann).await), expected);
    for index in [2, 2, 0, 5, 3, 0, 2, 1, 4, 4, 0] {
        server.add_message(&chats[index], &ann, "hello").await;
        expected.retain(|chat| *chat != chats[index]);
        expected.insert(0, chats[index].clone());
        assert_eq!(ids(&server.chats(&ann).await), expected);
    }
}

#[tokio::test]
async fn pages_of_any_size_add_up() {
    let (server, ann) = server_with_chats(12).await;
    let whole = server.chats(&ann).await;
    assert_eq!(whole.len(), 12);
    for limit in 1..=13 {
        assert_eq!(paged(&server, &ann, limit).await, whole, "by {limit}");
    }
}

#[tokio::test]
async fn a_list_beyond_one_piece_is_whole() {
    let server = TestServer::start();
    let ann = server.add_user("ann").await;
    let bodies: Vec<_> =
        (0..400).map(|number| json!({ "name": format!("{number}"), "users": [ann] })).collect();
    let replies = post_many(&server.address, "/chats/add", &bodies);
    let mut added: Vec<_> = replies.iter().map(|reply| (reply.position(), reply.id())).collect();
    added.sort_by(|a, b| b.cmp(a));
    let whole = server.chats(&ann).await;
    assert_eq!(ids(&whole), added.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    for limit in [1, 63, 64, 65, 399, 400, 10_000] {
        let reply = server.list("/chats/get", &json!({ "user": ann, "limit": limit })).await;
        assert_eq!(reply, whole[..limit.min(400)], "by {limit}");
    }
    assert_eq!(paged(&server, &ann, 37).await, whole);
}

#[tokio::test]
async fn a_message_between_two_pages_repeats_no_chat() {
    let (server, ann) = server_with_chats(8).await;
    let order = ids(&server.chats(&ann).await);
    let first = server.list("/chats/get", &json!({ "user": ann, "limit": 3 })).await;
    // One that was seen, the one that the cursor stands on, and one that was not seen.
    for seen_or_not in [1, 2, 5] {
        server.add_message(&order[seen_or_not], &ann, "meanwhile").await;
    }
    let rest = server.list("/chats/get", &json!({ "user": ann, "cursor": first[2]["cursor"] })).await;
    assert_eq!(ids(&rest), [&order[3], &order[4], &order[6], &order[7]].map(String::as_str));
}

#[tokio::test]
async fn messages_during_paging_never_repeat_a_chat() {
    let (server, ann) = server_with_chats(30).await;
    let chats = ids(&server.chats(&ann).await);
    let (mut seen, mut cursor) = (HashSet::new(), Value::Null);
    for round in 0.. {
        let page = server.list("/chats/get", &json!({ "user": ann, "limit": 2, "cursor": cursor })).await;
        let Some(last) = page.last() else { break };
        cursor = last["cursor"].clone();
        for id in ids(&page) {
            assert!(seen.insert(id.clone()), "{id} came again");
        }
        server.add_message(&chats[round * 7 % chats.len()], &ann, "meanwhile").await;
    }
    assert!(seen.len() > 15, "most are seen: {}", seen.len());
}

#[tokio::test]
async fn a_cursor_at_the_end_is_empty() {
    let (server, ann) = server_with_chats(2).await;
    let last = server.chats(&ann).await.remove(1);
    let rest = server.post("/chats/get", &json!({ "user": ann, "cursor": last["cursor"] })).await;
    assert_eq!((rest.status.as_u16(), rest.text.as_str()), (200, "[]"));
}

#[tokio::test]
async fn a_cursor_outlives_a_restart() {
    let server = TestServer::start();
    let ann = add_chats(&server, 5).await;
    let whole = server.chats(&ann).await;
    let server = server.kill().restart();
    assert_eq!(server.chats(&ann).await, whole);
    let rest = server.list("/chats/get", &json!({ "user": ann, "cursor": whole[1]["cursor"] })).await;
    assert_eq!(rest, whole[2..]);
}

#[tokio::test]
async fn a_cursor_that_was_altered_is_refused() {
    let (server, ann) = server_with_chats(6).await;
    let chats = server.chats(&ann).await;
    for cursor in [&chats[0], &chats[5]].map(|chat| chat["cursor"].as_str().expect("text")) {
        let mut altered = vec![
            String::new(),
            format!("{cursor}0"),
            format!(" {cursor}"),
            format!("+{}", &cursor[1..]),
            cursor.to_uppercase(),
            cursor.repeat(2),
            "0".repeat(cursor.len()),
            "é".repeat(cursor.len()),
        ];
        for index in 0..cursor.len() {
            let mut digits = cursor.as_bytes().to_vec();
            digits[index] = if digits[index] == b'0' { b'1' } else { b'0' };
            altered.push(String::from_utf8(digits).expect("digits"));
            altered.push(cursor[..index].to_owned());
        }
        for altered in altered.iter().filter(|altered| *altered != cursor) {
            let reply = server.post("/chats/get", &json!({ "user": ann, "cursor": altered })).await;
            assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("cursor"), "{altered:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_log_is_refused() {
    let (longer, ann) = server_with_chats(9).await;
    let foreign = longer.chats(&ann).await.remove(0);
    let (server, ann) = server_with_chats(2).await;
    let reply = server.post("/chats/get", &json!({ "user": ann, "cursor": foreign["cursor"] })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("cursor"));
}

#[tokio::test]
async fn a_null_option_counts_as_absent() {
    let (server, ann) = server_with_chats(3).await;
    let whole = server.chats(&ann).await;
    assert_eq!(
        server.list("/chats/get", &json!({ "user": ann, "limit": null, "cursor": null })).await,
        whole
    );
}

#[tokio::test]
async fn upper_case_ids_are_answered_in_lower_case() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann.to_uppercase()]).await;
    let chats = server.chats(&ann.to_uppercase()).await;
    assert_eq!((&chats[0]["id"], &chats[0]["users"]), (&json!(den), &json!([ann])));
}

#[tokio::test]
async fn a_chat_is_shown_with_its_read_marks() {
    let scene = Scene::on(TestServer::start()).await;
    let (server, ann, bob, den) = (&scene.server, &scene.ann, &scene.bob, &scene.den);
    let cy = server.add_user("cy").await;
    server.join(den, bob).await;
    server.join(den, &cy).await;
    for text in ["one", "two", "three"] {
        server.add_message(den, ann, text).await;
    }
    for (reader, seq) in [(bob, 1), (bob, 2), (&cy, 3)] {
        server.mark_read(den, reader, seq).await;
    }
    server.leave(den, &cy).await;
    // To a member, it is as in the list, with the marks of those who are members and have read something.
    let mut expected = server.chats(bob).await.remove(0);
    expected["read_marks"] = json!([{ "user": bob, "seq": 2 }]);
    let shown = server.post("/chats/show", &json!({ "chat": den, "user": bob })).await;
    assert_eq!((shown.status.as_u16(), shown.position()), (200, server.position().await));
    assert_eq!((shown.json(), &shown.json()["unread"]), (expected.clone(), &json!(1)));
    // To nobody in particular, no messages are unread.
    expected.as_object_mut().expect("an object").remove("unread");
    assert_eq!(server.post("/chats/show", &json!({ "chat": den })).await.json(), expected);

    let server = scene.server.kill().restart();
    assert_eq!(server.post("/chats/show", &json!({ "chat": den, "user": null })).await.json(), expected);
}

#[tokio::test]
async fn a_chat_is_shown_to_its_members() {
    let Scene { server, ann, bob, den } = Scene::start().await;
    let show = async |chat: &str, user: &str| {
        server.post("/chats/show", &json!({ "chat": chat, "user": user })).await
    };
    assert_eq!(problem(&show(&den, &bob).await, 403, "not_a_member").as_deref(), Some("user"));
    assert_eq!(problem(&show(&den, &den).await, 404, "user_not_found").as_deref(), Some("user"));
    assert_eq!(problem(&show(&ann, &den).await, 404, "chat_not_found").as_deref(), Some("chat"));
    assert_eq!(show(&den, &ann).await.status, 200);
}

#[tokio::test]
async fn the_marks_of_a_large_chat_are_all_shown() {
    let Scene { server, ann, den, .. } = Scene::start().await;
    server.add_message(&den, &ann, "hello").await;
    let mut readers = Vec::new();
    for number in 0..2_100 {
        let reader = server.add_user(&format!("reader {number}")).await;
        server.join(&den, &reader).await;
        server.mark_read(&den, &reader, 1).await;
        readers.push(reader);
    }
    let shown = server.post("/chats/show", &json!({ "chat": den })).await.json();
    let marks = shown["read_marks"].as_array().expect("a list");
    let mut marked: Vec<_> =
        marks.iter().map(|mark| mark["user"].as_str().expect("an id").to_owned()).collect();
    marked.sort();
    readers.sort();
    assert_eq!(marked, readers);
}

/// Returns a router in process with a user in `count` chats, some of them with messages.
async fn server_with_chats(count: usize) -> (TestRouter, String) {
    let server = TestRouter::start();
    let ann = add_chats(&server, count).await;
    (server, ann)
}

/// Adds a user and `count` chats of that user, some of them with messages; returns the user.
async fn add_chats(server: &Client, count: usize) -> String {
    let ann = server.add_user("ann").await;
    let mut chats = Vec::new();
    for number in 0..count {
        chats.push(server.add_chat(&format!("chat {number}"), &[&ann]).await);
    }
    for index in (0..count).step_by(3).chain((0..count).step_by(2).take(3)) {
        server.add_message(&chats[index], &ann, "hello").await;
    }
    ann
}

/// Pages through the chats of a user, `limit` at a time.
async fn paged(server: &Client, user: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page =
            server.list("/chats/get", &json!({ "user": user, "limit": limit, "cursor": cursor })).await;
        assert!(page.len() <= limit);
        let Some(last) = page.last() else { return all };
        assert_ne!(last["cursor"], cursor, "it goes on");
        cursor = last["cursor"].clone();
        all.extend(page);
    }
}

fn ids(chats: &[Value]) -> Vec<String> {
    chats.iter().map(|chat| chat["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_chat_that_was_left_meanwhile_is_not_listed() {
    use axum::body::Body;
    use http_body_util::BodyExt;

    // Given a list that is longer than what is sent at first,
    let server = TestRouter::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let mut chats = Vec::new();
    for number in 0..600 {
        chats.push(server.add_chat(&format!("chat {number}"), &[&ann]).await);
    }
    let request = axum::http::Request::post("/chats/get").header("content-type", "application/json");
    let request = request.body(Body::from(json!({ "user": ann }).to_string())).expect("a request");
    let mut body = server.answer(request).await.into_body();
    let first = body.frame().await.expect("a part").expect("sent").into_data().expect("data");
    // When the user leaves the last chat of it, and another one joins,
    server.leave(&chats[0], &ann).await;
    server.join(&chats[0], &bob).await;
    // Then that chat is not among the rest.
    let rest = body.collect().await.expect("sent").to_bytes();
    let listed: Vec<Value> = serde_json::from_slice(&[first, rest].concat()).expect("a list");
    assert_eq!(listed.len(), 599);
    assert!(listed.iter().all(|chat| chat["id"] != chats[0] && chat["users"] == json!([ann])));
}
