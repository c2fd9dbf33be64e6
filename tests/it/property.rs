//! Random histories, driven through the real router, engine and file log, and through a model so naive that
//! it is right by inspection; every read of both is compared, again after a restart, and of the history
//! exported and imported.

mod naive;
mod streamed;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use chinwag::config::ServeConfig;
use chinwag::domain::{Actor, Command, IdempotencyKey, Position, Refusal};
use chinwag::engine::{Engine, EngineSettings, ReplayProgress, SubmitError, WriterEnd};
use chinwag::http::{App, router};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::model::Outcome;
use chinwag::tools::{self, Import, Lenience};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use naive::{Naive, NaiveChat, NaiveUser};
use streamed::Streams;

/// One action of a client. Users and chats are given by a number from 0 to 99: see [`naive::named`].
#[derive(Debug, Clone)]
enum Step {
    Write {
        write: Write,
        key: Option<u8>,
    },
    /// A write that had a key is sent again.
    Retry {
        number: u8,
    },
    Restart,
}

#[derive(Debug, Clone)]
enum Write {
    AddUser {
        name: u8,
    },
    AddChat {
        name: u8,
        users: Vec<u8>,
    },
    AddMessage {
        chat: u8,
        author: u8,
        text: String,
    },
    AddMessages {
        /// The chat, the author and the text of each message.
        messages: Vec<(u8, u8, String)>,
    },
    Join {
        chat: u8,
        user: u8,
    },
    Leave {
        chat: u8,
        user: u8,
    },
    /// Marks this percentage of the messages as read. Above 100 it is beyond the last one.
    Read {
        chat: u8,
        user: u8,
        percent: u8,
    },
    /// Revokes tokens. Only this write is not anonymous.
    Revoke {
        user: u8,
        from: u8,
        by: u8,
    },
}

/// Steps of a burst are sent at once, so that they share batches.
type Burst = Vec<Step>;

fn step() -> impl Strategy<Value = Step> {
    let key = prop::option::weighted(0.4, 0..40_u8);
    prop_oneof![
        12 => (write(), key).prop_map(|(write, key)| Step::Write { write, key }),
        3 => (0..40_u8).prop_map(|number| Step::Retry { number }),
        1 => Just(Step::Restart),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    let text = prop_oneof![4 => "\\PC{1,40}", 1 => "[\\x00-\\x1f]{1,5}", 1 => "x{2000,4000}"];
    let (chat, user) = (0..100_u8, 0..100_u8);
    // Mostly one chat and one user, because otherwise most steps would be refused.
    let one = (0..90_u8, 0..90_u8, prop::collection::vec("\\PC{1,9}", 1..8))
        .prop_map(|(chat, author, texts)| texts.into_iter().map(|text| (chat, author, text)).collect());
    let any = prop::collection::vec((chat.clone(), user.clone(), "\\PC{1,9}"), 1..4);
    let batch = prop_oneof![2 => one, 1 => any];
    let users = prop::collection::vec(0..100_u8, 1..6);
    prop_oneof![
        3 => (0..12_u8).prop_map(|name| Write::AddUser { name }),
        2 => (0..8_u8, users).prop_map(|(name, users)| Write::AddChat { name, users }),
        8 => (chat.clone(), user.clone(), text)
            .prop_map(|(chat, author, text)| Write::AddMessage { chat, author, text }),
        3 => batch.prop_map(|messages| Write::AddMessages { messages }),
        2 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Write::Join { chat, user }),
        2 => (chat.clone(), user.clone()).prop_map(|(chat, user)| Write::Leave { chat, user }),
        3 => (chat, user.clone(), 0..110_u8)
            .prop_map(|(chat, user, percent)| Write::Read { chat, user, percent }),
        2 => (user, 0..20_u8, 0..100_u8).prop_map(|(user, from, by)| Write::Revoke { user, from, by }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_read_agrees_with_a_naive_model(
        bursts in prop::collection::vec(prop::collection::vec(step(), 1..12), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(bursts));
    }
}

async fn run(bursts: Vec<Burst>) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::open(dir.path());
    let mut naive = Naive::default();
    let mut streams = Streams::default();
    for burst in bursts {
        let requests: Vec<_> = burst.iter().filter_map(|step| naive.request(step)).collect();
        // Joined futures are polled in order: commands are queued, and so decided, in the order of the burst.
        let replies = join_all(requests.iter().map(|request| server.send(request))).await;
        for (request, reply) in requests.iter().zip(replies) {
            naive.take(request, &reply);
        }
        if burst.iter().any(|step| matches!(step, Step::Restart)) {
            server.close().await;
            server = Server::open(dir.path());
            streams.resume(&server).await;
        }
        streams.follow(&server, &naive).await;
        streams.check(&naive).await;
        streamed::check_from_the_past(&server, &naive).await;
        compare(&server, &mut naive).await;
    }
    server.close().await;
    compare(&Server::open(dir.path()), &mut naive).await;

    let exported = export(dir.path());
    let copy = tempfile::tempdir().unwrap();
    let into = Import { data: copy.path().to_owned(), segment_bytes: SEGMENT_BYTES_MIN };
    tools::import(&into, &Lenience::default(), exported.as_slice(), &mut Vec::new()).unwrap();
    assert!(export(copy.path()) == exported, "byte for byte");
    let server = Server::open(copy.path());
    let keyed: Vec<_> = naive.keyed.iter().map(|(request, _)| request.clone()).collect();
    for request in keyed {
        let reply = server.send(&request).await;
        assert!(reply.replayed, "{request:?}");
        naive.take(&request, &reply);
    }
    compare(&server, &mut naive).await;
}

fn export(dir: &Path) -> Vec<u8> {
    let mut lines = Vec::new();
    tools::dump(dir, Position(1), &mut lines).unwrap();
    lines
}

async fn compare(server: &Server, naive: &mut Naive) {
    for chat in &naive.chats {
        compare_messages(server, chat).await;
    }
    compare_users(server, naive).await;
    for chat in &naive.chats {
        compare_shown(server, chat, naive).await;
    }
    naive.compare_revocations(&server.engine);
    for user in &naive.users {
        let by_id = server
            .send(&Request { path: "/users/get", body: json!({ "user": user.id }), key: None, direct: None })
            .await;
        let by_name = json!({ "username": user.username });
        let by_name =
            server.send(&Request { path: "/users/get", body: by_name, key: None, direct: None }).await;
        assert_eq!((&by_id.body["id"], &by_id.body["username"]), (&user.id, &user.username));
        assert_eq!(by_id, by_name);
    }
    for index in 0..naive.users.len() {
        let user = naive.users[index].id.clone();
        let whole = server.list("/chats/get", json!({ "user": user })).await;
        for chat in &whole {
            // Only the server knows this value, but once answered, it must never change.
            let known =
                naive.chats.iter_mut().find(|known| known.id == chat["id"]).expect("a chat that was made");
            assert_eq!(
                *known.created_at.get_or_insert_with(|| chat["created_at"].clone()),
                chat["created_at"]
            );
        }
        let expected: Vec<_> = naive
            .chats_of(&user)
            .into_iter()
            .zip(&whole)
            .map(|(chat, shown)| {
                json!({
                    "id": chat.id, "name": chat.name, "users": chat.users, "created_at": chat.created_at,
                    "last_message": chat.messages.last(), "unread": chat.unread(&user), "cursor": shown["cursor"],
                })
            })
            .collect();
        assert_eq!(whole, expected);
        assert_eq!(whole.len(), naive.chats_of(&user).len());
        for limit in [1, 2, 3] {
            assert_eq!(paged(server, &user, limit).await, whole);
        }
    }
}

/// Compares lists of users: all of them, pages, those with these ids, and those with these names.
async fn compare_users(server: &Server, naive: &Naive) {
    let is_shown = |shown: &[Value], expected: &[&NaiveUser]| {
        shown.len() == expected.len()
            && shown
                .iter()
                .zip(expected)
                .all(|(shown, user)| (&shown["id"], &shown["username"]) == (&user.id, &user.username))
    };
    let all: Vec<_> = naive.users.iter().collect();
    let mut paged: Vec<Value> = Vec::new();
    while paged.is_empty() || paged.len() < all.len() {
        let cursor = paged.last().map(|user| &user["cursor"]);
        let page = server.list("/users/list", json!({ "limit": 2, "cursor": cursor })).await;
        assert!(page.len() <= 2 && (!page.is_empty() || all.is_empty()));
        paged.extend(page);
        if all.is_empty() {
            break;
        }
    }
    assert!(is_shown(&paged, &all), "{paged:?}");
    assert_eq!(server.list("/users/list", json!({})).await, paged);

    let mut ids: Vec<_> = all.iter().rev().map(|user| user.id.clone()).collect();
    ids.push(json!(naive::NOBODY));
    let known: Vec<_> = all.iter().rev().copied().collect();
    assert!(is_shown(&server.list("/users/get", json!({ "users": ids })).await, &known));

    for prefix in ["user", "USER 1", "user 10", "u ser"] {
        let mut expected = all.clone();
        let name = |user: &NaiveUser| user.username.as_str().expect("a name").to_lowercase();
        expected.retain(|user| name(user).starts_with(&prefix.to_lowercase()));
        expected.sort_by_key(|user| name(user));
        assert!(
            is_shown(&server.list("/users/find", json!({ "prefix": prefix })).await, &expected),
            "{prefix}"
        );
    }
}

/// Compares a chat by itself: to nobody, and to each of its members.
async fn compare_shown(server: &Server, chat: &NaiveChat, naive: &Naive) {
    for user in naive.users.iter().map(|user| Some(&user.id)).chain([None]) {
        let body = json!({ "chat": chat.id, "user": user });
        let Reply { status, body: mut shown, .. } =
            server.send(&Request { path: "/chats/show", body, key: None, direct: None }).await;
        if user.is_some_and(|user| !chat.users.contains(user)) {
            assert_eq!(shown["code"], "not_a_member");
            continue;
        }
        assert_eq!(status, StatusCode::OK);
        let mut marks = shown["read_marks"].take();
        marks.as_array_mut().expect("a list").sort_by_key(|mark| mark["user"].to_string());
        let mut expected_marks: Vec<_> = chat
            .users
            .iter()
            .filter_map(|user| Some(json!({ "user": user, "seq": chat.marked(user)? })))
            .collect();
        expected_marks.sort_by_key(|mark| mark["user"].to_string());
        assert_eq!(marks, json!(expected_marks));
        let mut expected = json!({
            "id": chat.id, "name": chat.name, "users": chat.users, "created_at": shown["created_at"],
            "last_message": chat.messages.last(), "cursor": shown["cursor"], "read_marks": null,
        });
        if let Some(user) = user {
            expected["unread"] = json!(chat.unread(user));
        }
        assert_eq!(shown, expected);
    }
}

async fn compare_messages(server: &Server, chat: &NaiveChat) {
    let (id, last) = (&chat.id, chat.messages.len());
    assert_eq!(server.list("/messages/get", json!({ "chat": id })).await, chat.messages);
    assert!(chat.messages.is_sorted_by(|one, next| one["created_at"].as_str() < next["created_at"].as_str()));
    for bound in [0, 1, last / 2, last, last + 1] {
        let after = server.list("/messages/get", json!({ "chat": id, "after": bound, "limit": 3 })).await;
        assert_eq!(after, chat.messages[bound.min(last)..last.min(bound + 3)]);
        let before = server.list("/messages/get", json!({ "chat": id, "before": bound, "limit": 3 })).await;
        let end = bound.saturating_sub(1).min(last);
        assert_eq!(before, chat.messages[end.saturating_sub(3)..end]);
    }
    let newest = server.list("/messages/get", json!({ "chat": id, "limit": 3 })).await;
    assert_eq!(newest, chat.messages[last.saturating_sub(3)..]);
}

async fn paged(server: &Server, user: &Value, limit: usize) -> Vec<Value> {
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let cursor = paged.last().map(|chat| &chat["cursor"]);
        let page = server.list("/chats/get", json!({ "user": user, "limit": limit, "cursor": cursor })).await;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return paged;
        }
        paged.extend(page);
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Request {
    path: &'static str,
    body: Value,
    key: Option<String>,
    /// Present if the request goes to the engine directly, as a call that the API does not have.
    direct: Option<Direct>,
}

/// The one who sends a revocation, and the time that the server chooses for it.
#[derive(Debug, Clone, PartialEq)]
struct Direct {
    by: Actor<'static>,
    from: u64,
}

impl Request {
    fn by(&self) -> Actor<'static> {
        self.direct.as_ref().map_or(Actor::Unknown, |direct| direct.by.clone())
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: StatusCode,
    /// `null` if there is no such value.
    body: Value,
    position: Option<usize>,
    replayed: bool,
}

/// The whole server, except its sockets.
struct Server {
    router: Router,
    engine: Arc<Engine>,
    end: WriterEnd,
}

impl Server {
    fn open(dir: &Path) -> Self {
        let disk = RealDisk::lock(dir).expect("nobody else has it");
        let log = FileLog::new(disk, SEGMENT_BYTES_MIN);
        let progress = Arc::new(ReplayProgress::default());
        let settings = EngineSettings { queue_max: 100, can_follow_all: false };
        let (engine, end) = Engine::start(Box::new(log), settings, &progress).expect("a sound log");
        let engine = Arc::new(engine);
        let app = Arc::new(App::starting(progress, &ServeConfig::default()));
        app.ready(Arc::clone(&engine));
        Self { router: router(app), engine, end }
    }

    async fn close(mut self) {
        self.engine.close();
        self.end.wait().await.expect("a clean end");
    }

    async fn send(&self, request: &Request) -> Reply {
        if let Some(direct) = &request.direct {
            return self.revoke(request, direct).await;
        }
        let Request { path, body, key, .. } = request;
        let mut request = HttpRequest::post(*path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body.to_string())).expect("a well-formed request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
        let position = headers.get("chinwag-position");
        let position = position.map(|value| value.to_str().expect("text").parse().expect("a number"));
        Reply { status, body, position, replayed: headers.contains_key("idempotent-replayed") }
    }

    async fn revoke(&self, Request { body, key, .. }: &Request, Direct { by, from }: &Direct) -> Reply {
        let user = body["user"].as_str().expect("an id").parse().expect("an id");
        let command = Command::RevokeTokens { user, from: *from };
        let key = key.clone().map(|key| IdempotencyKey::new(key, &command, by).expect("a key"));
        let refused = |status, code: &str, field: &str| {
            let body = json!({ "code": code, "field": field });
            Reply { status, body, position: None, replayed: false }
        };
        match self.engine.submit(command, key, by.clone()).await {
            Ok(accepted) => {
                let Outcome::TokensFrom(from) = accepted.receipt.outcome else { panic!("{accepted:?}") };
                let position = usize::try_from(accepted.receipt.position.0).expect("small");
                Reply {
                    status: StatusCode::OK,
                    body: json!({ "tokens_from": from }),
                    position: Some(position),
                    replayed: accepted.replayed,
                }
            }
            Err(SubmitError::Refused(Refusal::UserNotFound { .. })) => {
                refused(StatusCode::NOT_FOUND, "user_not_found", "user")
            }
            Err(SubmitError::Refused(Refusal::KeyReused { .. })) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Idempotency-Key")
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn list(&self, path: &'static str, body: Value) -> Vec<Value> {
        match self.send(&Request { path, body, key: None, direct: None }).await {
            Reply { status: StatusCode::OK, body: Value::Array(items), .. } => items,
            other => panic!("{path}: {other:?}"),
        }
    }
}
