//! Streams end with the credentials that opened them, and a server key may follow everything.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::json;

use super::fixture::{
    API_KEYS, KeyFiles, TOKEN_KEYS, assert_ends, event_token, jwks, line, now_s, open, server_key, token,
    token_of, wait_for_status,
};
use crate::support::{CALLS, problem};

#[tokio::test]
async fn a_revocation_ends_the_streams_of_the_user() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let den = backend.add_chat("den", &[&ann, &bob]).await;
    // Given streams of ann by each of her tokens, and streams that are not hers.
    let page = server.bearing(Some(&token(&ann)));
    let bought = [event_token(&page, None).await, event_token(&backend, Some(&ann)).await];
    let mut hers = open(&page, "/events").await;
    let mut hers_in_url = Vec::new();
    for token in &bought {
        hers_in_url.push(open(&server, &format!("/events?token={token}")).await);
    }
    let others = [
        ("bob's", open(&server.bearing(Some(&token(&bob))), "/events").await),
        ("the server's as ann", open(&backend, &format!("/events?user={ann}")).await),
        ("the server's", open(&backend, "/events").await),
    ];
    // When her tokens are revoked,
    let reply = backend.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    let from = reply.json()["tokens_from"].as_u64().expect("a time");
    // Then her streams end,
    assert_ends("ann's", &mut hers).await;
    for (stream, buyer) in hers_in_url.iter_mut().zip(["her", "the server"]) {
        assert_ends(&format!("the one by a token that {buyer} bought"), stream).await;
    }
    for token in &bought {
        let reply = server.get(&format!("/events?token={token}")).await;
        problem(&reply, 401, "token_revoked");
    }
    problem(&page.get("/events").await, 401, "token_revoked");
    // And the others do not.
    backend.add_message(&den, &bob, "while ann is away").await;
    for (whose, mut stream) in others {
        let event = stream.next().await.unwrap_or_else(|| panic!("{whose} has ended"));
        assert_eq!(event.data["text"], "while ann is away", "{whose}");
    }
    // And with a new token she misses nothing.
    let page = server.bearing(Some(&token_of("main", &ann, &json!({ "iat": from, "exp": from + 60 }))));
    let mut resumed = page.get_stream("/events", Some(&hers.last_id)).await.expect("admitted");
    backend.add_message(&den, &bob, "hello again").await;
    let texts = resumed.take_events(2).await.into_iter().map(|event| event.data["text"].clone());
    assert_eq!(texts.collect::<Vec<_>>(), ["while ann is away", "hello again"]);
    // And what the server buys right after is good at once, until the next revocation.
    let bought = event_token(&backend, Some(&ann)).await;
    let mut stream = open(&server, &format!("/events?token={bought}")).await;
    backend.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    assert_ends("the one bought after the first revocation", &mut stream).await;
}

#[tokio::test]
async fn a_stream_ends_when_its_credentials_expire() {
    let keys = KeyFiles::new();
    // A key that expires while the test runs.
    let expires_s = now_s() + 6;
    let expires = jiff::Timestamp::from_second(expires_s.try_into().unwrap()).unwrap();
    let expiring = line("job", "all", 2).replace('\n', &format!(" {expires}\n"));
    keys.write(API_KEYS, &(line("backend", "all", 1) + &expiring));
    let server = keys.start(&[]);
    let (backend, job) = (server.bearing(Some(&server_key(1))), server.bearing(Some(&server_key(2))));
    let ann = backend.add_user("ann").await;
    let mut by_key = open(&job, "/events").await;
    let bought_by_key = event_token(&job, Some(&ann)).await;
    let mut by_bought = open(&server, &format!("/events?token={bought_by_key}")).await;
    // A token that has expired, and has 3 s of its leeway left. A slow machine may have to try again.
    let mut in_leeway = loop {
        let claims = json!({ "iat": now_s() - 59, "exp": now_s() - 57 });
        let page = server.bearing(Some(&token_of("main", &ann, &claims)));
        if let Ok(stream) = page.get_stream("/events", None::<u64>).await {
            break (stream, claims["exp"].as_u64().unwrap() + 60);
        }
    };
    // A token for streams lasts no longer than `exp` of the one that bought it: it has no leeway.
    let mut bought = loop {
        let claims = json!({ "iat": now_s(), "exp": now_s() + 2 });
        let page = server.bearing(Some(&token_of("main", &ann, &claims)));
        let bought = event_token(&page, None).await;
        if let Ok(stream) = server.get_stream(&format!("/events?token={bought}"), None::<u64>).await {
            break (stream, claims["exp"].as_u64().unwrap());
        }
    };
    let since_1970 = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for (what, stream, end_s) in [
        ("the bought one", &mut bought.0, bought.1),
        ("the expired one", &mut in_leeway.0, in_leeway.1),
        ("the key's", &mut by_key, expires_s),
        ("the one that the key bought", &mut by_bought, expires_s),
    ] {
        stream.begin().await;
        assert_ends(what, stream).await;
        assert!(since_1970() >= Duration::from_secs(end_s), "{what} ends too early");
    }
    problem(&job.get("/events").await, 401, "token_expired");
    let reply = server.get(&format!("/events?token={bought_by_key}")).await;
    problem(&reply, 401, "token_expired");
}

#[tokio::test]
async fn a_removed_key_ends_what_it_let_in() {
    let keys = KeyFiles::new();
    let both = line("backend", "all", 1) + &line("job", "all", 2);
    keys.write(API_KEYS, &both);
    keys.write(TOKEN_KEYS, &jwks(&["main", "second"]));
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let den = backend.add_chat("den", &[&ann]).await;
    // Given streams by two server keys and by two JWKs.
    let as_ann = format!("/events?user={ann}");
    let (mut ending, mut staying) = (Vec::new(), Vec::new());
    for (streams, number, kid) in [(&mut staying, 1, "main"), (&mut ending, 2, "second")] {
        let key = server.bearing(Some(&server_key(number)));
        let page = server.bearing(Some(&token_of(kid, &ann, &json!({}))));
        streams.push((format!("key {number}"), open(&key, "/events").await));
        streams.push((format!("key {number} as ann"), open(&key, &as_ann).await));
        streams.push((format!("token of {kid}"), open(&page, "/events").await));
        for (buyer, bought) in [
            (format!("key {number}"), event_token(&key, Some(&ann)).await),
            (format!("token of {kid}"), event_token(&page, None).await),
        ] {
            let stream = open(&server, &format!("/events?token={bought}")).await;
            streams.push((format!("bought by {buyer}"), stream));
        }
    }
    // When other keys are added, comments are changed and a key has another name,
    let renamed = both.replace("job", "robot");
    keys.write(API_KEYS, &format!("# three keys\n{renamed}{}", line("new", "all", 3)));
    keys.write(TOKEN_KEYS, &jwks(&["new", "second", "main"]));
    server.signal(Signal::HUP);
    let (mark, asked) = (json!({ "chat": den, "user": ann, "seq": 0 }), json!({ "user": ann }));
    wait_for_status(&server.bearing(Some(&server_key(3))), "/chats/read", &mark, 204).await;
    let new_page = server.bearing(Some(&token_of("new", &ann, &json!({}))));
    wait_for_status(&new_page, "/users/get", &asked, 200).await;
    // Then no stream ends.
    backend.add_message(&den, &ann, "one").await;
    for (what, stream) in ending.iter_mut().chain(&mut staying) {
        let event = stream.next().await.unwrap_or_else(|| panic!("{what} has ended"));
        assert_eq!(event.data["text"], "one", "{what}");
    }
    // And when one key of each file is removed, its streams end, and no other.
    keys.write(API_KEYS, &line("backend", "all", 1));
    keys.write(TOKEN_KEYS, &jwks(&["main"]));
    server.signal(Signal::HUP);
    for (what, stream) in &mut ending {
        assert_ends(what, stream).await;
    }
    backend.add_message(&den, &ann, "two").await;
    for (what, stream) in &mut staying {
        let event = stream.next().await.unwrap_or_else(|| panic!("{what} has ended"));
        assert_eq!(event.data["text"], "two", "{what}");
    }
}

#[tokio::test]
async fn a_key_of_less_scope_ends_what_it_let_in() {
    let keys = KeyFiles::new();
    keys.write(API_KEYS, &(line("backend", "all", 1) + &line("job", "read", 2)));
    let server = keys.start(&[]);
    let mut stream = open(&server.bearing(Some(&server_key(2))), "/events").await;
    keys.write(API_KEYS, &(line("backend", "all", 1) + &line("job", "metrics", 2)));
    server.signal(Signal::HUP);
    assert_ends("the stream of the key", &mut stream).await;
}

#[tokio::test]
async fn a_server_key_follows_everything() {
    let keys = KeyFiles::new();
    let more = line("reader", "read", 2) + &line("prometheus", "metrics", 3);
    keys.write(API_KEYS, &(line("backend", "all", 1) + &more));
    let server = keys.start(&[]);
    let [backend, reader, prometheus] = [1, 2, 3].map(|number| server.bearing(Some(&server_key(number))));
    let mut live = open(&reader, "/events").await;
    // When users, chats and messages are made, by the server and by users,
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let den = backend.add_chat("den", &[&ann]).await;
    let attic = backend.add_chat("attic", &[&bob]).await;
    // A chat is shown as it is when it is sent.
    let mut lived = live.take_events(4).await;
    backend.join(&den, &bob).await;
    let page = server.bearing(Some(&token(&ann)));
    page.add_message(&den, &ann, "hello").await;
    backend.add_message(&attic, &bob, "dusty").await;
    server.bearing(Some(&token(&bob))).mark_read(&den, &bob, 1).await;
    backend.post("/users/tokens/revoke", &json!({ "user": ann })).await;
    backend.leave(&den, &bob).await;
    // Then each event of each chat comes once, in the order of the log; a revocation does not.
    let expected = [
        (1, "user", json!({ "id": ann, "username": "ann" })),
        (2, "user", json!({ "id": bob, "username": "bob" })),
        (3, "chat", json!({ "id": den, "name": "den", "users": [ann] })),
        (4, "chat", json!({ "id": attic, "name": "attic", "users": [bob] })),
        (5, "member", json!({ "chat": den, "user": bob })),
        (6, "message", json!({ "chat": den, "author": ann, "text": "hello", "seq": 1 })),
        (7, "message", json!({ "chat": attic, "author": bob, "text": "dusty", "seq": 1 })),
        (8, "read", json!({ "chat": den, "user": bob, "seq": 1 })),
        (10, "member_removed", json!({ "chat": den, "user": bob })),
    ];
    lived.extend(live.take_events(expected.len() - 4).await);
    let mut resumed = reader.get_stream("/events?after=0", None::<u64>).await.expect("admitted");
    let caught_up = resumed.take_events(expected.len()).await;
    let mut rest = reader.get_stream("/events", Some(5)).await.expect("admitted");
    assert_eq!(rest.take_events(4).await, caught_up[5..]);
    for events in [&lived, &caught_up] {
        for (event, (id, kind, data)) in events.iter().zip(&expected) {
            assert_eq!((event.id, &*event.kind), (*id, *kind));
            // A chat that is caught up is shown as it is now: den without bob, who has left.
            for (name, value) in data.as_object().unwrap() {
                assert_eq!(&event.data[name], value, "{name} of {event:?}");
            }
        }
    }
    let without_chats = |events: &[crate::support::Event]| {
        events.iter().filter(|event| event.kind != "chat").cloned().collect::<Vec<_>>()
    };
    assert_eq!(without_chats(&lived), without_chats(&caught_up));
    let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        fields(&lived[0].data),
        fields(&backend.post("/users/get", &json!({ "user": ann })).await.json())
    );
    // And keys that are for something else follow nothing.
    problem(&prometheus.get("/events").await, 403, "scope_missing");
    problem(&prometheus.get(&format!("/events?user={ann}")).await, 403, "scope_missing");
    let unknown = "/events?user=01a20aa4-0a09-74de-9d72-3ca94e1ae31f";
    problem(&reader.get(unknown).await, 404, "user_not_found");
}

#[tokio::test]
async fn a_token_for_events_follows_and_nothing_else() {
    let keys = KeyFiles::new();
    let server = keys.start(&[]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let den = backend.add_chat("den", &[&ann]).await;
    let page = server.bearing(Some(&token_of("main", &ann, &json!({ "scope": "events" }))));
    let mut stream = open(&page, "/events").await;
    open(&page, &format!("/events?user={ann}")).await;
    problem(&page.get(&format!("/events?user={bob}")).await, 403, "not_yourself");
    let position = server.position().await;
    // A user may leave a chat without any scope.
    let others = CALLS.into_iter().filter(|&path| path != "/chats/users/remove");
    for path in others.chain(["/events/token", "/users/tokens/revoke", "/metrics"]) {
        let reply = if path == "/metrics" { page.get(path).await } else { page.post(path, &json!({})).await };
        let code = reply.json()["code"].as_str().expect("a code").to_owned();
        assert!(["scope_missing", "server_key_required"].contains(&&*code), "{path}: {code}");
        assert_eq!(reply.status, 403, "{path}");
    }
    let other = json!({ "chat": den, "user": bob });
    problem(&page.post("/chats/users/remove", &other).await, 403, "not_yourself");
    assert_eq!(server.position().await, position, "nothing is written");
    backend.add_message(&den, &ann, "hello").await;
    assert_eq!(stream.next().await.expect("an event").data["text"], "hello");
    // And one without that scope or `read` does not follow.
    let writer = server.bearing(Some(&token_of("main", &ann, &json!({ "scope": "write chats" }))));
    problem(&writer.get("/events").await, 403, "scope_missing");
}
