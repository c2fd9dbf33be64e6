//! `/events`: which streams have the events of changes

use serde_json::{Value, json};

use crate::support::{Event, EventStream, KeyedServer};

/// Returns all events before the one of the chat with this id.
async fn events_until_chat(stream: &mut EventStream, chat: &str) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = stream.next().await.expect("the stream goes on");
        if event.data["id"] == chat {
            return events;
        }
        events.push(event);
    }
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn changes_are_events_for_those_who_share_a_chat() {
    // Given a chat of ann and bob, which cid has left, and another one of ann and dan.
    let server = KeyedServer::start();
    let [ann, bob, cid, dan] = ["ann", "bob", "cid", "dan"].map(|name| server.add_user(name));
    let (ann, bob, cid, dan) = (ann.await, bob.await, cid.await, dan.await);
    let den = server.add_chat("den", &[&ann, &bob, &cid]).await;
    server.add_chat("pub", &[&ann, &dan]).await;
    for text in ["one", "two"] {
        server.add_message(&den, &ann, text).await;
    }
    server.leave(&den, &cid).await;
    let path =
        |user: &str| if user.is_empty() { "/events".to_owned() } else { format!("/events?user={user}") };
    let followers = [("", "all"), (&ann, "ann"), (&bob, "bob"), (&cid, "cid"), (&dan, "dan")];
    let mut streams = Vec::new();
    for (user, name) in followers {
        let mut stream = server.get_stream(&path(user), None::<u64>).await.expect("connected");
        stream.begin().await;
        streams.push((user, name, stream.last_id.clone(), stream, Vec::new()));
    }
    // When everything in it changes.
    let of_message = |seq: u64, name: &str, value: Value| json!({ "chat": den, "seq": seq, name: value });
    let reaction = |user: &str| json!({ "chat": den, "seq": 1, "user": user, "emoji": "👍" });
    for (path, body) in [
        ("/messages/edit", of_message(1, "text", json!("uno"))),
        ("/messages/reactions/add", reaction(&bob)),
        ("/messages/reactions/add", reaction(&ann)),
        ("/messages/reactions/remove", reaction(&ann)),
        ("/messages/delete", of_message(2, "user", json!(ann))),
        ("/chats/edit", json!({ "chat": den, "name": "lair", "metadata": { "a": 1 } })),
        ("/users/edit", json!({ "user": ann, "username": "anna" })),
    ] {
        assert!(server.post(path, &body).await.status.is_success(), "{path}");
        // A stream that is late leaves out what has been overtaken.
        for (_, name, _, stream, seen) in &mut streams {
            if ["all", "ann", "bob"].contains(name) {
                seen.extend(stream.next().await);
            }
        }
    }
    let mut ends = Vec::new();
    for user in [&ann, &bob, &cid, &dan] {
        ends.push(server.add_chat(user, &[user]).await);
    }
    // Then those who share the chat see all of it, and the others what they share.
    let live = [
        "message_edited",
        "reaction",
        "reaction",
        "reaction_removed",
        "message_deleted",
        "chat_edited",
        "user_edited",
    ];
    let ends = [&ends[..1], &ends].concat();
    for ((user, name, begin, mut stream, mut seen), end) in streams.into_iter().zip(&ends) {
        seen.extend(events_until_chat(&mut stream, end).await);
        // A client that was away sees no reaction that was taken back.
        let mut stream = server.get_stream(&path(user), Some(begin)).await.expect("connected");
        let caught_up = events_until_chat(&mut stream, end).await;
        match name {
            "cid" => assert_eq!((seen, caught_up), (vec![], vec![])),
            "dan" => assert_eq!((kinds(&seen), &caught_up), (vec!["user_edited"], &seen)),
            _ => {
                assert_eq!(kinds(&seen), live, "{name}");
                let [edited, by_bob, _, taken_back, deleted, chat, ann_edited] = &seen[..] else { panic!() };
                assert_eq!((&edited.data["text"], &edited.data["seq"]), (&json!("uno"), &json!(1)), "{name}");
                let reaction =
                    |user| json!({ "chat": den, "seq": 1, "user": user, "emoji": "👍", "count": 1 });
                assert_eq!((&by_bob.data, &taken_back.data), (&reaction(&bob), &reaction(&ann)), "{name}");
                let deleted_at = &deleted.data["deleted_at"];
                assert_eq!(
                    deleted.data,
                    json!({ "chat": den, "seq": 2, "deleted_at": deleted_at }),
                    "{name}"
                );
                assert_eq!((&chat.data["id"], &chat.data["name"]), (&json!(den), &json!("lair")), "{name}");
                assert_eq!(chat.data["metadata"], json!({ "a": 1 }), "{name}");
                assert_eq!(ann_edited.data["username"], "anna", "{name}");
                assert_eq!(kinds(&caught_up), [&live[..1], &live[2..]].concat(), "{name}");
                let own = if name == "all" { None } else { Some(json!(name == "bob")) };
                let reactions = &caught_up[0].data["reactions"];
                assert_eq!(
                    (&reactions[0]["count"], reactions[0].get("own")),
                    (&json!(1), own.as_ref()),
                    "{name}"
                );
                assert_eq!((&caught_up[1], &caught_up[2..]), (by_bob, &seen[3..]), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_former_member_learns_nothing_of_later_changes() {
    let server = KeyedServer::start();
    let (ann, bob) = (server.add_user("ann").await, server.add_user("bob").await);
    let den = server.add_chat("den", &[&ann, &bob]).await;
    for text in ["one", "two", "three", "four"] {
        server.add_message(&den, &ann, text).await;
    }
    let message =
        |seq: u64, name: &str, value: &str| json!({ "chat": den, "seq": seq, "user": ann, name: value });
    // Bob learns what happens before he leaves, also if he asks for it later.
    server.post("/messages/delete", &json!({ "chat": den, "seq": 1, "user": ann })).await.done();
    server.post("/messages/edit", &message(2, "text", "due")).await;
    server.post("/chats/edit", &json!({ "chat": den, "name": "lair" })).await.done();
    server.leave(&den, &bob).await;
    server.post("/messages/edit", &message(3, "text", "tre")).await;
    server.post("/messages/reactions/add", &message(4, "emoji", "👍")).await.done();
    let end = server.add_chat("end", &[&bob]).await;
    let path = format!("/events?user={bob}");
    let mut stream = server.get_stream(&path, Some(0)).await.expect("connected");
    let events = events_until_chat(&mut stream, &end).await;
    let shown: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.data["seq"].as_u64())).collect();
    let messages = [("message", Some(1)), ("message", Some(2)), ("message_deleted", Some(1))];
    let others = [("message_edited", Some(2)), ("chat_edited", None), ("member_removed", None)];
    assert_eq!(shown, [&[("chat", None)], &messages[..], &others].concat());
    assert_eq!((&events[0].data["name"], &events[0].data["users"]), (&json!("lair"), &json!([])));
    // A name that the chat gets after that is not for him, and neither are its metadata.
    let edit = json!({ "chat": den, "name": "secret", "metadata": { "secret": true } });
    server.post("/chats/edit", &edit).await.done();
    server.post("/messages/delete", &json!({ "chat": den, "seq": 2, "user": ann })).await.done();
    server.post("/users/edit", &json!({ "user": ann, "username": "secret" })).await.done();
    let mut stream = server.get_stream(&path, Some(0)).await.expect("connected");
    let events = events_until_chat(&mut stream, &end).await;
    assert_eq!(kinds(&events), ["chat", "message", "message_deleted", "member_removed"]);
    assert_eq!((&events[0].data["name"], events[0].data.get("metadata")), (&Value::Null, None));
    let data = format!("{:?}", events.iter().map(|event| &event.data).collect::<Vec<_>>());
    assert!(!data.contains("secret"), "{data}");
}
