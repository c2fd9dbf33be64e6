//! `/messages/reactions/…`

use serde_json::{Value, json};

use super::Talk;
use crate::support::problem;

#[tokio::test]
async fn reactions_are_counted_and_marked_as_own() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    let mut stream = talk.server.follow(&talk.ann, None).await;
    // A stream that is late shows the count of now, and leaves out what was taken back.
    let mut events = Vec::new();
    talk.react(1, &talk.bob, "👍").await.done();
    events.extend(stream.next().await);
    talk.react(1, &talk.ann, "👍").await.done();
    events.extend(stream.next().await);
    talk.react(1, &talk.ann, "+1").await.done();
    events.extend(stream.next().await);
    let position = talk.server.position().await;
    assert_eq!(talk.react(1, &talk.ann, "+1").await.done(), position, "it is there");
    talk.take_back(1, &talk.bob, "👍").await.done();
    events.extend(stream.next().await);
    assert_eq!(talk.take_back(1, &talk.bob, "👍").await.done(), position + 1, "it is gone");
    let shown: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.data["count"].as_u64())).collect();
    let expected =
        [("reaction", Some(1)), ("reaction", Some(2)), ("reaction", Some(1)), ("reaction_removed", Some(1))];
    assert_eq!(shown, expected);
    assert_eq!(
        events[3].data,
        json!({ "chat": talk.den, "seq": 1, "user": talk.bob, "emoji": "👍", "count": 1 })
    );
    // Nobody reads here.
    assert_eq!(
        talk.message(1).await["reactions"],
        json!([{ "emoji": "👍", "count": 1 }, { "emoji": "+1", "count": 1 }])
    );
    talk.react(1, &talk.bob, "+1").await.done();
    for (user, own) in [(&talk.ann, [true, true]), (&talk.bob, [false, true])] {
        let expected = json!([
            { "emoji": "👍", "count": 1, "own": own[0] }, { "emoji": "+1", "count": 2, "own": own[1] },
        ]);
        for asked in [
            json!({ "chat": talk.den, "user": user }),
            json!({ "chat": talk.den, "user": user, "seqs": [1] }),
        ] {
            assert_eq!(talk.server.list("/messages/get", &asked).await[0]["reactions"], expected);
        }
        assert_eq!(talk.server.chats(user).await[0]["last_message"]["reactions"], expected);
    }
}

#[tokio::test]
async fn a_reaction_that_is_there_is_done_under_a_key() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    talk.react(1, &talk.bob, "👍").await.done();
    let body = json!({ "chat": talk.den, "seq": 1, "user": talk.bob, "emoji": "👍" });
    let first = talk.server.post_under("k1", "/messages/reactions/add", &body).await;
    let position = first.done();
    assert_eq!(position, talk.server.position().await, "it is an event");
    talk.take_back(1, &talk.bob, "👍").await.done();
    let again = talk.server.post_under("k1", "/messages/reactions/add", &body).await;
    assert_eq!((again.done(), again.is_replayed()), (position, true));
    assert_eq!(talk.message(1).await.get("reactions"), None);
}

#[tokio::test]
async fn reactions_are_listed_page_by_page() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    let mut expected = Vec::new();
    for emoji in ["a", "b"] {
        for user in [&talk.ann, &talk.bob] {
            talk.react(1, user, emoji).await.done();
            expected.push((user.clone(), emoji.to_owned()));
        }
    }
    let pair = |reaction: &Value| {
        let text = |name: &str| reaction[name].as_str().expect("a text").to_owned();
        (text("user"), text("emoji"))
    };
    let list = |more: Value| {
        let mut body = json!({ "chat": talk.den, "seq": 1 });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let server = &talk.server;
        async move { server.list("/messages/reactions/get", &body).await }
    };
    let all = list(json!({})).await;
    assert_eq!(all.iter().map(pair).collect::<Vec<_>>(), expected);
    let mut paged = list(json!({ "limit": 1 })).await;
    while let Some(last) = paged.last().filter(|_| paged.len() < 5) {
        let page = list(json!({ "limit": 1, "cursor": last["cursor"] })).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert_eq!(list(json!({ "emoji": "b" })).await, all[2..]);
    assert_eq!(list(json!({ "emoji": "b", "limit": 1, "cursor": all[2]["cursor"] })).await, all[3..]);
    assert_eq!(list(json!({ "emoji": "c" })).await, [] as [Value; 0]);
}

#[tokio::test]
async fn there_are_20_emoji_of_a_user_and_100_of_a_message() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    let mut users = vec![talk.ann.clone(), talk.bob.clone()];
    for number in 0..5 {
        let user = talk.server.add_user(&format!("user {number}")).await;
        talk.server.join(&talk.den, &user).await;
        users.push(user);
    }
    for (number, user) in users.iter().take(5).enumerate() {
        for emoji in 0..20 {
            talk.react(1, user, &format!("{number} {emoji}")).await.done();
        }
        let reply = talk.react(1, user, "one more").await;
        assert_eq!(problem(&reply, 409, "too_many_reactions").as_deref(), Some("emoji"));
    }
    // A new emoji is one too many; one that is there is not.
    problem(&talk.react(1, &users[5], "one more").await, 409, "too_many_reactions");
    talk.react(1, &users[5], "0 0").await.done();
    talk.take_back(1, &users[0], "0 1").await.done();
    talk.react(1, &users[5], "one more").await.done();
}

#[tokio::test]
async fn only_members_react_and_only_to_what_is_there() {
    let talk = Talk::start().await;
    talk.say("tea?").await;
    let cid = talk.server.add_user("cid").await;
    problem(&talk.react(1, &cid, "👍").await, 403, "not_a_member");
    problem(&talk.react(2, &talk.ann, "👍").await, 404, "message_not_found");
    for emoji in ["", "a\nb", &"x".repeat(65)] {
        let reply = talk.react(1, &talk.ann, emoji).await;
        assert_eq!(problem(&reply, 400, "invalid_field").as_deref(), Some("emoji"), "{emoji:?}");
    }
    talk.react(1, &talk.ann, "👍").await.done();
    talk.delete(1).await;
    problem(&talk.react(1, &talk.ann, "👍").await, 409, "message_deleted");
    problem(&talk.take_back(1, &talk.ann, "👍").await, 409, "message_deleted");
    assert_eq!(talk.message(1).await.get("reactions"), None);
}
