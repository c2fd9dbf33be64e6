//! Random histories, driven through the real router, engine and file log, and through a model so naive that
//! it is right by inspection; every read of both is compared, again after a restart, and of the history
//! exported and imported.

mod streamed;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode};
use chinwag::config::Limits;
use chinwag::domain::Position;
use chinwag::engine::{Engine, ReplayProgress, WriterEnd};
use chinwag::http::{App, router};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use chinwag::tools::{self, Import};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use streamed::{StreamedEvent, Streams};

/// One action of a client. Users and chats are given by a number from 0 to 99: see [`named`].
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
        3 => (chat, user, 0..110_u8).prop_map(|(chat, user, percent)| Write::Read { chat, user, percent }),
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
    let into = Import { data: copy.path().to_owned(), segment_bytes: SEGMENT_BYTES_MIN, allow_future: false };
    tools::import(&into, exported.as_slice(), &mut Vec::new()).unwrap();
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
    for user in &naive.users {
        let by_id =
            server.send(&Request { path: "/users/get", body: json!({ "user": user.id }), key: None }).await;
        let by_name = json!({ "username": user.username });
        let by_name = server.send(&Request { path: "/users/get", body: by_name, key: None }).await;
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

/// Lists, and nothing else.
#[derive(Default)]
struct Naive {
    users: Vec<NaiveUser>,
    chats: Vec<NaiveChat>,
    events: usize,
    /// Every request that was accepted under a key, with its answer.
    keyed: Vec<(Request, Reply)>,
    /// Each event that a stream sends, with its user.
    told: Vec<(Value, StreamedEvent)>,
}

struct NaiveUser {
    id: Value,
    username: Value,
}

struct NaiveChat {
    id: Value,
    name: Value,
    users: Vec<Value>,
    created_at: Option<Value>,
    messages: Vec<Value>,
    /// Read marks by user. The last one of a user holds.
    marks: Vec<(Value, usize)>,
    /// The number of the event that wrote to it last, or created it.
    last_event: usize,
}

impl NaiveChat {
    fn mark(&self, user: &Value) -> usize {
        self.marks.iter().rev().find(|(reader, _)| reader == user).map_or(0, |(_, mark)| *mark)
    }

    fn unread(&self, user: &Value) -> usize {
        self.messages[self.mark(user)..].iter().filter(|message| message["author"] != *user).count()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Request {
    path: &'static str,
    body: Value,
    key: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: StatusCode,
    /// `null` if there is no such value.
    body: Value,
    position: Option<usize>,
    replayed: bool,
}

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// Returns the item that a step names by a number from 0 to 99. A high number names none.
fn named<T>(items: &[T], number: u8) -> Option<&T> {
    let number = usize::from(number);
    if number < 97 { items.get(number % items.len().max(1)) } else { None }
}

impl Naive {
    /// The request of a step, on what there is now.
    fn request(&self, step: &Step) -> Option<Request> {
        match step {
            Step::Write { write, key } => {
                let (path, body) = self.write(write);
                Some(Request { path, body, key: key.map(|key| format!("key-{key}")) })
            }
            Step::Retry { number } => {
                self.keyed.get(usize::from(*number)).map(|(request, _)| request.clone())
            }
            Step::Restart => None,
        }
    }

    fn write(&self, write: &Write) -> (&'static str, Value) {
        let user = |number: &u8| named(&self.users, *number).map_or(json!(NOBODY), |user| user.id.clone());
        let chat = |number: &u8| named(&self.chats, *number).map_or(json!(NOBODY), |chat| chat.id.clone());
        match write {
            Write::AddUser { name } => ("/users/add", json!({ "username": format!("user {name}") })),
            Write::AddChat { name, users } => {
                let users: Vec<_> = users.iter().map(user).collect();
                ("/chats/add", json!({ "name": format!("chat {name}"), "users": users }))
            }
            Write::AddMessage { chat: number, author, text } => {
                ("/messages/add", json!({ "chat": chat(number), "author": user(author), "text": text }))
            }
            Write::AddMessages { messages } => {
                let of = |(number, author, text): &(u8, u8, String)| json!({ "chat": chat(number), "author": user(author), "text": text });
                ("/messages/batch", json!({ "messages": messages.iter().map(of).collect::<Vec<_>>() }))
            }
            Write::Join { chat: number, user: who } => {
                ("/chats/users/add", json!({ "chat": chat(number), "user": user(who) }))
            }
            Write::Leave { chat: number, user: who } => {
                ("/chats/users/remove", json!({ "chat": chat(number), "user": user(who) }))
            }
            Write::Read { chat: number, user: who, percent } => {
                let last = named(&self.chats, *number).map_or(0, |chat| chat.messages.len());
                let seq = if *percent > 100 {
                    last + usize::from(*percent - 100)
                } else {
                    last * usize::from(*percent) / 100
                };
                ("/chats/read", json!({ "chat": chat(number), "user": user(who), "seq": seq }))
            }
        }
    }

    fn is_user(&self, id: &Value) -> bool {
        self.users.iter().any(|user| user.id == *id)
    }

    fn chat(&self, id: &Value) -> Option<&NaiveChat> {
        self.chats.iter().find(|chat| chat.id == *id)
    }

    /// The code and the field of the refusal that the rules demand.
    fn refusal(&self, Request { path, body, .. }: &Request) -> Option<(&'static str, String)> {
        let refuse = |code, field: &str| Some((code, field.to_owned()));
        match *path {
            "/users/add" => {
                let taken = self.users.iter().any(|user| user.username == body["username"]);
                taken.then(|| ("username_taken", "username".to_owned()))
            }
            "/chats/add" => {
                let users = body["users"].as_array().expect("a list");
                if let Some(index) = users.iter().position(|user| !self.is_user(user)) {
                    return Some(("user_not_found", format!("users[{index}]")));
                }
                let taken = self.chats.iter().any(|chat| chat.name == body["name"]);
                taken.then(|| ("chat_name_taken", "name".to_owned()))
            }
            "/messages/batch" => {
                let messages = body["messages"].as_array().expect("a list").iter().enumerate();
                messages.into_iter().find_map(|(index, message)| {
                    let request = Request { path: "/messages/add", body: message.clone(), key: None };
                    let (code, field) = self.refusal(&request)?;
                    Some((code, format!("messages[{index}].{field}")))
                })
            }
            other => {
                let field = if other == "/messages/add" { "author" } else { "user" };
                let Some(chat) = self.chat(&body["chat"]) else { return refuse("chat_not_found", "chat") };
                if !self.is_user(&body[field]) {
                    return refuse("user_not_found", field);
                }
                let needs_a_member = matches!(other, "/messages/add" | "/chats/read");
                if needs_a_member && !chat.users.contains(&body[field]) {
                    return refuse("not_a_member", field);
                }
                let beyond = body["seq"].as_u64().is_some_and(|seq| seq > chat.messages.len() as u64);
                if beyond { refuse("invalid_field", "seq") } else { None }
            }
        }
    }

    /// Checks the answer to a request, and applies the request to the model.
    fn take(&mut self, request: &Request, reply: &Reply) {
        if let Some((first, answer)) = request.key.as_ref().and_then(|key| self.used(key)) {
            if (first.path, &first.body) == (request.path, &request.body) {
                assert_eq!(*reply, Reply { replayed: true, ..answer.clone() });
            } else {
                assert_eq!(reply.body["code"], "idempotency_key_reused", "{request:?}");
            }
            return;
        }
        assert!(!reply.replayed);
        if let Some((code, field)) = self.refusal(request) {
            let told = (&reply.body["code"], &reply.body["field"]);
            assert_eq!(told, (&json!(code), &json!(field)), "{request:?}");
            return;
        }
        if request.path == "/messages/batch" {
            self.add_messages(request, reply);
        } else {
            let changed = self.change(request, reply);
            self.events += usize::from(changed || request.key.is_some());
        }
        assert_eq!(reply.position, Some(self.events), "{request:?}");
        if request.key.is_some() {
            self.keyed.push((request.clone(), reply.clone()));
        }
    }

    /// Returns the events that the stream of this user sends from the beginning on.
    fn told(&self, user: &str) -> Vec<StreamedEvent> {
        self.told.iter().filter(|(told, _)| *told == user).map(|(_, told)| told.clone()).collect()
    }

    fn used(&self, key: &str) -> Option<&(Request, Reply)> {
        self.keyed.iter().find(|(request, _)| request.key.as_deref() == Some(key))
    }

    /// Applies a batch: the same as its messages one by one.
    fn add_messages(&mut self, Request { body, .. }: &Request, reply: &Reply) {
        let messages = body["messages"].as_array().expect("a list");
        let answers = reply.body.as_array().expect("a list");
        assert_eq!(answers.len(), messages.len());
        for (message, answer) in messages.iter().zip(answers) {
            let request = Request { path: "/messages/add", body: message.clone(), key: None };
            self.change(&request, &Reply { body: answer.clone(), ..reply.clone() });
            self.events += 1;
        }
    }

    /// Applies an accepted request. Returns whether it changed anything.
    fn change(&mut self, Request { path, body, .. }: &Request, reply: &Reply) -> bool {
        let id = reply.body["id"].clone();
        let event = self.events + 1;
        let made = matches!(*path, "/users/add" | "/chats/add" | "/messages/add");
        assert_eq!(
            reply.status,
            if made { StatusCode::CREATED } else { StatusCode::NO_CONTENT },
            "{reply:?}"
        );
        let told = &mut self.told;
        let mut tell = |users: &[Value], event: &'static str, data: &Value| {
            told.extend(users.iter().map(|user| {
                (user.clone(), StreamedEvent { position: self.events + 1, event, data: data.clone() })
            }));
        };
        let chat = self.chats.iter_mut().find(|chat| chat.id == body["chat"]);
        match (*path, chat) {
            ("/users/add", _) => self.users.push(NaiveUser { id, username: body["username"].clone() }),
            ("/chats/add", _) => {
                let mut users: Vec<Value> = Vec::new();
                for user in body["users"].as_array().expect("a list") {
                    if !users.contains(user) {
                        users.push(user.clone());
                    }
                }
                tell(&users, "chat", &id);
                let (messages, marks) = (Vec::new(), Vec::new());
                let name = body["name"].clone();
                self.chats.push(NaiveChat {
                    id,
                    name,
                    users,
                    created_at: None,
                    messages,
                    marks,
                    last_event: event,
                });
            }
            ("/messages/add", Some(chat)) => {
                chat.last_event = event;
                let seq = chat.messages.len() + 1;
                assert_eq!(reply.body["seq"], seq);
                let message = json!({
                    "id": id, "chat": chat.id, "author": body["author"], "text": body["text"],
                    "created_at": reply.body["created_at"], "seq": seq,
                });
                tell(&chat.users, "message", &message);
                chat.messages.push(message);
            }
            ("/chats/users/add", Some(chat)) => {
                let is_new = !chat.users.contains(&body["user"]);
                if is_new {
                    tell(&chat.users, "member", body);
                    tell(&[body["user"].clone()], "chat", &chat.id);
                }
                chat.users.extend(is_new.then(|| body["user"].clone()));
                return is_new;
            }
            ("/chats/users/remove", Some(chat)) => {
                let was_member = chat.users.contains(&body["user"]);
                if was_member {
                    tell(&chat.users, "member_removed", body);
                }
                chat.users.retain(|user| *user != body["user"]);
                return was_member;
            }
            ("/chats/read", Some(chat)) => {
                let seq = usize::try_from(body["seq"].as_u64().expect("a number")).expect("small");
                let moves = seq > chat.mark(&body["user"]);
                if moves {
                    tell(&chat.users, "read", body);
                }
                chat.marks.extend(moves.then(|| (body["user"].clone(), seq)));
                return moves;
            }
            other => unreachable!("no write goes to {}", other.0),
        }
        true
    }

    /// Returns whether the event is a read mark that has moved forward since.
    fn is_overtaken(&self, StreamedEvent { event, data, .. }: &StreamedEvent) -> bool {
        let chat = || self.chats.iter().find(|chat| chat.id == data["chat"]).expect("a chat");
        *event == "read" && data["seq"].as_u64() < Some(chat().mark(&data["user"]) as u64)
    }

    fn chats_of(&self, user: &Value) -> Vec<&NaiveChat> {
        let mut chats: Vec<_> = self.chats.iter().filter(|chat| chat.users.contains(user)).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse((!chat.messages.is_empty(), chat.last_event)));
        chats
    }
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
        let limits = Limits {
            queue_max: 100,
            body_bytes_max: 1 << 20,
            request_timeout_s: 30,
            connections_max: 10,
            streams_max: 1_000,
        };
        let (engine, end) = Engine::start(Box::new(log), 100, &progress).expect("a sound log");
        let engine = Arc::new(engine);
        let app = Arc::new(App::starting(progress, limits));
        app.ready(Arc::clone(&engine));
        Self { router: router(app, None), engine, end }
    }

    async fn close(mut self) {
        self.engine.close();
        self.end.wait().await.expect("a clean end");
    }

    async fn send(&self, Request { path, body, key }: &Request) -> Reply {
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

    async fn list(&self, path: &'static str, body: Value) -> Vec<Value> {
        match self.send(&Request { path, body, key: None }).await {
            Reply { status: StatusCode::OK, body: Value::Array(items), .. } => items,
            other => panic!("{path}: {other:?}"),
        }
    }
}
