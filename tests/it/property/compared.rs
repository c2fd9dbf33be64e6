//! Every read of the server, compared with the naive model.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::message::NaiveMessage;
use super::naive::{Naive, NaiveChat, NaiveUser};
use super::requests::NOBODY;
use super::{Reply, Request, Server};

pub(super) async fn compare(server: &Server, naive: &Naive) {
    for chat in &naive.chats {
        compare_messages(server, chat, naive).await;
        compare_shown(server, chat, naive).await;
    }
    compare_users(server, naive).await;
    naive.compare_revocations(&server.engine);
    for user in &naive.users {
        for body in [json!({ "user": user.id }), json!({ "username": user.username })] {
            assert_eq!(server.send(&Request::new("/users/get", body)).await.body, user.shown());
        }
        compare_chats(server, &user.id, naive).await;
    }
}

/// Compares the list of a user's chats, and its pages.
async fn compare_chats(server: &Server, user: &Value, naive: &Naive) {
    let whole = server.list("/chats/get", json!({ "user": user })).await;
    let chats = naive.chats_of(user).into_iter();
    assert_eq!(without_cursors(&whole), chats.map(|chat| chat.shown(Some(user))).collect::<Vec<_>>());
    for limit in [1, 3] {
        assert_eq!(paged(server, "/chats/get", json!({ "user": user }), limit).await, whole);
    }
}

fn without_cursors(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    for item in &mut list {
        assert!(item.as_object_mut().expect("an object").remove("cursor").is_some());
    }
    list
}

/// Compares lists of users: all of them, pages, those with these ids, and those with these names.
async fn compare_users(server: &Server, naive: &Naive) {
    let shown = |users: &[&NaiveUser]| users.iter().map(|user| user.shown()).collect::<Vec<_>>();
    let all: Vec<_> = naive.users.iter().collect();
    let listed = server.list("/users/list", json!({})).await;
    assert_eq!(without_cursors(&listed), shown(&all));
    assert_eq!(paged(server, "/users/list", json!({}), 2).await, listed);

    let mut ids: Vec<_> = all.iter().rev().map(|user| user.id.clone()).collect();
    ids.push(json!(NOBODY));
    let known: Vec<_> = all.iter().rev().copied().collect();
    assert_eq!(server.list("/users/get", json!({ "users": ids })).await, shown(&known));

    for prefix in ["user", "USER 1", "user 10", "u ser"] {
        let mut expected = all.clone();
        let name = |user: &NaiveUser| user.username.as_str().expect("a name").to_lowercase();
        expected.retain(|user| name(user).starts_with(&prefix.to_lowercase()));
        expected.sort_by_key(|user| name(user));
        assert_eq!(
            server.list("/users/find", json!({ "prefix": prefix })).await,
            shown(&expected),
            "{prefix}"
        );
    }
}

/// Compares a chat by itself: to nobody, and to each user.
async fn compare_shown(server: &Server, chat: &NaiveChat, naive: &Naive) {
    for user in naive.users.iter().map(|user| Some(&user.id)).chain([None]) {
        let body = json!({ "chat": chat.id, "user": user });
        let Reply { status, body: mut shown, .. } = server.send(&Request::new("/chats/show", body)).await;
        if user.is_some_and(|user| !chat.users.contains(user)) {
            assert_eq!(shown["code"], "not_a_member");
            continue;
        }
        assert_eq!(status, StatusCode::OK);
        let mut marks = shown["read_marks"].take();
        marks.as_array_mut().expect("a list").sort_by_key(|mark| mark["user"].to_string());
        let marked = |user: &Value| Some(json!({ "user": user, "seq": chat.marked(user)? }));
        let mut expected_marks: Vec<_> = chat.users.iter().filter_map(marked).collect();
        expected_marks.sort_by_key(|mark| mark["user"].to_string());
        assert_eq!(marks, json!(expected_marks));
        let mut expected = chat.shown(user);
        (expected["read_marks"], expected["cursor"]) = (Value::Null, shown["cursor"].clone());
        assert_eq!(shown, expected);
    }
}

/// Compares the messages of a chat: all, to nobody and to a reader; pages; some; and those that have changed.
async fn compare_messages(server: &Server, chat: &NaiveChat, naive: &Naive) {
    let (id, last) = (&chat.id, chat.messages.len());
    let get = async |mut more: Value| {
        more["chat"] = id.clone();
        server.list("/messages/get", more).await
    };
    let to = |reader: Option<&Value>| {
        chat.messages.iter().map(|message| message.shown(reader)).collect::<Vec<_>>()
    };
    let messages = to(None);
    assert_eq!(get(json!({})).await, messages);
    assert!(messages.is_sorted_by(|one, next| one["created_at"].as_str() < next["created_at"].as_str()));
    for bound in [0, 1, last / 2, last, last + 1] {
        let after = get(json!({ "after": bound, "limit": 3 })).await;
        assert_eq!(after, messages[bound.min(last)..last.min(bound + 3)]);
        let end = bound.saturating_sub(1).min(last);
        let before = get(json!({ "before": bound, "limit": 3 })).await;
        assert_eq!(before, messages[end.saturating_sub(3)..end]);
    }
    assert_eq!(get(json!({ "limit": 3 })).await, messages[last.saturating_sub(3)..]);

    let reader = &naive.users[last % naive.users.len()].id;
    assert_eq!(get(json!({ "user": reader })).await, to(Some(reader)));
    let found = get(json!({ "user": reader, "seqs": [last + 1, last, 0, 2, last] })).await;
    let is_found = |message: &Value| [2, last].map(|seq| json!(seq)).contains(&message["seq"]);
    assert_eq!(found, to(Some(reader)).into_iter().filter(is_found).collect::<Vec<_>>());
    for after in [0, naive.events / 2, naive.events.saturating_sub(1), naive.events] {
        compare_changed(server, chat, after).await;
    }
    for (message, shown) in chat.messages.iter().zip(&messages) {
        let at = json!({ "chat": id, "seq": shown["seq"] });
        if message.rewritten > 0 {
            assert_eq!(server.list("/messages/revisions/get", at.clone()).await, message.revisions());
        }
        if message.changed != message.rewritten {
            compare_reactions(server, message, at, naive).await;
        }
    }
}

/// Compares the messages of a chat that have changed after a position, and the pages of that list.
async fn compare_changed(server: &Server, chat: &NaiveChat, after: usize) {
    let mut changed: Vec<_> = chat.messages.iter().filter(|message| message.changed > after).collect();
    changed.sort_by_key(|message| message.changed);
    let shown = |message: &&NaiveMessage| {
        let mut shown = message.shown(None);
        shown["position"] = json!(message.changed);
        shown
    };
    let expected: Vec<_> = changed.iter().map(shown).collect();
    let mut listed: Vec<Value> = Vec::new();
    loop {
        let after = listed.last().map_or(json!(after), |last| last["position"].clone());
        let body = json!({ "chat": chat.id, "changed_after": after, "limit": 4 });
        let page = server.list("/messages/get", body).await;
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    let body = json!({ "chat": chat.id, "changed_after": after });
    assert_eq!(server.list("/messages/get", body).await, expected);
}

/// Compares the reactions to a message, emoji by emoji: all, pages, and those with one emoji.
async fn compare_reactions(server: &Server, message: &NaiveMessage, at: Value, naive: &Naive) {
    let mut expected = Vec::new();
    for emoji in &naive.emoji {
        let reactions = naive.users.iter().filter_map(|user| message.reaction(&user.id, emoji));
        expected.extend(reactions.map(
            |reaction| json!({ "user": reaction.user, "emoji": emoji, "created_at": reaction.created_at }),
        ));
    }
    let listed = server.list("/messages/reactions/get", at.clone()).await;
    assert_eq!(without_cursors(&listed), expected);
    assert_eq!(paged(server, "/messages/reactions/get", at.clone(), 1).await, listed);
    let Some(first) = listed.first() else { return };
    let mut of_one = at;
    of_one["emoji"] = first["emoji"].clone();
    let expected = listed.iter().filter(|reaction| reaction["emoji"] == first["emoji"]).cloned();
    let found = server.list("/messages/reactions/get", of_one).await;
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// Returns a list, read page by page.
async fn paged(server: &Server, path: &'static str, mut body: Value, limit: usize) -> Vec<Value> {
    let mut paged: Vec<Value> = Vec::new();
    body["limit"] = json!(limit);
    loop {
        body["cursor"] = paged.last().map_or(Value::Null, |last| last["cursor"].clone());
        let page = server.list(path, body.clone()).await;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return paged;
        }
        paged.extend(page);
    }
}
