//! The requests of steps.

use chinwag::domain::Actor;
use serde_json::{Value, json};

use super::message::NaiveMessage;
use super::naive::{Naive, REVOKE};
use super::{At, By, NewMessage, Request, Revocation, Step, Write};

pub(super) const NOBODY: &str = "00000000-0000-7000-8000-000000000000";
const NOBODY_ELSE: &str = "00000000-0000-7000-8000-000000000001";

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
                let (key, revocation) = (key.map(|key| format!("key-{key}")), self.revocation(write));
                Some(Request { path, body, key, revocation })
            }
            Step::Retry { number } => {
                self.keyed.get(usize::from(*number)).map(|(request, _)| request.clone())
            }
            Step::Restart => None,
        }
    }

    fn write(&self, write: &Write) -> (&'static str, Value) {
        let (user, chat) = (|number: &u8| self.user_id(*number), |number: &u8| self.chat_id(*number));
        let in_chat = |number: &u8, who: &u8| json!({ "chat": chat(number), "user": user(who) });
        let reaction = |at: &At, user: Value, emoji: &Value| json!({ "chat": chat(&at.chat), "seq": self.seq(at), "user": user, "emoji": emoji });
        let emoji = |number: u8| json!(["👍", "+1", "a", "🤫"][usize::from(number)]);
        match write {
            Write::AddUser { name } => ("/users/add", json!({ "username": format!("user {name}") })),
            Write::EditUser { user: who, username, metadata: new } => {
                let username = username.map(|name| format!("user {name}"));
                (
                    "/users/edit",
                    json!({ "user": user(who), "username": username, "metadata": metadata(*new) }),
                )
            }
            Write::AddChat { name, users } => {
                let users: Vec<_> = users.iter().map(user).collect();
                ("/chats/add", json!({ "name": name.map(|name| format!("chat {name}")), "users": users }))
            }
            Write::AddDirectChat { users } => {
                let [one, mut other] = users.each_ref().map(user);
                if one == other {
                    other = json!(NOBODY_ELSE);
                }
                ("/chats/direct", json!({ "users": [one, other] }))
            }
            Write::EditChat { chat: number, name, metadata: new } => {
                let name = name.map(|name| format!("chat {name}"));
                ("/chats/edit", json!({ "chat": chat(number), "name": name, "metadata": metadata(*new) }))
            }
            Write::AddMessage(message) => ("/messages/add", self.new_message(message)),
            Write::AddMessages(messages) => {
                let messages: Vec<_> = messages.iter().map(|message| self.new_message(message)).collect();
                ("/messages/batch", json!({ "messages": messages }))
            }
            Write::EditMessage { at, by, text, metadata: new } => {
                let mut body = self.change_by(at, by);
                body["text"] = json!(text.map(|text| format!("text {text}")));
                body["metadata"] = metadata(*new);
                ("/messages/edit", body)
            }
            Write::DeleteMessage { at, by } => ("/messages/delete", self.change_by(at, by)),
            Write::AddReaction { at, user: who, emoji: number } => {
                ("/messages/reactions/add", reaction(at, user(who), &emoji(*number)))
            }
            Write::RemoveReaction { at, reaction: number } => {
                let there = self.message(at).and_then(|message| named(message.reactions(), *number));
                let body = match there {
                    Some(there) => reaction(at, there.user.clone(), &there.emoji),
                    None => reaction(at, user(number), &emoji(0)),
                };
                ("/messages/reactions/remove", body)
            }
            Write::Join { chat, user } => ("/chats/users/add", in_chat(chat, user)),
            Write::Leave { chat, user } => ("/chats/users/remove", in_chat(chat, user)),
            Write::Read { at, user } => {
                let mut body = in_chat(&at.chat, user);
                body["seq"] = json!(self.seq(at));
                ("/chats/read", body)
            }
            Write::Revoke { user: who, .. } => (REVOKE, json!({ "user": user(who) })),
        }
    }

    fn user_id(&self, number: u8) -> Value {
        named(&self.users, number).map_or(json!(NOBODY), |user| user.id.clone())
    }

    fn chat_id(&self, number: u8) -> Value {
        named(&self.chats, number).map_or(json!(NOBODY), |chat| chat.id.clone())
    }

    fn seq(&self, &At { chat, percent }: &At) -> usize {
        let last = named(&self.chats, chat).map_or(0, |chat| chat.messages.len());
        let percent = usize::from(percent);
        if percent > 100 { last + percent - 100 } else { (last * percent).div_ceil(100) }
    }

    fn message(&self, at: &At) -> Option<&NaiveMessage> {
        named(&self.chats, at.chat)?.message(&json!(self.seq(at)))
    }

    fn new_message(&self, NewMessage { chat, author, text, reply_to, metadata: new }: &NewMessage) -> Value {
        let reply_to = reply_to.map(|percent| self.seq(&At { chat: *chat, percent }));
        json!({
            "chat": self.chat_id(*chat), "author": self.user_id(*author), "text": text, "reply_to": reply_to,
            "metadata": metadata(*new),
        })
    }

    /// Returns the request to change a message, without the change.
    fn change_by(&self, at: &At, by: &By) -> Value {
        let user = match by {
            By::Author => self.message(at).map_or(json!(NOBODY), |message| message.author().clone()),
            By::User(number) => self.user_id(*number),
            By::Application => Value::Null,
        };
        json!({ "chat": self.chat_id(at.chat), "seq": self.seq(at), "user": user })
    }

    /// Returns the one who sends a revocation: nobody who is known, a server key or a user.
    fn revocation(&self, write: &Write) -> Option<Revocation> {
        let Write::Revoke { from, by, .. } = write else { return None };
        let by = match (by % 4, named(&self.users, *by)) {
            (0, _) | (_, None) => Actor::Unknown,
            (1, _) => Actor::Key("backend".into()),
            (_, Some(user)) => Actor::User(user.id.as_str().expect("an id").parse().expect("an id")),
        };
        Some(Revocation { by, from: (*from).into() })
    }
}

/// Returns metadata by number, or `null`.
fn metadata(number: Option<u8>) -> Value {
    let all = [json!({}), json!({ "a": 1 }), json!({ "a": "1" }), json!({ "a": 1, "b": [null, "é"] })];
    number.map_or(Value::Null, |number| all[usize::from(number) % all.len()].clone())
}
