//! `/messages/delete`

use serde_json::{Value, json};

use super::Talk;
use crate::support::problem;

#[tokio::test]
async fn a_deleted_message_leaves_its_place() {
    let talk = Talk::start().await;
    for text in ["one", "two", "three"] {
        talk.say(text).await;
    }
    talk.react(2, &talk.bob, "👍").await;
    talk.edit(2, "due").await;
    let mut stream = talk.server.follow(&talk.bob, None).await;
    let position = talk.delete(2).await;
    let event = stream.take_events(1).await.remove(0);
    assert_eq!(event.kind, "message_deleted");
    let deleted_at = event.data["deleted_at"].clone();
    assert_eq!(event.data, json!({ "chat": talk.den, "seq": 2, "deleted_at": deleted_at }));
    let all = talk.server.messages(&talk.den).await;
    assert_eq!(all.iter().map(|message| message["seq"].clone()).collect::<Vec<_>>(), [1, 2, 3]);
    let tombstone = json!({
        "id": all[1]["id"], "chat": talk.den, "author": talk.ann, "text": "", "created_at": all[1]["created_at"],
        "seq": 2, "deleted_at": deleted_at,
    });
    assert_eq!(all[1], tombstone);
    // Again is 204 and no event.
    assert_eq!(talk.delete(2).await, position);
    // The last message of a chat is shown as a tombstone, too.
    talk.delete(3).await;
    let chat = &talk.server.chats(&talk.bob).await[0];
    assert_eq!((&chat["last_message"]["seq"], &chat["last_message"]["text"]), (&json!(3), &json!("")));
    // A text that was deleted without being erased is kept for a while, for those who moderate.
    let revisions = talk.server.list("/messages/revisions/get", &json!({ "chat": talk.den, "seq": 2 })).await;
    assert_eq!(revisions.iter().map(|revision| revision["text"].clone()).collect::<Vec<_>>(), ["two", "due"]);
    let server = talk.server.kill().restart();
    assert_eq!(super::message(&server, &talk.den, 2).await, tombstone);
}

#[tokio::test]
async fn deleted_messages_are_not_unread() {
    let talk = Talk::start().await;
    let unread = |user: String| {
        let server = &talk.server;
        async move { server.chats(&user).await[0]["unread"].as_u64().expect("a number") }
    };
    for number in 0..600 {
        talk.say(&number.to_string()).await;
    }
    assert_eq!((unread(talk.ann.clone()).await, unread(talk.bob.clone()).await), (0, 600));
    for seq in [1, 255, 256, 257, 300, 600] {
        talk.delete(seq).await;
    }
    assert_eq!((unread(talk.ann.clone()).await, unread(talk.bob.clone()).await), (0, 594));
    talk.server.mark_read(&talk.den, &talk.bob, 256).await;
    assert_eq!(unread(talk.bob.clone()).await, 344 - 3);
    talk.delete(2).await;
    talk.delete(599).await;
    assert_eq!((unread(talk.ann.clone()).await, unread(talk.bob.clone()).await), (0, 340));
}

#[tokio::test]
async fn the_author_and_the_application_delete() {
    let talk = Talk::start().await;
    talk.say("one").await;
    talk.say("two").await;
    let delete = |seq: u64, user: Value| {
        let body = json!({ "chat": talk.den, "seq": seq, "user": user });
        let server = &talk.server;
        async move { server.post("/messages/delete", &body).await }
    };
    assert_eq!(problem(&delete(1, json!(talk.bob)).await, 403, "not_the_author").as_deref(), Some("user"));
    assert_eq!(problem(&delete(3, Value::Null).await, 404, "message_not_found").as_deref(), Some("seq"));
    // Whoever has left may still delete what they wrote.
    talk.server.leave(&talk.den, &talk.ann).await;
    delete(1, json!(talk.ann)).await.done();
    delete(2, Value::Null).await.done();
}
