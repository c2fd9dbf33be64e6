//! The reactions of an erased user: gone, and the same before and after a scrub and a restart

use serde_json::{Value, json};

use super::{AT_ONCE, CANARY, wait_until_scrubbed};
use crate::support::TestServer;

/// Returns what a member sees of the chat: the messages, what has changed since a position, who reacts, and the events.
async fn seen(server: &TestServer, den: &str, bob: &str, since: u64) -> Vec<Value> {
    let mut seen = server.messages(den).await;
    seen.extend(server.list("/messages/get", &json!({ "chat": den, "changed_after": since })).await);
    for seq in 1..=4 {
        let reactions = server.list("/messages/reactions/get", &json!({ "chat": den, "seq": seq })).await;
        let without_cursor = reactions.into_iter().map(|mut reaction| {
            reaction.as_object_mut().expect("an object").remove("cursor");
            reaction
        });
        seen.extend(without_cursor);
    }
    // The chat, four messages, one reaction, a deletion and the erasure.
    let events = server.follow(bob, Some(0)).await.take_events(8).await;
    seen.extend(events.into_iter().map(|event| json!([event.id, event.kind, event.data])));
    seen
}

#[tokio::test]
async fn what_is_left_of_reactions_is_the_same_after_a_restart() {
    let server = TestServer::start_with(&AT_ONCE);
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    for number in 1..=4 {
        server.add_message(&den, &bob, &format!("message {number}")).await;
    }
    let react = async |call: &str, user: &str, seq: u64, emoji: &str| {
        let body = json!({ "chat": den, "seq": seq, "user": user, "emoji": emoji });
        server.post(&format!("/messages/reactions/{call}"), &body).await.done()
    };
    let secret = format!("{CANARY}1");
    // Both react to the first, only Ann to the others; she takes one back, and one message is deleted.
    react("add", &ann, 1, &secret).await;
    react("add", &bob, 1, "👍").await;
    react("add", &ann, 2, &secret).await;
    react("add", &ann, 2, "👍").await;
    react("remove", &ann, 2, &secret).await;
    react("add", &ann, 3, &secret).await;
    react("remove", &ann, 3, &secret).await;
    react("add", &ann, 4, &secret).await;
    server.post("/messages/delete", &json!({ "chat": den, "seq": 4 })).await.done();
    server.mark_read(&den, &ann, 3).await;
    let since = server.position().await;
    let erased = server.post("/users/erase", &json!({ "user": ann, "messages": "keep" })).await;
    assert_eq!(erased.status, 202);
    let before = seen(&server, &den, &bob, since).await;
    // Each message that she had reacted to has changed, and nothing says what she did.
    let changed = server.list("/messages/get", &json!({ "chat": den, "changed_after": since })).await;
    assert_eq!(changed.iter().map(|message| message["seq"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let shown = json!(before).to_string();
    assert!(!shown.contains(CANARY) && !shown.contains("\"read\""), "{shown}");
    wait_until_scrubbed(&server.data).await;
    assert_eq!(seen(&server, &den, &bob, since).await, before);
    let server = server.kill().restart();
    assert_eq!(seen(&server, &den, &bob, since).await, before);
}
