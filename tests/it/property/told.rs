//! The events that streams send, by the naive model.

use serde_json::{Value, json};

use super::naive::{Naive, NaiveChat};
use super::streamed::StreamedEvent;

impl Naive {
    /// Returns the events that the stream of this user may send from the beginning on. A stream that catches up leaves
    /// [some of them](Self::is_left_out) out.
    pub(super) fn told(&self, user: &str) -> Vec<StreamedEvent> {
        let is_told = |(told, _): &&(Value, StreamedEvent)| told.is_null() || *told == user;
        self.told.iter().filter(is_told).map(|(_, told)| told.clone()).collect()
    }

    /// Returns whether the user's stream, if it catches up now, leaves this event out: because a later event says the same
    /// or took it back, because a message has changed since the user left, or because the two users share no chat.
    pub(super) fn is_left_out(
        &self,
        user: &str,
        StreamedEvent { position, event, data }: &StreamedEvent,
    ) -> bool {
        let user = &json!(user);
        if *event == "user_edited" {
            let edited = self.user(&data["id"]).expect("a user");
            let shares = |chat: &NaiveChat| [user, &edited.id].iter().all(|user| chat.users.contains(user));
            return edited.edited != *position || !(edited.id == *user || self.chats.iter().any(shares));
        }
        let chat = self.chat(data.get("chat").unwrap_or(&data["id"])).expect("a chat");
        match (*event, chat.message(&data["seq"])) {
            ("read", _) => data["seq"].as_u64() < Some(chat.mark(&data["user"]) as u64),
            ("chat_edited", _) => chat.edited != *position,
            ("message_deleted", _) | (_, None) => false,
            (_, Some(message)) => {
                let left = self.left_after(*position, chat, user);
                let is_overtaken = match *event {
                    "message_edited" => message.rewritten != *position,
                    "reaction" => message.reactions().iter().all(|reaction| reaction.position != *position),
                    _ => false,
                };
                is_overtaken || message.changed > left
            }
        }
    }

    /// Returns the position at which the user first left the chat after this one, or one that is never reached.
    fn left_after(&self, position: usize, chat: &NaiveChat, user: &Value) -> usize {
        let is_departure =
            |(left, of, who): &&(usize, Value, Value)| *left > position && *of == chat.id && who == user;
        self.left.iter().find(is_departure).map_or(usize::MAX, |(left, ..)| *left)
    }

    /// Returns whether an event shows the user what there is now, and nothing of a chat's name and metadata that the user
    /// had left before.
    pub(super) fn is_now(&self, user: &str, StreamedEvent { position, event, data }: &StreamedEvent) -> bool {
        if *event == "user_edited" {
            return *data == self.user(&data["id"]).expect("a user").shown();
        }
        let chat = self.chat(data.get("chat").unwrap_or(&data["id"])).expect("a chat");
        let metadata = data.get("metadata").unwrap_or(&Value::Null);
        match (*event, chat.message(&data["seq"])) {
            ("chat", _)
                if !chat.users.contains(&json!(user))
                    && self.left_after(*position, chat, &json!(user)) < chat.edited =>
            {
                data["name"].is_null() && metadata.is_null()
            }
            ("chat" | "chat_edited", _) => (&data["name"], metadata) == (&chat.name, &chat.metadata),
            ("message" | "message_edited", Some(message)) => *data == message.shown(Some(&json!(user))),
            ("reaction" | "reaction_removed", Some(message)) => {
                data["count"] == message.count(&data["emoji"])
            }
            _ => true,
        }
    }

    /// Returns whether the message that an event shows, if it shows one, was ever so.
    pub(super) fn was_once(&self, StreamedEvent { event, data, .. }: &StreamedEvent) -> bool {
        let chat = Some(&data["chat"]).filter(|_| matches!(*event, "message" | "message_edited"));
        let message = chat.and_then(|chat| self.chat(chat)?.message(&data["seq"]));
        message.is_none_or(|message| message.was_shown(data))
    }
}
