//! `/messages/edit` and `/messages/revisions/get`

use serde_json::{Value, json};

use super::Talk;
use crate::support::{assert_time, problem};

#[tokio::test]
async fn an_edit_shows_everywhere_and_moves_nothing() {
    let talk = Talk::start().await;
    let before = [talk.say("one").await, talk.say("two").await];
    assert_eq!(before, [1, 2]);
    let mut stream = talk.server.follow(&talk.bob, None).await;
    let reply = talk.edit(1, "uno").await;
    assert_eq!((reply.status.as_u16(), reply.position()), (200, talk.server.position().await));
    let edited_at = reply.json()["edited_at"].clone();
    assert_time(&edited_at);
    let message = talk.message(1).await;
    assert_eq!(
        (&message["text"], &message["edited_at"], &message["seq"]),
        (&json!("uno"), &edited_at, &json!(1))
    );
    assert_eq!(talk.server.messages(&talk.den).await[0], message);
    // Its place stays, so the chat's last message is the other one.
    assert_eq!(talk.server.chats(&talk.bob).await[0]["last_message"]["text"], "two");
    talk.edit(2, "due").await;
    let chat = &talk.server.chats(&talk.bob).await[0];
    assert_eq!((&chat["last_message"]["text"], &chat["unread"]), (&json!("due"), &json!(2)));
    // And whoever follows sees both.
    let events = stream.take_events(2).await;
    assert!(events.iter().all(|event| event.kind == "message_edited"));
    assert_eq!(events[0].data, message);
    // A restart keeps it.
    let server = talk.server.kill().restart();
    assert_eq!(super::message(&server, &talk.den, 1).await, message);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_no_event() {
    let talk = Talk::start().await;
    talk.say("tea").await;
    let position = talk.server.position().await;
    assert_eq!(talk.edit(1, "tea").await.json(), json!({ "edited_at": null }));
    assert_eq!(talk.server.position().await, position);
    let edited = talk.edit(1, "coffee").await.json();
    assert_eq!(talk.edit(1, "coffee").await.json(), edited);
    assert_eq!(talk.server.position().await, position + 1);
    // Under a key it is one, so that a late retry is answered as the first time, and undoes nothing.
    let body = json!({ "chat": talk.den, "seq": 1, "user": talk.ann, "text": "coffee" });
    let first = talk.server.post_under("k1", "/messages/edit", &body).await;
    assert_eq!(first.json(), edited);
    talk.edit(1, "milk").await;
    let again = talk.server.post_under("k1", "/messages/edit", &body).await;
    assert_eq!((again.json(), again.is_replayed()), (edited, true));
    assert_eq!(talk.message(1).await["text"], "milk");
}

#[tokio::test]
async fn only_the_author_edits_and_only_what_is_there() {
    let talk = Talk::start().await;
    talk.say("tea").await;
    let talk = &talk;
    let edit = |seq, user| {
        let body: Value = json!({ "chat": talk.den, "seq": seq, "user": user, "text": "x" });
        async move { talk.server.post("/messages/edit", &body).await }
    };
    for seq in [0, 2] {
        let reply = edit(seq, json!(talk.ann)).await;
        assert_eq!(problem(&reply, 404, "message_not_found").as_deref(), Some("seq"));
    }
    assert_eq!(problem(&edit(1, json!(talk.bob)).await, 403, "not_the_author").as_deref(), Some("user"));
    talk.server.leave(&talk.den, &talk.ann).await;
    assert_eq!(problem(&edit(1, json!(talk.ann)).await, 403, "not_a_member").as_deref(), Some("user"));
    // The application may edit any message.
    assert_eq!(edit(1, Value::Null).await.status, 200);
    talk.server.join(&talk.den, &talk.ann).await;
    talk.delete(1).await;
    for user in [json!(talk.ann), Value::Null] {
        assert_eq!(problem(&edit(1, user).await, 409, "message_deleted").as_deref(), Some("seq"));
    }
    let nothing = json!({ "chat": talk.den, "seq": 1, "user": talk.ann });
    let reply = talk.server.post("/messages/edit", &nothing).await;
    assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("text"));
}

#[tokio::test]
async fn metadata_are_replaced_as_a_whole_and_compared_by_value() {
    let talk = Talk::start().await;
    let add =
        json!({ "chat": talk.den, "author": talk.ann, "text": "tea", "metadata": { "order": 7, "b": [1] } });
    talk.server.post("/messages/add", &add).await;
    assert_eq!(talk.message(1).await["metadata"], json!({ "order": 7, "b": [1] }));
    let edit = |metadata: &str| {
        let body =
            format!(r#"{{"chat":"{}","seq":1,"user":"{}","metadata":{metadata}}}"#, talk.den, talk.ann);
        talk.server.post_raw("/messages/edit", body)
    };
    let position = talk.server.position().await;
    assert_eq!(edit(r#"{ "b" : [1], "order":7 }"#).await.status, 200);
    assert_eq!(talk.server.position().await, position, "the same value");
    edit(r#"{"c":null}"#).await;
    assert_eq!(talk.message(1).await["metadata"], json!({ "c": null }));
    edit("{}").await;
    let message = talk.message(1).await;
    assert_eq!((message.get("metadata"), &message["text"]), (None, &json!("tea")));
    for refused in ["[]", "1", r#""a""#, r#"{"a":1,"a":2}"#, r#"{"a":[[[[[[[[1]]]]]]]]}"#] {
        let reply = edit(refused).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("metadata"), "{refused}");
    }
}

#[tokio::test]
async fn revisions_are_the_earlier_texts() {
    let talk = Talk::start().await;
    let sent = talk.server.add_message(&talk.den, &talk.ann, "0").await;
    let revisions = || async {
        let texts = talk.server.list("/messages/revisions/get", &json!({ "chat": talk.den, "seq": 1 })).await;
        texts
            .into_iter()
            .map(|revision| revision["text"].as_str().expect("a text").to_owned())
            .collect::<Vec<_>>()
    };
    assert!(revisions().await.is_empty());
    talk.edit(1, "1").await;
    let first = talk.server.list("/messages/revisions/get", &json!({ "chat": talk.den, "seq": 1 })).await;
    assert_eq!(first, [json!({ "text": "0", "at": sent["created_at"] })]);
    for text in 2..=105 {
        talk.edit(1, &text.to_string()).await;
    }
    // The oldest of more than 100 are gone, and the present text is not among them.
    assert_eq!(revisions().await, (5..105).map(|text| text.to_string()).collect::<Vec<_>>());
}
