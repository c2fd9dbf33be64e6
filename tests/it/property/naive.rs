//! The naive model: it holds lists, and finds everything by looking through them.

use axum::http::StatusCode;
use chinwag::domain::Actor;
use chinwag::engine::Engine;
use serde_json::{Value, json};

use super::streamed::StreamedEvent;
use super::{Direct, Reply, Request, Step, Write};

/// Lists, and nothing else.
#[derive(Default)]
pub(super) struct Naive {
    pub(super) users: Vec<NaiveUser>,
    pub(super) chats: Vec<NaiveChat>,
    pub(super) events: usize,
    /// Every request that was accepted under a key, with its answer.
    pub(super) keyed: Vec<(Request, Reply)>,
    /// Each event that a stream sends, with its user.
    told: Vec<(Value, StreamedEvent)>,
    /// The user and the time of each revocation.
    revoked: Vec<(Value, u64)>,
}

pub(super) struct NaiveUser {
    pub(super) id: Value,
    pub(super) username: Value,
}

pub(super) struct NaiveChat {
    pub(super) id: Value,
    pub(super) name: Value,
    pub(super) users: Vec<Value>,
    pub(super) created_at: Option<Value>,
    pub(super) messages: Vec<Value>,
    /// Read marks by user. The last one of a user holds.
    marks: Vec<(Value, usize)>,
    /// The number of the event that wrote to it last, or created it.
    last_event: usize,
}

impl NaiveChat {
    fn mark(&self, user: &Value) -> usize {
        self.marks.iter().rev().find(|(reader, _)| reader == user).map_or(0, |(_, mark)| *mark)
    }

    /// Returns the user's read mark, if the user has read something.
    pub(super) fn marked(&self, user: &Value) -> Option<usize> {
        Some(self.mark(user)).filter(|mark| *mark > 0)
    }

    pub(super) fn unread(&self, user: &Value) -> usize {
        self.messages[self.mark(user)..].iter().filter(|message| message["author"] != *user).count()
    }
}

/// The path of a call that the API does not have.
const REVOKE: &str = "/users/tokens/revoke";

pub(super) const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// Returns the item that a step names by a number from 0 to 99. A high number names none.
pub(super) fn named<T>(items: &[T], number: u8) -> Option<&T> {
    let number = usize::from(number);
    if number < 97 { items.get(number % items.len().max(1)) } else { None }
}

impl Naive {
    /// The request of a step, on what there is now.
    pub(super) fn request(&self, step: &Step) -> Option<Request> {
        match step {
            Step::Write { write, key } => {
                let (path, body) = self.write(write);
                Some(Request {
                    path,
                    body,
                    key: key.map(|key| format!("key-{key}")),
                    direct: self.direct(write),
                })
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
            Write::Revoke { user: who, .. } => (REVOKE, json!({ "user": user(who) })),
        }
    }

    /// Returns the one who sends a revocation: nobody who is known, a server key or a user.
    fn direct(&self, write: &Write) -> Option<Direct> {
        let Write::Revoke { from, by, .. } = write else { return None };
        let by = match (by % 4, named(&self.users, *by)) {
            (0, _) | (_, None) => Actor::Unknown,
            (1, _) => Actor::Key("backend".into()),
            (_, Some(user)) => Actor::User(user.id.as_str().expect("an id").parse().expect("an id")),
        };
        Some(Direct { by, from: (*from).into() })
    }

    fn tokens_from(&self, user: &Value) -> u64 {
        self.revoked.iter().rev().find(|(of, _)| of == user).map_or(0, |(_, from)| *from)
    }

    /// Compares the time from which each user's tokens are good.
    pub(super) fn compare_revocations(&self, engine: &Engine) {
        engine.read(|model| {
            for NaiveUser { id, .. } in &self.users {
                let user = model.user(id.as_str().expect("an id").parse().expect("an id")).expect("added");
                assert_eq!(model.tokens_from(user), self.tokens_from(id));
            }
            assert_eq!(model.revocations(), self.revoked.len() as u64);
        });
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
                    let request =
                        Request { path: "/messages/add", body: message.clone(), key: None, direct: None };
                    let (code, field) = self.refusal(&request)?;
                    Some((code, format!("messages[{index}].{field}")))
                })
            }
            REVOKE => (!self.is_user(&body["user"])).then(|| ("user_not_found", "user".to_owned())),
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
    pub(super) fn take(&mut self, request: &Request, reply: &Reply) {
        if let Some((first, answer)) = self.used(request) {
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
        } else if let Some(Direct { from, .. }) = request.direct {
            let user = &request.body["user"];
            let from = from.max(self.tokens_from(user) + 1);
            assert_eq!(reply.body, json!({ "tokens_from": from }));
            self.revoked.push((user.clone(), from));
            self.events += 1;
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
    pub(super) fn told(&self, user: &str) -> Vec<StreamedEvent> {
        self.told.iter().filter(|(told, _)| *told == user).map(|(_, told)| told.clone()).collect()
    }

    /// Returns the request that used the same key, of the same user or not of a user either.
    fn used(&self, request: &Request) -> Option<&(Request, Reply)> {
        let space = |request: &Request| Some(request.by()).filter(|by| matches!(by, Actor::User(_)));
        let key = request.key.as_ref()?;
        let is_same = |used: &Request| used.key.as_ref() == Some(key) && space(used) == space(request);
        self.keyed.iter().find(|(used, _)| is_same(used))
    }

    /// Applies a batch: the same as its messages one by one.
    fn add_messages(&mut self, Request { body, .. }: &Request, reply: &Reply) {
        let messages = body["messages"].as_array().expect("a list");
        let answers = reply.body.as_array().expect("a list");
        assert_eq!(answers.len(), messages.len());
        for (message, answer) in messages.iter().zip(answers) {
            let request = Request { path: "/messages/add", body: message.clone(), key: None, direct: None };
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
    pub(super) fn is_overtaken(&self, StreamedEvent { event, data, .. }: &StreamedEvent) -> bool {
        let chat = || self.chats.iter().find(|chat| chat.id == data["chat"]).expect("a chat");
        *event == "read" && data["seq"].as_u64() < Some(chat().mark(&data["user"]) as u64)
    }

    pub(super) fn chats_of(&self, user: &Value) -> Vec<&NaiveChat> {
        let mut chats: Vec<_> = self.chats.iter().filter(|chat| chat.users.contains(user)).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse((!chat.messages.is_empty(), chat.last_event)));
        chats
    }
}
