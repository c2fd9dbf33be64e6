//! What a token with the scope `moderate` may do to messages of others, and what it may not.

use serde_json::{Value, json};

use crate::support::{KeyedServer, problem};

#[tokio::test]
async fn a_moderator_deletes_messages_of_others() {
    // Given two messages of ann, of whose chat bob is a member and cat is not.
    let server = KeyedServer::start();
    let (ann, bob, cat) =
        (server.add_user("ann").await, server.add_user("bob").await, server.add_user("cat").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    for text in ["one", "two", "three"] {
        server.add_message(&den, &ann, text).await;
    }
    let as_user = |user: &str, scope: &str| server.with(&server.keys.scoped(user, scope));
    let delete = |seq: u64| json!({ "chat": den, "seq": seq });
    let with_user = |seq: u64, user: &str| json!({ "chat": den, "seq": seq, "user": user });
    // Then a member needs the scope, and somebody else is not helped by it.
    let moderator = as_user(&bob, "write moderate");
    for scope in ["write", "read write chats events"] {
        let reply = as_user(&bob, scope).post("/messages/delete", &delete(1)).await;
        assert_eq!(problem(&reply, 403, "not_the_author").as_deref(), Some("user"), "{scope}");
    }
    let reply = as_user(&bob, "moderate").post("/messages/delete", &delete(1)).await;
    problem(&reply, 403, "scope_missing");
    let outside = as_user(&cat, "write moderate");
    problem(&outside.post("/messages/delete", &delete(1)).await, 403, "not_a_member");
    let reply = moderator.post("/messages/delete", &with_user(1, &ann)).await;
    assert_eq!(problem(&reply, 403, "not_yourself").as_deref(), Some("user"));
    // A moderator neither edits for others, nor reacts for them, nor reads what the texts were.
    let edit = json!({ "chat": den, "seq": 1, "text": "uno" });
    let reply = moderator.post("/messages/edit", &edit).await;
    assert_eq!(problem(&reply, 403, "not_the_author").as_deref(), Some("user"));
    let react = json!({ "chat": den, "seq": 1, "user": ann, "emoji": "👍" });
    for path in ["/messages/reactions/add", "/messages/reactions/remove"] {
        problem(&moderator.post(path, &react).await, 403, "not_yourself");
    }
    problem(&moderator.post("/messages/revisions/get", &delete(1)).await, 403, "server_key_required");
    // A member deletes it, with or without a name, and it is a moderator who has.
    moderator.post("/messages/delete", &delete(1)).await.done();
    moderator.post("/messages/delete", &with_user(2, &bob)).await.done();
    let left: Vec<Value> = server.messages(&den).await;
    assert_eq!(left.iter().map(|message| message["text"].clone()).collect::<Vec<_>>(), ["", "", "three"]);
    // Who has left moderates no longer, but deletes what is their own.
    server.add_message(&den, &bob, "four").await;
    server.leave(&den, &bob).await;
    problem(&moderator.post("/messages/delete", &delete(3)).await, 403, "not_a_member");
    problem(
        &moderator.post("/messages/edit", &json!({ "chat": den, "seq": 4, "text": "x" })).await,
        403,
        "not_a_member",
    );
    moderator.post("/messages/delete", &delete(4)).await.done();
}

#[tokio::test]
async fn a_retry_may_come_with_another_scope() {
    let server = KeyedServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    server.add_message(&den, &ann, "one").await;
    let body = json!({ "chat": den, "seq": 1 });
    let as_bob = |scope| server.with(&server.keys.scoped(&bob, scope));
    let first = as_bob("write moderate").post_under("k", "/messages/delete", &body).await;
    let again = as_bob("write").post_under("k", "/messages/delete", &body).await;
    assert_eq!((again.done(), again.is_replayed()), (first.done(), true));
}
