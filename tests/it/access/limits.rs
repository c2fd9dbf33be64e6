//! How much a user may ask for, and how often an address may fail.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::fixture::{KeyFiles, event_token, open, server_key, token};
use crate::support::{Client, RawConnection, Reply, TestServer, head, problem};

/// Returns the numbers of a header such as `"reads";r=5;t=1`.
fn numbers(reply: &Reply, header: &str, name: &str, parameters: [&str; 2]) -> [u64; 2] {
    let value = reply.header(header);
    let mut parts = value.split(';');
    assert_eq!(parts.next(), Some(&*format!("{name:?}")), "{header}: {value}");
    let numbers = parameters.map(|parameter| {
        let number = parts.next().and_then(|part| part.strip_prefix(parameter)?.strip_prefix('='));
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{header}: {value}"))
    });
    assert_eq!(parts.next(), None, "{header}: {value}");
    numbers
}

/// Returns the units that a user has left, and the seconds until the quota is whole.
fn left(reply: &Reply, name: &str) -> [u64; 2] {
    numbers(reply, "ratelimit", name, ["r", "t"])
}

fn retry_after(reply: &Reply) -> u64 {
    problem(reply, 429, "rate_limited");
    let seconds = reply.header("retry-after").parse().expect("seconds");
    assert!(seconds > 0);
    seconds
}

/// Sends a request again and again until it is refused, which happens after the burst and what the time gives back.
async fn refused(burst: u64, per_s: u64, send: impl AsyncFn() -> Reply) -> Reply {
    let start = Instant::now();
    let mut admitted = 0;
    loop {
        let reply = send().await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(admitted >= burst, "only {admitted}");
            return reply;
        }
        assert!(reply.status.is_success(), "{reply:?}");
        admitted += 1;
        let given_back = (start.elapsed().as_secs() + 1) * per_s;
        assert!(admitted <= burst + given_back, "{admitted} after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_user_has_a_burst_and_then_a_rate() {
    let keys = KeyFiles::new();
    let flags = ["--user-writes-burst", "4", "--user-writes-per-s", "2"];
    let server = keys.start(&[&flags[..], &["--user-reads-burst", "7", "--user-reads-per-s", "3"]].concat());
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let den = backend.add_chat("den", &[&ann, &bob]).await;
    let [ann, bob] = [&ann, &bob].map(|user| server.bearing(Some(&token(user))));
    let message = json!({ "chat": den, "text": "hello" });
    let write = async |client: &Client| client.post("/messages/add", &message).await;
    let read = async |client: &Client| client.post("/chats/get", &json!({})).await;
    // The first write says what is left.
    let first = write(&ann).await;
    assert_eq!(numbers(&first, "ratelimit-policy", "writes", ["q", "w"]), [4, 2]);
    assert_eq!(left(&first, "writes"), [3, 1]);
    // When the burst is used up,
    let over = refused(3, 2, async || write(&ann).await).await;
    // Then the refusal says when to come back, and that is true.
    assert_eq!(left(&over, "writes"), [0, 2]);
    assert_eq!(numbers(&over, "ratelimit-policy", "writes", ["q", "w"]), [4, 2]);
    let seconds = retry_after(&over);
    // Reads have a quota of their own, and so does another user.
    let reply = read(&ann).await;
    assert_eq!(reply.status, 200);
    assert_eq!(numbers(&reply, "ratelimit-policy", "reads", ["q", "w"]), [7, 3]);
    assert_eq!(left(&reply, "reads"), [6, 1]);
    let reply = write(&bob).await;
    assert_eq!(left(&reply, "writes"), [3, 1]);
    sleep(Duration::from_secs(seconds)).await;
    assert_eq!(write(&ann).await.status, 201);
    // And reads end too.
    let over = refused(6, 3, async || read(&ann).await).await;
    sleep(Duration::from_secs(retry_after(&over))).await;
    assert_eq!(read(&ann).await.status, 200);
}

#[tokio::test]
async fn servers_and_open_servers_have_no_limit() {
    let keys = KeyFiles::new();
    let flags = ["--ephemeral", "--user-writes-burst", "1", "--user-reads-burst", "1"];
    let flags = [&flags[..], &["--user-writes-per-s", "1", "--user-reads-per-s", "1"]].concat();
    let (keyed, open) = (keys.start(&flags), TestServer::start_with(&flags));
    for client in [keyed.bearing(Some(&server_key(1))), open.client()] {
        for number in 0..20 {
            let add = client.post("/users/add", &json!({ "username": format!("user {number}") })).await;
            let list = client.post("/users/list", &json!({})).await;
            assert_eq!((add.status.as_u16(), list.status.as_u16()), (201, 200));
            for reply in [add, list] {
                let limits = ["ratelimit", "ratelimit-policy", "retry-after"];
                assert!(!limits.iter().any(|&name| reply.headers.contains_key(name)), "{reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_of_many_messages_costs_more() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral", "--user-reads-per-s", "1", "--user-reads-burst", "100"]);
    let backend = server.bearing(Some(&server_key(1)));
    let ann = backend.add_user("ann").await;
    let den = backend.add_chat("den", &[&ann]).await;
    let message = json!({ "chat": den, "author": ann, "text": "hello" });
    for _ in 0..8 {
        let reply = backend.post("/messages/batch", &json!({ "messages": vec![&message; 1_000] })).await;
        assert_eq!(reply.status, 201);
    }
    let page = server.bearing(Some(&token(&ann)));
    let start = Instant::now();
    let spent = async |over: serde_json::Value| {
        let mut body = json!({ "chat": den });
        body.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        let reply = page.post("/messages/get", &body).await;
        assert_eq!(reply.status, 200);
        100 - left(&reply, "reads")[0]
    };
    // What is given back meanwhile makes the difference less.
    let given_back = || start.elapsed().as_secs() + 1;
    let mut before = 0;
    for (limit, cost) in [(json!(999), 1), (json!(1_000), 2), (json!(null), 9), (json!(1), 1)] {
        let after = spent(json!({ "limit": limit })).await;
        assert!(after <= before + cost, "{before} and {after}: {limit} costs {cost}");
        assert!(after + given_back() >= before + cost, "{before} and {after}: {limit} costs {cost}");
        before = after;
    }
}

#[tokio::test]
async fn a_user_has_few_streams() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral", "--user-streams-max", "2"]);
    let backend = server.bearing(Some(&server_key(1)));
    let (ann, bob) = (backend.add_user("ann").await, backend.add_user("bob").await);
    let page = server.bearing(Some(&token(&ann)));
    // Given two streams of a user, by whatever credentials,
    let first = open(&page, "/events").await;
    let bought = event_token(&backend, Some(&ann)).await;
    let in_url = format!("/events?token={bought}");
    let _second = open(&server, &in_url).await;
    // Then there is no third one,
    for reply in [page.get("/events").await, server.get(&in_url).await] {
        retry_after(&reply);
    }
    // But others have theirs: another user, and a server, also as this user.
    open(&server.bearing(Some(&token(&bob))), "/events").await;
    let as_ann = format!("/events?user={ann}");
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(open(&backend, &as_ann).await);
    }
    // And when one of them ends, there is room for another one.
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(20);
    while page.get_stream("/events", None::<u64>).await.is_err() {
        assert!(Instant::now() < deadline, "the dropped stream still counts");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A request with these headers.
fn ask(headers: &[&str]) -> String {
    head("POST", "/users/list", &[&["Content-Length: 2", "Content-Type: application/json"], headers].concat())
        + "{}"
}

/// Sends wrong credentials until the address is refused.
fn fail(connection: &mut RawConnection, headers: &[&str]) -> Reply {
    let wrong = ask(&[&["Authorization: Bearer cw_wrong"], headers].concat());
    let start = Instant::now();
    for failed in 0.. {
        connection.send(&wrong);
        let reply = connection.reply();
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(failed >= 100, "only {failed}");
            return reply;
        }
        problem(&reply, 401, "credentials_invalid");
        let given_back = (start.elapsed().as_secs() + 1) * 10;
        assert!(failed < 100 + given_back, "{failed} after {:?}", start.elapsed());
    }
    unreachable!("it fails for ever")
}

#[test]
fn an_address_that_fails_often_is_slowed_down() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral"]);
    let mut connection = RawConnection::open(&server.address);
    let mut status = |headers: &[&str]| {
        connection.send(ask(headers));
        connection.reply().status.as_u16()
    };
    // Requests without credentials do not count,
    for _ in 0..300 {
        assert_eq!(status(&[]), 401);
    }
    // Wrong ones do; the header of a stranger changes nothing.
    let reply = fail(&mut connection, &[]);
    retry_after(&reply);
    let mut another = RawConnection::open(&server.address);
    for forwarded in ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"] {
        // Some may be admitted again meanwhile.
        let wrong = ask(&["Authorization: Bearer a.b.c", forwarded]);
        let is_refused = (0..100).any(|_| {
            another.send(&wrong);
            another.reply().status == StatusCode::TOO_MANY_REQUESTS
        });
        assert!(is_refused, "{forwarded}");
    }
    // And good ones always pass.
    let good = format!("Authorization: Bearer {}", server_key(1));
    for _ in 0..20 {
        another.send(ask(&[&good]));
        assert_eq!(another.reply().status, 200);
        another.send(ask(&[]));
        problem(&another.reply(), 401, "credentials_missing");
    }
}

#[test]
fn a_trusted_proxy_names_the_address_that_fails() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral", "--trusted-proxies", "127.0.0.0/8,10.0.0.1"]);
    let mut connection = RawConnection::open(&server.address);
    // Given an address behind two proxies that has failed often,
    retry_after(&fail(&mut connection, &["X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.1"]));
    let mut first_refused = |forwarded: &str| {
        let wrong = ask(&["Authorization: Bearer cw_wrong", &format!("X-Forwarded-For: {forwarded}")]);
        (0..50).find(|_| {
            connection.send(&wrong);
            connection.reply().status == StatusCode::TOO_MANY_REQUESTS
        })
    };
    // Then it is refused whatever it puts in front, and others are not.
    assert!(first_refused("198.51.100.7, 192.0.2.1").is_some());
    assert_eq!(first_refused("192.0.2.1, 192.0.2.2"), None);
    assert_eq!(first_refused("203.0.113.9"), None);
}

#[test]
fn a_line_that_is_no_text_hides_no_address() {
    let keys = KeyFiles::new();
    let server = keys.start(&["--ephemeral", "--trusted-proxies", "127.0.0.0/8"]);
    let mut connection = RawConnection::open(&server.address);
    // Given a client that puts a line in front, and a byte that is no text into the line of the proxy,
    let mut refused = (0..200_u32).filter(|number| {
        let [_, _, a, b] = number.to_be_bytes();
        let lines = [
            format!("Authorization: Bearer a.b.c\r\nX-Forwarded-For: 198.51.{a}.{b}").into_bytes(),
            b"X-Forwarded-For: \xff, 192.0.2.1".to_vec(),
        ];
        let mut request = b"POST /users/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n".to_vec();
        for line in lines {
            request.extend([line, b"\r\n".to_vec()].concat());
        }
        request.extend(b"\r\n");
        connection.send(request);
        connection.reply().status == StatusCode::TOO_MANY_REQUESTS
    });
    // Then it is still one address that fails.
    assert!(refused.next().is_some());
}
