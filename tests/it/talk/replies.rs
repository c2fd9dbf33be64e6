//! `reply_to`

use serde_json::json;

use super::Talk;
use crate::support::problem;

#[tokio::test]
async fn a_reply_names_a_message_of_its_chat() {
    let talk = Talk::start().await;
    let add = |reply_to: u64| {
        let body = json!({ "chat": talk.den, "author": talk.bob, "text": "yes", "reply_to": reply_to });
        let server = &talk.server;
        async move { server.post("/messages/add", &body).await }
    };
    for seq in [0, 1] {
        assert_eq!(problem(&add(seq).await, 404, "message_not_found").as_deref(), Some("reply_to"));
    }
    talk.say("tea?").await;
    assert_eq!(add(1).await.json()["seq"], 2);
    assert_eq!(talk.message(2).await["reply_to"], 1);
    talk.delete(1).await;
    assert_eq!(problem(&add(1).await, 409, "message_deleted").as_deref(), Some("reply_to"));
    // The reply stays one, also when it is deleted itself.
    assert_eq!(talk.message(2).await["reply_to"], 1);
    let body = json!({ "chat": talk.den, "seq": 2, "user": talk.bob });
    talk.server.post("/messages/delete", &body).await.done();
    assert_eq!(talk.message(2).await["reply_to"], 1);
}

#[tokio::test]
async fn a_batch_replies_to_its_own_messages() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    let message = |text: &str, reply_to: Option<u64>| json!({ "chat": talk.den, "author": talk.bob, "text": text, "reply_to": reply_to });
    let batch = |messages: Vec<serde_json::Value>| {
        let server = &talk.server;
        async move { server.post("/messages/batch", &json!({ "messages": messages })).await }
    };
    // To itself, or to one that comes later, is to none.
    for replied in [3, 4] {
        let reply = batch(vec![message("a", Some(1)), message("b", Some(replied))]).await;
        assert_eq!(problem(&reply, 404, "message_not_found").as_deref(), Some("messages[1].reply_to"));
    }
    assert_eq!(batch(vec![message("a", Some(1)), message("b", Some(2))]).await.status, 201);
    let replies = talk.server.messages(&talk.den).await;
    assert_eq!(
        replies.iter().map(|reply| reply["reply_to"].as_u64()).collect::<Vec<_>>(),
        [None, Some(1), Some(2)]
    );
}
