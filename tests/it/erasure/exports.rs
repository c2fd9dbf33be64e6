//! `/users/export`, and the export of a scrubbed log

use serde_json::{Value, json};

use super::{AT_ONCE, CANARY, wait_until_scrubbed};
use crate::membership::Company;
use crate::support::{Client, TestServer, exported, imported, problem};

async fn export(server: &Client, user: &str) -> Vec<Value> {
    let reply = server.post("/users/export", &json!({ "user": user })).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/jsonl"));
    reply.text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[tokio::test]
async fn all_that_is_held_of_a_user_is_exported_and_nothing_of_others() {
    let Company { server, ann, bob, den, .. } = Company::start().await;
    server.post("/users/edit", &json!({ "user": ann, "metadata": { "m": 1 } })).await.done();
    let other = server.add_chat("other", &[&bob]).await;
    server.add_message(&other, &bob, "elsewhere").await;
    for number in 1..=600 {
        let author = if number % 3 == 0 { &ann } else { &bob };
        server.add_message(&den, author, &format!("text {number}")).await;
    }
    let edit = json!({ "chat": den, "seq": 3, "text": "edited" });
    server.post("/messages/edit", &edit).await.json();
    server.post("/messages/delete", &json!({ "chat": den, "seq": 6 })).await.done();
    for user in [&ann, &bob] {
        let react = json!({ "chat": den, "seq": 1, "user": user, "emoji": "👍" });
        server.post("/messages/reactions/add", &react).await.done();
    }
    server.mark_read(&den, &ann, 5).await;
    server.leave(&den, &ann).await;
    let lines = export(&server, &ann).await;
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let counts = ["user", "chat", "message", "revision", "reaction"].map(|kind| of(kind).len());
    assert_eq!(counts, [1, 1, 200, 2, 1]);
    assert_eq!((&of("user")[0]["username"], &of("user")[0]["metadata"]), (&json!("ann"), &json!({ "m": 1 })));
    assert_eq!(
        *of("chat")[0],
        json!({ "type": "chat", "chat": den, "name": "den", "member": false, "read": 5 })
    );
    assert!(of("message").iter().all(|message| message["author"] == json!(ann)));
    assert_eq!((&of("message")[0]["text"], &of("message")[1]["text"]), (&json!("edited"), &json!("")));
    let revisions: Vec<_> =
        of("revision").iter().map(|line| (line["seq"].clone(), line["text"].clone())).collect();
    assert_eq!(revisions, [(json!(3), json!("text 3")), (json!(6), json!("text 6"))]);
    assert_eq!((&of("reaction")[0]["emoji"], &of("reaction")[0]["seq"]), (&json!("👍"), &json!(1)));
    let nobody = json!({ "user": "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10" });
    problem(&server.post("/users/export", &nobody).await, 404, "user_not_found");
}

#[tokio::test]
async fn a_scrubbed_log_is_exported_and_imported() {
    let server = TestServer::start_with(&AT_ONCE);
    let (ann, bob) = (server.add_user(&format!("{CANARY} ann")).await, server.add_user("bob").await);
    let den = server.add_chat(&format!("{CANARY} den"), &[&ann, &bob]).await;
    let with = json!({ "chat": den, "author": bob, "text": "kept", "metadata": { CANARY: 1 } });
    server.post_under("k", "/messages/add", &with).await.json();
    server.post("/messages/edit", &json!({ "chat": den, "seq": 1, "metadata": {} })).await.json();
    server.add_message(&den, &ann, CANARY).await;
    let react = json!({ "chat": den, "seq": 1, "user": ann, "emoji": CANARY });
    server.post("/messages/reactions/add", &react).await.done();
    server.post("/messages/reactions/remove", &react).await.done();
    server.post("/messages/edit", &json!({ "chat": den, "seq": 1, "text": CANARY })).await.json();
    server.post("/messages/edit", &json!({ "chat": den, "seq": 1, "text": "so" })).await.json();
    server
        .post("/chats/edit", &json!({ "chat": den, "name": "den", "metadata": { CANARY: 1 } }))
        .await
        .done();
    server.post("/chats/edit", &json!({ "chat": den, "metadata": {} })).await.done();
    server.post("/users/edit", &json!({ "user": bob, "username": format!("{CANARY} b") })).await.done();
    server
        .post("/users/edit", &json!({ "user": bob, "username": "bob", "metadata": { "m": 1 } }))
        .await
        .done();
    server.post("/users/erase", &json!({ "user": ann, "messages": "erase" })).await;
    wait_until_scrubbed(&server.data).await;
    let expected = server.messages(&den).await;
    let (stopped, ended) = server.terminate();
    assert_eq!(ended.code, Some(0));
    let lines = exported(&stopped.data);
    assert!(!lines.contains(CANARY));
    let copy = imported(&lines);
    assert_eq!(exported(copy.path()), lines);
    let server = TestServer::start_at(copy.path(), &[]);
    assert_eq!(server.messages(&den).await, expected);
    assert_eq!(server.post("/users/get", &json!({ "user": bob })).await.json()["username"], "bob");
}
