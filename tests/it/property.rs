//! Random histories, driven through the real router, engine and file log, and through a model so naive that it is
//! right by inspection; every read of both is compared, and again after a restart.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chinwag::config::Limits;
use chinwag::engine::{Engine, ReplayProgress, WriterEnd};
use chinwag::http::{App, router};
use chinwag::log::{FileLog, RealDisk, SEGMENT_BYTES_MIN};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What a client does. Users and chats are given by number, of those that there are; a number beyond names none.
#[derive(Debug, Clone)]
enum Step {
    AddUser { name: u8 },
    AddChat { name: u8, users: Vec<u8> },
    AddMessage { chat: u8, author: u8, text: String },
    Restart,
}

/// Steps of a burst are sent at once, so that they share batches.
type Burst = Vec<Step>;

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![4 => "\\PC{1,40}", 1 => "[\\x00-\\x1f]{1,5}", 1 => "x{2000,4000}"];
    prop_oneof![
        3 => (0..12_u8).prop_map(|name| Step::AddUser { name }),
        2 => (0..8_u8, prop::collection::vec(0..8_u8, 1..6)).prop_map(|(name, users)| Step::AddChat { name, users }),
        9 => (0..6_u8, 0..8_u8, text).prop_map(|(chat, author, text)| Step::AddMessage { chat, author, text }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_read_is_as_the_naive_model_says(
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
    for burst in bursts {
        let (writes, restarts): (Vec<_>, Vec<_>) =
            burst.into_iter().partition(|step| !matches!(step, Step::Restart));
        let requests: Vec<_> = writes.iter().map(|step| naive.request(step)).collect();
        // Joined futures are polled in order: commands are queued, and so decided, in the order of the burst.
        let replies = join_all(requests.iter().map(|(path, body)| server.post(path, body))).await;
        for ((path, body), (status, reply)) in requests.iter().zip(replies) {
            naive.take(path, body, status, &reply);
        }
        if !restarts.is_empty() {
            server.close().await;
            server = Server::open(dir.path());
        }
        compare(&server, &mut naive).await;
    }
    server.close().await;
    compare(&Server::open(dir.path()), &mut naive).await;
}

async fn compare(server: &Server, naive: &mut Naive) {
    for chat in &naive.chats {
        compare_messages(server, chat).await;
    }
    for index in 0..naive.users.len() {
        let user = naive.users[index].id.clone();
        let whole = server.list("/chats/get", json!({ "user": user })).await;
        for chat in &whole {
            // Only the server knows; but what it said once, it must say for ever.
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
                    "last_message": chat.messages.last(), "cursor": shown["cursor"],
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
    /// When, in events, it was last written to; or made.
    last_event: usize,
}

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

impl Naive {
    /// The request of a step, on what there is now.
    fn request(&self, step: &Step) -> (&'static str, Value) {
        let user =
            |number: &u8| self.users.get(usize::from(*number)).map_or(json!(NOBODY), |user| user.id.clone());
        let chat =
            |number: &u8| self.chats.get(usize::from(*number)).map_or(json!(NOBODY), |chat| chat.id.clone());
        match step {
            Step::AddUser { name } => ("/users/add", json!({ "username": format!("user {name}") })),
            Step::AddChat { name, users } => {
                let users: Vec<_> = users.iter().map(user).collect();
                ("/chats/add", json!({ "name": format!("chat {name}"), "users": users }))
            }
            Step::AddMessage { chat: number, author, text } => {
                ("/messages/add", json!({ "chat": chat(number), "author": user(author), "text": text }))
            }
            Step::Restart => unreachable!("a restart is no request"),
        }
    }

    fn is_user(&self, id: &Value) -> bool {
        self.users.iter().any(|user| user.id == *id)
    }

    /// The code and the field of the refusal that the rules demand.
    fn refusal(&self, path: &str, body: &Value) -> Option<(&'static str, String)> {
        match path {
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
            "/messages/add" => {
                let Some(chat) = self.chats.iter().find(|chat| chat.id == body["chat"]) else {
                    return Some(("chat_not_found", "chat".to_owned()));
                };
                if !self.is_user(&body["author"]) {
                    return Some(("user_not_found", "author".to_owned()));
                }
                (!chat.users.contains(&body["author"])).then(|| ("not_a_member", "author".to_owned()))
            }
            other => unreachable!("no write goes to {other}"),
        }
    }

    /// Checks the answer to a request, and does what it did.
    fn take(&mut self, path: &str, body: &Value, status: StatusCode, reply: &Value) {
        if let Some((code, field)) = self.refusal(path, body) {
            assert_eq!((&reply["code"], &reply["field"]), (&json!(code), &json!(field)), "{body}");
            return;
        }
        assert_eq!(status, StatusCode::CREATED, "{reply}");
        self.events += 1;
        let id = reply["id"].clone();
        match path {
            "/users/add" => self.users.push(NaiveUser { id, username: body["username"].clone() }),
            "/chats/add" => {
                let mut users: Vec<Value> = Vec::new();
                for user in body["users"].as_array().expect("a list") {
                    if !users.contains(user) {
                        users.push(user.clone());
                    }
                }
                let (name, last_event) = (body["name"].clone(), self.events);
                self.chats.push(NaiveChat {
                    id,
                    name,
                    users,
                    created_at: None,
                    messages: Vec::new(),
                    last_event,
                });
            }
            "/messages/add" => {
                let chat = self.chats.iter_mut().find(|chat| chat.id == body["chat"]).expect("not refused");
                chat.last_event = self.events;
                let seq = chat.messages.len() + 1;
                assert_eq!(reply["seq"], seq);
                chat.messages.push(json!({
                    "id": id, "chat": chat.id, "author": body["author"], "text": body["text"],
                    "created_at": reply["created_at"], "seq": seq,
                }));
            }
            other => unreachable!("no write goes to {other}"),
        }
    }

    fn chats_of(&self, user: &Value) -> Vec<&NaiveChat> {
        let mut chats: Vec<_> = self.chats.iter().filter(|chat| chat.users.contains(user)).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse((!chat.messages.is_empty(), chat.last_event)));
        chats
    }
}

/// The whole server, but for its sockets.
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
        let limits =
            Limits { queue_max: 100, body_bytes_max: 1 << 20, request_timeout_s: 30, connections_max: 10 };
        let (engine, end) = Engine::start(Box::new(log), 100, &progress).expect("a sound log");
        let engine = Arc::new(engine);
        let app = Arc::new(App::starting(progress, limits));
        app.ready(Arc::clone(&engine));
        Self { router: router(app), engine, end }
    }

    async fn close(mut self) {
        self.engine.close();
        self.end.wait().await.expect("a clean end");
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).expect("a well-formed request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    async fn list(&self, path: &str, body: Value) -> Vec<Value> {
        match self.post(path, &body).await {
            (StatusCode::OK, Value::Array(items)) => items,
            other => panic!("{path} {body}: {other:?}"),
        }
    }
}
