//! The naive model: it holds lists, and finds everything by looking through them.

use std::cmp::Reverse;

use axum::http::StatusCode;
use chinwag::domain::Actor;
use chinwag::engine::Engine;
use serde_json::{Value, json};

use super::message::{NaiveMessage, NaiveReaction, present, set};
use super::streamed::StreamedEvent;
use super::{Reply, Request, Revocation};

/// Lists, and nothing else.
#[derive(Default)]
pub(super) struct Naive {
    pub(super) users: Vec<NaiveUser>,
    pub(super) chats: Vec<NaiveChat>,
    /// Every emoji, in the order in which they were first used.
    pub(super) emoji: Vec<Value>,
    pub(super) events: usize,
    /// The time of each event in the log.
    pub(super) times: Vec<Value>,
    /// Every request that was accepted under a key, with its answer.
    pub(super) keyed: Vec<(Request, Reply)>,
    /// Each event that a stream sends, with its user, or `null` if that depends on who shares a chat.
    pub(super) told: Vec<(Value, StreamedEvent)>,
    /// The position, the chat and the user of each departure.
    pub(super) left: Vec<(usize, Value, Value)>,
    /// The user and the time of each revocation.
    revoked: Vec<(Value, u64)>,
}

pub(super) struct NaiveUser {
    pub(super) id: Value,
    pub(super) username: Value,
    pub(super) metadata: Value,
    pub(super) created_at: Value,
    /// The position of the last edit.
    pub(super) edited: usize,
}

pub(super) struct NaiveChat {
    pub(super) id: Value,
    pub(super) name: Value,
    pub(super) is_direct: bool,
    pub(super) metadata: Value,
    pub(super) users: Vec<Value>,
    pub(super) created_at: Value,
    pub(super) messages: Vec<NaiveMessage>,
    /// Read marks by user. The last one of a user holds.
    marks: Vec<(Value, usize)>,
    /// The position of the last message, or of the chat's creation.
    last_event: usize,
    /// The position of the last edit.
    pub(super) edited: usize,
}

impl NaiveUser {
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({ "id": self.id, "username": self.username, "created_at": self.created_at });
        set(&mut shown, "metadata", self.metadata.clone());
        shown
    }
}

impl NaiveChat {
    pub(super) fn mark(&self, user: &Value) -> usize {
        self.marks.iter().rev().find(|(reader, _)| reader == user).map_or(0, |(_, mark)| *mark)
    }

    /// Returns the user's read mark, if the user has read something.
    pub(super) fn marked(&self, user: &Value) -> Option<usize> {
        Some(self.mark(user)).filter(|mark| *mark > 0)
    }

    fn unread(&self, user: &Value) -> usize {
        let is_unread = |message: &&NaiveMessage| message.author() != user && !message.is_deleted();
        self.messages[self.mark(user)..].iter().filter(is_unread).count()
    }

    /// Returns the message with this seq, if there is one.
    pub(super) fn message(&self, seq: &Value) -> Option<&NaiveMessage> {
        self.messages.get(index_of(seq)?)
    }

    /// Returns the chat as a reader sees it, without its cursor.
    pub(super) fn shown(&self, reader: Option<&Value>) -> Value {
        let mut shown = json!({
            "id": self.id, "name": self.name, "users": self.users, "created_at": self.created_at,
            "last_message": self.messages.last().map(|message| message.shown(reader)),
        });
        set(&mut shown, "direct", self.is_direct.then_some(true).into());
        set(&mut shown, "metadata", self.metadata.clone());
        set(&mut shown, "unread", reader.map(|reader| self.unread(reader)).into());
        shown
    }
}

fn index_of(seq: &Value) -> Option<usize> {
    usize::try_from(seq.as_u64()?.checked_sub(1)?).ok()
}

/// The path of a call that the API does not have.
pub(super) const REVOKE: &str = "/users/tokens/revoke";

impl Naive {
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

    pub(super) fn user(&self, id: &Value) -> Option<&NaiveUser> {
        self.users.iter().find(|user| user.id == *id)
    }

    pub(super) fn chat(&self, id: &Value) -> Option<&NaiveChat> {
        self.chats.iter().find(|chat| chat.id == *id)
    }

    pub(super) fn direct_chat(&self, users: &Value) -> Option<&NaiveChat> {
        let users = users.as_array().expect("a list");
        self.chats.iter().find(|chat| chat.is_direct && users.iter().all(|user| chat.users.contains(user)))
    }

    /// Checks the answer to a request, and applies the request to the model.
    pub(super) fn take(&mut self, request: &Request, reply: &Reply) {
        if let Some((first, answer)) = self.used(request) {
            if (first.path, values(first)) == (request.path, values(request)) {
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
        } else if let Some(Revocation { from, .. }) = request.revocation {
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
            let request = Request::new("/messages/add", message.clone());
            self.change(&request, &Reply { body: answer.clone(), ..reply.clone() });
            self.events += 1;
        }
    }

    /// Applies an accepted request. Returns whether it changed anything.
    fn change(&mut self, Request { path, body, .. }: &Request, reply: &Reply) -> bool {
        let existing = (*path == "/chats/direct").then(|| self.direct_chat(&body["users"])).flatten();
        if let Some(chat) = existing {
            assert_eq!((reply.status, &reply.body), (StatusCode::OK, &json!({ "id": chat.id })));
            return false;
        }
        let status = match *path {
            "/users/add" | "/chats/add" | "/chats/direct" | "/messages/add" => StatusCode::CREATED,
            "/messages/edit" => StatusCode::OK,
            _ => StatusCode::NO_CONTENT,
        };
        assert_eq!(reply.status, status, "{reply:?}");
        match *path {
            "/users/add" => {
                let (id, username) = (reply.body["id"].clone(), body["username"].clone());
                let created_at = self.times[self.events].clone();
                self.users.push(NaiveUser { id, username, metadata: Value::Null, created_at, edited: 0 });
                true
            }
            "/users/edit" => self.edit_user(body),
            "/chats/add" | "/chats/direct" => {
                self.add_chat(body, reply.body["id"].clone(), *path == "/chats/direct");
                true
            }
            path => self.change_chat(path, body, reply),
        }
    }

    fn edit_user(&mut self, body: &Value) -> bool {
        let position = self.events + 1;
        let user = self.users.iter_mut().find(|user| user.id == body["user"]).expect("a user");
        if !edit([(&mut user.username, &body["username"]), (&mut user.metadata, &body["metadata"])]) {
            return false;
        }
        user.edited = position;
        let data = json!({ "id": user.id });
        self.told.push((Value::Null, StreamedEvent { position, event: "user_edited", data }));
        true
    }

    fn add_chat(&mut self, body: &Value, id: Value, is_direct: bool) {
        let mut users: Vec<Value> = Vec::new();
        for user in body["users"].as_array().expect("a list") {
            if !users.contains(user) {
                users.push(user.clone());
            }
        }
        let last_event = self.events + 1;
        self.told.extend(users.iter().map(|user| {
            let data = json!({ "id": id });
            (user.clone(), StreamedEvent { position: last_event, event: "chat", data })
        }));
        self.chats.push(NaiveChat {
            id,
            name: body["name"].clone(),
            is_direct,
            metadata: Value::Null,
            users,
            created_at: self.times[self.events].clone(),
            messages: Vec::new(),
            marks: Vec::new(),
            last_event,
            edited: 0,
        });
    }

    fn change_chat(&mut self, path: &str, body: &Value, reply: &Reply) -> bool {
        let position = self.events + 1;
        // Without an event, there is no time.
        let at = self.times.get(self.events).cloned().unwrap_or_default();
        let told = &mut self.told;
        let mut tell = |users: &[Value], event: &'static str, data: &Value| {
            let event = StreamedEvent { position, event, data: data.clone() };
            told.extend(users.iter().map(|user| (user.clone(), event.name())));
        };
        let chat = self.chats.iter_mut().find(|chat| chat.id == body["chat"]).expect("a chat");
        let (user, seq) = (&body["user"], &body["seq"]);
        let message = index_of(seq).and_then(|index| chat.messages.get_mut(index));
        match (path, message) {
            ("/messages/add", _) => {
                chat.last_event = position;
                let mut message = json!({
                    "id": reply.body["id"], "chat": chat.id, "author": body["author"], "text": body["text"],
                    "created_at": at, "seq": chat.messages.len() + 1,
                });
                assert_eq!((&reply.body["created_at"], &reply.body["seq"]), (&at, &message["seq"]));
                set(&mut message, "reply_to", body["reply_to"].clone());
                set(&mut message, "metadata", present(&body["metadata"]));
                tell(&chat.users, "message", &message);
                chat.messages.push(NaiveMessage::new(position, message));
                true
            }
            ("/messages/edit", Some(message)) => {
                let changed = message.edit(position, &at, body);
                let edited_at = message.now().get("edited_at");
                assert_eq!(reply.body, json!({ "edited_at": edited_at }));
                if changed {
                    tell(&chat.users, "message_edited", message.now());
                }
                changed
            }
            ("/messages/delete", Some(message)) => {
                let is_first = !message.is_deleted();
                if is_first {
                    message.delete(position, &at);
                    tell(&chat.users, "message_deleted", message.now());
                }
                is_first
            }
            ("/messages/reactions/add", Some(message)) => {
                let emoji = &body["emoji"];
                let is_new = message.reaction(user, emoji).is_none();
                if is_new {
                    let (user, emoji) = (user.clone(), emoji.clone());
                    message.react(NaiveReaction { user, emoji, created_at: at, position });
                    tell(&chat.users, "reaction", body);
                }
                if !self.emoji.contains(emoji) {
                    self.emoji.push(emoji.clone());
                }
                is_new
            }
            ("/messages/reactions/remove", Some(message)) => {
                let was_there = message.reaction(user, &body["emoji"]).is_some();
                if was_there {
                    message.take_back(position, user, &body["emoji"]);
                    tell(&chat.users, "reaction_removed", body);
                }
                was_there
            }
            ("/chats/edit", _) => {
                let changed =
                    edit([(&mut chat.name, &body["name"]), (&mut chat.metadata, &body["metadata"])]);
                if changed {
                    chat.edited = position;
                    tell(&chat.users, "chat_edited", &json!({ "id": chat.id }));
                }
                changed
            }
            ("/chats/users/add", _) => {
                let is_new = !chat.users.contains(user);
                if is_new {
                    tell(&chat.users, "member", body);
                    tell(std::slice::from_ref(user), "chat", &json!({ "id": chat.id }));
                    chat.users.push(user.clone());
                }
                is_new
            }
            ("/chats/users/remove", _) => {
                let was_member = chat.users.contains(user);
                if was_member {
                    tell(&chat.users, "member_removed", body);
                    self.left.push((position, chat.id.clone(), user.clone()));
                    chat.users.retain(|member| member != user);
                }
                was_member
            }
            ("/chats/read", _) => {
                let seq = usize::try_from(seq.as_u64().expect("a number")).expect("small");
                let moves = seq > chat.mark(user);
                if moves {
                    tell(&chat.users, "read", body);
                    chat.marks.push((user.clone(), seq));
                }
                moves
            }
            (other, _) => unreachable!("no write goes to {other}"),
        }
    }

    pub(super) fn chats_of(&self, user: &Value) -> Vec<&NaiveChat> {
        let mut chats: Vec<_> = self.chats.iter().filter(|chat| chat.users.contains(user)).collect();
        chats.sort_by_key(|chat| Reverse((!chat.messages.is_empty(), chat.last_event)));
        chats
    }
}

/// Sets a name and metadata to those that are given. Returns whether that changes anything.
fn edit([name, metadata]: [(&mut Value, &Value); 2]) -> bool {
    let new = (
        if name.1.is_null() { name.0.clone() } else { name.1.clone() },
        if metadata.1.is_null() { metadata.0.clone() } else { present(metadata.1) },
    );
    let changes = (&*name.0, &*metadata.0) != (&new.0, &new.1);
    (*name.0, *metadata.0) = new;
    changes
}

/// Returns the values of a request that an idempotency key holds on to.
fn values(Request { path, body, .. }: &Request) -> Value {
    let mut values = body.clone();
    if *path == "/chats/direct" {
        // The order of the two does not count.
        values["users"].as_array_mut().expect("a list").sort_by_key(Value::to_string);
    }
    values
}
