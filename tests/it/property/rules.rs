//! The rules, on the naive model: what is refused, and why.

use serde_json::Value;

use super::Request;
use super::message::NaiveMessage;
use super::naive::{Naive, NaiveChat, NaiveUser, REVOKE};

/// The code and the field of a refusal.
type Refused = (&'static str, String);

fn refuse<T>(code: &'static str, field: &str) -> Result<T, Refused> {
    Err((code, field.to_owned()))
}

impl Naive {
    /// Returns the refusal that the rules demand.
    pub(super) fn refusal(&self, Request { path, body, .. }: &Request) -> Option<Refused> {
        let check = match *path {
            "/users/add" => self.check_username(body),
            "/users/edit" => self.find_user(body, "user").and_then(|user| {
                if user.username == body["username"] { Ok(()) } else { self.check_username(body) }
            }),
            "/chats/add" | "/chats/direct" => self.check_new_chat(body),
            "/messages/add" => self.check_message(body, 0),
            "/messages/batch" => self.check_messages(body["messages"].as_array().expect("a list")),
            REVOKE => self.find_user(body, "user").map(drop),
            path => self.find_chat(body).and_then(|chat| self.check_change(chat, path, body)),
        };
        check.err()
    }

    fn find_user(&self, body: &Value, field: &str) -> Result<&NaiveUser, Refused> {
        self.user(&body[field]).map_or_else(|| refuse("user_not_found", field), Ok)
    }

    fn find_chat(&self, body: &Value) -> Result<&NaiveChat, Refused> {
        self.chat(&body["chat"]).map_or_else(|| refuse("chat_not_found", "chat"), Ok)
    }

    fn check_username(&self, body: &Value) -> Result<(), Refused> {
        let is_taken = self.users.iter().any(|user| user.username == body["username"]);
        if is_taken { refuse("username_taken", "username") } else { Ok(()) }
    }

    fn check_chat_name(&self, body: &Value) -> Result<(), Refused> {
        let is_taken = self.chats.iter().any(|chat| chat.name == body["name"]);
        if is_taken && !body["name"].is_null() { refuse("chat_name_taken", "name") } else { Ok(()) }
    }

    fn check_new_chat(&self, body: &Value) -> Result<(), Refused> {
        let users = body["users"].as_array().expect("a list");
        match users.iter().position(|user| self.user(user).is_none()) {
            Some(index) => refuse("user_not_found", &format!("users[{index}]")),
            None => self.check_chat_name(body),
        }
    }

    fn check_messages(&self, messages: &[Value]) -> Result<(), Refused> {
        for (index, message) in messages.iter().enumerate() {
            let before = messages[..index].iter().filter(|before| before["chat"] == message["chat"]).count();
            let check = self.check_message(message, before);
            check.map_err(|(code, field)| (code, format!("messages[{index}].{field}")))?;
        }
        Ok(())
    }

    /// Checks a message that is sent together with others. `before` of them come before it, in the same chat.
    fn check_message(&self, body: &Value, before: usize) -> Result<(), Refused> {
        let chat = self.find_chat(body)?;
        self.find_user(body, "author")?;
        let reply_to = &body["reply_to"];
        let replied = chat.message(reply_to);
        let last = chat.messages.len() as u64;
        let is_sent = reply_to.as_u64().is_some_and(|seq| (last + 1..=last + before as u64).contains(&seq));
        if !reply_to.is_null() && replied.is_none() && !is_sent {
            return refuse("message_not_found", "reply_to");
        }
        check_member(chat, body, "author")?;
        let is_deleted = replied.is_some_and(NaiveMessage::is_deleted);
        if is_deleted { refuse("message_deleted", "reply_to") } else { Ok(()) }
    }

    fn check_change(&self, chat: &NaiveChat, path: &str, body: &Value) -> Result<(), Refused> {
        if path == "/chats/edit" {
            let is_renamed = !body["name"].is_null() && body["name"] != chat.name;
            return match (is_renamed, chat.is_direct) {
                (false, _) => Ok(()),
                (true, true) => refuse("direct_chat", "chat"),
                (true, false) => self.check_chat_name(body),
            };
        }
        let user = &body["user"];
        // Without a user, the application changes a message.
        if !user.is_null() {
            self.find_user(body, "user")?;
        }
        if path.starts_with("/chats/users") {
            return if chat.is_direct { refuse("direct_chat", "chat") } else { Ok(()) };
        }
        if path == "/chats/read" {
            check_member(chat, body, "user")?;
            let is_beyond = body["seq"].as_u64() > Some(chat.messages.len() as u64);
            return if is_beyond { refuse("invalid_field", "seq") } else { Ok(()) };
        }
        let message = chat.message(&body["seq"]).map_or_else(|| refuse("message_not_found", "seq"), Ok)?;
        let is_foreign = !user.is_null() && user != message.author();
        // Only a deletion is possible for an author who has left.
        if !user.is_null() && (path != "/messages/delete" || is_foreign) {
            check_member(chat, body, "user")?;
        }
        if is_foreign && matches!(path, "/messages/edit" | "/messages/delete") {
            return refuse("not_the_author", "user");
        }
        let is_too_late = message.is_deleted() && path != "/messages/delete";
        if is_too_late { refuse("message_deleted", "seq") } else { Ok(()) }
    }
}

fn check_member(chat: &NaiveChat, body: &Value, field: &str) -> Result<(), Refused> {
    if chat.users.contains(&body[field]) { Ok(()) } else { refuse("not_a_member", field) }
}
