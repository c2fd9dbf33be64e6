//! `/users/add`, `/users/get`, `/users/list` and `/users/find`

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{TestRouter, TestServer, assert_id, assert_time, problem};

#[tokio::test]
async fn a_user_is_answered_with_its_id() {
    let server = TestRouter::start();
    let reply = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.position(), 1);
    let id = &reply.json()["id"];
    assert_id(id);
    assert_eq!(reply.json(), json!({ "id": id }));
}

#[tokio::test]
async fn a_username_is_taken_once() {
    let server = TestRouter::start();
    let reply = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!((reply.status.as_u16(), reply.position()), (201, 1));
    let again = server.post("/users/add", &json!({ "username": "ann" })).await;
    assert_eq!(problem(&again, 409, "username_taken").as_deref(), Some("username"));
}

#[tokio::test]
async fn concurrent_creations_give_a_username_once() {
    let server = TestRouter::start();
    let body = json!({ "username": "ann" });
    let replies = join_all((0..64).map(|_| server.post("/users/add", &body))).await;
    let (added, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 201);
    assert_eq!((added.len(), refused.len()), (1, 63));
    for reply in refused {
        problem(reply, 409, "username_taken");
    }
    assert_eq!(server.position().await, 1);
}

#[tokio::test]
async fn usernames_are_1_to_64_trimmed_characters() {
    let server = TestRouter::start();
    for username in good_names(64) {
        let reply = server.post("/users/add", &json!({ "username": username })).await;
        assert_eq!(reply.status, 201, "{username:?}: {}", reply.text);
    }
    for username in bad_names(64) {
        let reply = server.post("/users/add", &json!({ "username": username })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("username"), "{username:?}");
    }
}

#[tokio::test]
async fn a_user_is_found_by_id_and_name() {
    let server = TestServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let by_id = server.post("/users/get", &json!({ "user": ann })).await;
    assert_eq!((by_id.status.as_u16(), by_id.header("content-type")), (200, "application/json"));
    let created_at = &by_id.json()["created_at"];
    assert_time(created_at);
    assert_eq!(by_id.json(), json!({ "id": ann, "username": "ann", "created_at": created_at }));
    for body in [json!({ "username": "ann" }), json!({ "user": ann.to_uppercase() })] {
        assert_eq!(server.post("/users/get", &body).await.text, by_id.text);
    }
    let of_bob = server.post("/users/get", &json!({ "username": "bob" })).await.json();
    assert_eq!(of_bob["id"], bob);
    assert!(created_at.as_str() < of_bob["created_at"].as_str());

    let server = server.kill().restart();
    for body in [json!({ "user": ann }), json!({ "username": "ann" })] {
        assert_eq!(server.post("/users/get", &body).await.text, by_id.text);
    }
}

#[tokio::test]
async fn a_user_is_named_by_id_or_name() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let bodies = [
        json!({}),
        json!({ "user": null }),
        json!({ "username": null }),
        json!({ "user": null, "username": null }),
        json!({ "user": ann, "username": "ann" }),
        json!({ "user": ann, "username": "bob" }),
    ];
    for body in bodies {
        let field = problem(&server.post("/users/get", &body).await, 400, "invalid_field");
        assert!(matches!(field.as_deref(), Some("user" | "username")), "{body}: {field:?}");
    }
    for body in [json!({ "user": ann, "username": null }), json!({ "user": null, "username": "ann" })] {
        let reply = server.post("/users/get", &body).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["id"]), (200, &json!(ann)));
    }
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let den = server.add_chat("den", &[&ann]).await;
    let reply = server.post("/users/get", &json!({ "user": den })).await;
    assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some("user"));
    // Names are compared byte for byte, and a chat's name is not a user's name.
    for username in ["Ann", "ANN", "an", "anna", "a\u{301}nn", "den", &ann] {
        let reply = server.post("/users/get", &json!({ "username": username })).await;
        assert_eq!(problem(&reply, 404, "user_not_found").as_deref(), Some("username"), "{username}");
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.contains(username)));
    }
    for (field, value) in
        [("username", json!("x".repeat(65))), ("username", json!("")), ("username", json!(5))]
    {
        let reply = server.post("/users/get", &json!({ field: value })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{value}");
    }
    assert_eq!(server.position().await, 2);
}

#[tokio::test]
async fn each_name_finds_its_own_user() {
    let server = TestRouter::start();
    let mut ids = Vec::new();
    for username in good_names(64) {
        ids.push((server.add_user(&username).await, username));
    }
    for (id, username) in ids {
        let user = server.post("/users/get", &json!({ "username": username })).await.json();
        assert_eq!((&user["id"], &user["username"]), (&json!(id), &json!(username)));
    }
}

#[tokio::test]
async fn many_users_are_looked_up_in_the_order_asked_for() {
    let server = TestRouter::start();
    let mut ids = Vec::new();
    for number in 0..600 {
        ids.push(server.add_user(&format!("user {number}")).await);
    }
    // Given ids of which the first 300 name nobody.
    let nobody = (0..300).map(|number| format!("01a20aa4-0000-7000-8000-{number:012}"));
    let asked: Vec<_> = nobody.chain(ids.iter().rev().cloned()).chain([ids[0].clone()]).collect();
    // When they are looked up together.
    let reply = server.post("/users/get", &json!({ "users": asked })).await;
    assert_eq!((reply.status.as_u16(), reply.position()), (200, 600));
    // Then each is as it is by itself.
    let users = reply.json();
    let found: Vec<_> =
        users.as_array().expect("a list").iter().map(|user| user["id"].as_str().expect("an id")).collect();
    assert_eq!(found, asked[300..]);
    assert_eq!(users[599], server.post("/users/get", &json!({ "user": ids[0] })).await.json());
    assert_eq!(server.post("/users/get", &json!({ "users": [asked[0]] })).await.json(), json!([]));
}

#[tokio::test]
async fn one_to_a_thousand_users_are_looked_up() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    let ask = async |users: serde_json::Value| server.post("/users/get", &json!({ "users": users })).await;
    assert_eq!(ask(json!(vec![&ann; 1_000])).await.json().as_array().map(Vec::len), Some(1_000));
    for (users, field) in [
        (json!([]), "users"),
        (json!(vec![&ann; 1_001]), "users"),
        (json!(ann), "users"),
        (json!([ann, "ann"]), "users[1]"),
        (json!([ann, null]), "users[1]"),
    ] {
        assert_eq!(problem(&ask(users).await, 400, "invalid_field").as_deref(), Some(field));
    }
    let reply = server.post("/users/get", &json!({ "user": ann, "users": [ann] })).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("users"));
}

#[tokio::test]
async fn users_are_listed_as_they_were_added() {
    let server = TestServer::start();
    assert_eq!(server.list("/users/list", &json!({})).await, Vec::<serde_json::Value>::new());
    let mut ids = Vec::new();
    for number in (0..300).rev() {
        ids.push(server.add_user(&format!("user {number}")).await);
    }
    let whole = server.list("/users/list", &json!({ "limit": null, "cursor": null })).await;
    assert_eq!(whole.iter().map(|user| user["id"].as_str().expect("an id")).collect::<Vec<_>>(), ids);
    let first = server.post("/users/get", &json!({ "user": ids[0] })).await.json();
    let expected = json!({
        "id": ids[0], "username": "user 299", "created_at": first["created_at"], "cursor": whole[0]["cursor"],
    });
    assert_eq!(whole[0], expected);
    // In pages, also across a restart.
    let mut paged: Vec<serde_json::Value> = Vec::new();
    let mut server = server;
    for limit in [1, 7, 250, 1_000, 1] {
        let cursor = paged.last().map(|user| user["cursor"].clone());
        let page = server.list("/users/list", &json!({ "limit": limit, "cursor": cursor })).await;
        assert_eq!(page.len(), limit.min(300 - paged.len()));
        paged.extend(page);
        server = server.kill().restart();
    }
    assert_eq!(paged, whole);
    // A user who is added later comes last.
    let last = whole.last().map(|user| &user["cursor"]);
    let new = server.add_user("new").await;
    let page = server.list("/users/list", &json!({ "cursor": last })).await;
    assert_eq!(page.iter().map(|user| &user["id"]).collect::<Vec<_>>(), [&json!(new)]);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let server = TestRouter::start();
    let ann = server.add_user("ann").await;
    server.add_chat("den", &[&ann]).await;
    let of_chat = server.chats(&ann).await[0]["cursor"].clone();
    // A log that is ahead of this one made this cursor.
    let other = TestRouter::start();
    other.add_user("bob").await;
    let later = other.list("/users/list", &json!({})).await[0]["cursor"].clone();
    for cursor in [of_chat, later, json!(""), json!("000000000000000000000000"), json!(5)] {
        let reply = server.post("/users/list", &json!({ "cursor": cursor })).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("cursor"), "{cursor}");
    }
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_a_name() {
    let server = TestServer::start();
    for name in ["anton", "Ann", "bob", "ANNA", "an", "änne", "Äste", "Straße"] {
        server.add_user(name).await;
    }
    let found = async |server: &TestServer, prefix: &str| -> Vec<String> {
        let reply = server.post("/users/find", &json!({ "prefix": prefix })).await;
        assert_eq!((reply.status.as_u16(), reply.position()), (200, 8));
        let users = reply.json();
        let names = users.as_array().expect("a list").iter().map(|user| user["username"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    };
    let check = async |server: &TestServer| {
        assert_eq!(found(server, "an").await, ["an", "Ann", "ANNA", "anton"]);
        assert_eq!(found(server, "ANN").await, ["Ann", "ANNA"]);
        assert_eq!(found(server, "Ä").await, ["änne", "Äste"]);
        assert_eq!(found(server, "strass").await, ["Straße"]);
        assert!(found(server, "nobody").await.is_empty());
    };
    check(&server).await;
    check(&server.kill().restart()).await;
}

#[tokio::test]
async fn a_search_has_limits() {
    let server = TestRouter::start();
    for number in 0..150 {
        server.add_user(&format!("user {number:03}")).await;
    }
    for (limit, count) in [(None, 20), (Some(1), 1), (Some(100), 100)] {
        let found = server.list("/users/find", &json!({ "prefix": "user", "limit": limit })).await;
        assert_eq!(found.len(), count);
        assert_eq!(found.last().expect("found")["username"], format!("user {:03}", count - 1));
    }
    for (body, field) in [
        (json!({ "prefix": "user", "limit": 101 }), "limit"),
        (json!({ "prefix": "user", "limit": 0 }), "limit"),
        (json!({ "prefix": "" }), "prefix"),
        (json!({ "prefix": "x".repeat(65) }), "prefix"),
        (json!({ "prefix": null }), "prefix"),
        (json!({ "limit": 1 }), "prefix"),
    ] {
        let reply = server.post("/users/find", &body).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some(field), "{body}");
    }
    // What no name can hold is found nowhere.
    for prefix in [" ", "\u{0}", &"é".repeat(64)] {
        assert!(server.list("/users/find", &json!({ "prefix": prefix })).await.is_empty());
    }
}

/// Names that differ in their bytes, and are within the limits.
pub fn good_names(chars_max: usize) -> Vec<String> {
    let long = |character: char| character.to_string().repeat(chars_max);
    let mut names = vec![long('x'), long('é'), long('🦀'), format!("x{}x", " ".repeat(chars_max - 2))];
    names.extend(
        [
            // Case, and composed against decomposed: other bytes, another name.
            "a",
            "A",
            "é",
            "É",
            "e\u{301}",
            "ß",
            "ss",
            "ﬁ",
            "fi",
            // White space inside, and characters that look like white space but do not have the property.
            "a b",
            "a  b",
            "a\u{a0}b",
            "a\u{3000}b",
            "a\u{2028}b",
            "\u{200b}a",
            "a\u{200b}",
            "\u{feff}a",
            "\u{200e}",
            // Format characters (Cf), unassigned ones and those for private use are no control characters
            // (Cc).
            "a\u{ad}b",
            "a\u{202e}b",
            "\u{e000}",
            "\u{10ffff}",
            "\u{fffd}",
            "null",
            "\"",
            "\\",
            "/",
            "<b>",
            "0",
        ]
        .map(str::to_owned),
    );
    names
}

/// Names that are not within the limits.
pub fn bad_names(chars_max: usize) -> Vec<String> {
    let too_long = |character: char| character.to_string().repeat(chars_max + 1);
    let mut names = vec![String::new(), too_long('x'), too_long('é'), too_long('🦀'), too_long(' ')];
    let control = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    names.extend(control.flat_map(|character| [format!("a{character}b"), character.to_string()]));
    let white_space = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\
        \u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
    for blank in white_space.chars() {
        names.extend([format!("{blank}a"), format!("a{blank}"), blank.to_string()]);
    }
    names
}
