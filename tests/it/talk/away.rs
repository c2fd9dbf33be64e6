//! `changed_after`, `seqs`, and streams that catch up

use serde_json::{Value, json};

use super::Talk;
use crate::support::problem;

#[tokio::test]
async fn each_message_that_changed_is_there_once_as_it_is_now() {
    let talk = Talk::start().await;
    for text in ["one", "two", "three", "four"] {
        talk.say(text).await;
    }
    let away = talk.server.position().await;
    talk.edit(1, "uno").await;
    talk.edit(3, "tre").await;
    talk.react(1, &talk.bob, "👍").await.done();
    talk.say("five").await;
    talk.delete(2).await;
    talk.say("six").await;
    talk.edit(6, "sei").await;
    let changed = |more: Value| {
        let mut body = json!({ "chat": talk.den });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let server = &talk.server;
        async move { server.list("/messages/get", &body).await }
    };
    let all = changed(json!({ "changed_after": away })).await;
    let pairs: Vec<_> =
        all.iter().map(|message| (message["seq"].as_u64(), message["text"].as_str())).collect();
    let expected = [(3, "tre"), (1, "uno"), (5, "five"), (2, ""), (6, "sei")];
    assert_eq!(pairs, expected.map(|(seq, text)| (Some(seq), Some(text))));
    assert_eq!(all[1]["reactions"], json!([{ "emoji": "👍", "count": 1 }]));
    let positions: Vec<_> =
        all.iter().map(|message| message["position"].as_u64().expect("a number")).collect();
    assert!(positions.is_sorted() && positions[0] > away && positions[4] == talk.server.position().await);
    // Page by page is the same.
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let after = paged.last().map_or(json!(away), |last| last["position"].clone());
        let page = changed(json!({ "changed_after": after, "limit": 2 })).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    // From the beginning, it is every message.
    assert_eq!(changed(json!({ "changed_after": 0 })).await.len(), 6);
    let now = talk.server.position().await;
    assert!(changed(json!({ "changed_after": now })).await.is_empty());
}

#[tokio::test]
async fn a_position_of_another_history_is_refused() {
    let talk = Talk::start().await;
    talk.say("one").await;
    let event = talk.server.follow(&talk.ann, Some(0)).await.begin().await;
    assert_eq!(event.kind, "begin");
    let changed = |after: Value| {
        let body = json!({ "chat": talk.den, "changed_after": after });
        let server = &talk.server;
        async move { server.post("/messages/get", &body).await }
    };
    let health = talk.server.get("/health").await.json();
    let (position, epoch) =
        (health["position"].as_u64().expect("a number"), health["epoch"].as_str().expect("a text"));
    assert_eq!(changed(json!(format!("{position}-{epoch}"))).await.status, 200);
    for other in [format!("{position}-00000000000000ab"), format!("{}-{epoch}", position + 1)] {
        let reply = changed(json!(other)).await;
        assert_eq!(problem(&reply, 409, "history_changed").as_deref(), Some("changed_after"), "{other}");
    }
    for bad in [json!(position + 1), json!("x"), json!(-1), json!(1.5), json!("7-"), json!([])] {
        let reply = changed(bad.clone()).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("changed_after"), "{bad}");
    }
    for (one, other) in [("after", "changed_after"), ("before", "seqs"), ("seqs", "changed_after")] {
        let value = |name: &str| if name == "seqs" { json!([1]) } else { json!(1) };
        let body = json!({ "chat": talk.den, one: value(one), other: value(other) });
        problem(&talk.server.post("/messages/get", &body).await, 400, "invalid_field");
    }
}

#[tokio::test]
async fn messages_are_looked_up_by_their_seqs() {
    let talk = Talk::start().await;
    for text in ["one", "two", "three"] {
        talk.say(text).await;
    }
    let body = json!({ "chat": talk.den, "seqs": [3, 9, 1, 0, 3] });
    let found = talk.server.list("/messages/get", &body).await;
    assert_eq!(found.iter().map(|message| message["seq"].clone()).collect::<Vec<_>>(), [1, 3]);
    for bad in [json!([]), json!([1.5]), json!(1), json!(vec![1; 1_001])] {
        let reply = talk.server.post("/messages/get", &json!({ "chat": talk.den, "seqs": bad })).await;
        problem(&reply, 400, "invalid_field");
    }
}

#[tokio::test]
async fn a_stream_that_catches_up_shows_what_is_now_and_nothing_retracted() {
    let talk = Talk::start().await;
    let away = talk.server.position().await;
    for text in ["secret one", "secret two", "three"] {
        talk.say(text).await;
    }
    talk.edit(1, "uno").await;
    talk.edit(1, "one").await;
    talk.react(3, &talk.bob, "🤫").await.done();
    talk.react(3, &talk.bob, "👍").await.done();
    talk.take_back(3, &talk.bob, "🤫").await.done();
    talk.edit(2, "secret due").await;
    talk.delete(2).await;
    let mut stream = talk.server.follow(&talk.ann, Some(away)).await;
    let events = stream.take_events(7).await;
    let shown: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.data["seq"].as_u64())).collect();
    let expected = [
        ("message", 1),
        ("message", 2),
        ("message", 3),
        ("message_edited", 1),
        ("reaction", 3),
        ("reaction_removed", 3),
        ("message_deleted", 2),
    ];
    assert_eq!(shown, expected.map(|(event, seq)| (event, Some(seq))));
    let text = format!("{:?}", events.iter().map(|event| &event.data).collect::<Vec<_>>());
    assert!(!text.contains("secret") && !text.contains("uno"), "{text}");
    assert_eq!(events[4].data["emoji"], "👍");
}

#[tokio::test]
async fn who_has_left_sees_nothing_of_what_came_after() {
    let talk = Talk::start().await;
    let away = talk.server.position().await;
    talk.say("one").await;
    talk.say("two").await;
    talk.edit(1, "uno").await;
    talk.server.leave(&talk.den, &talk.bob).await;
    talk.edit(2, "due").await;
    let mut stream = talk.server.follow(&talk.bob, Some(away)).await;
    let events = stream.take_events(3).await;
    let shown: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.data["text"].as_str())).collect();
    assert_eq!(shown, [("message", Some("uno")), ("message_edited", Some("uno")), ("member_removed", None)]);
}
