//! Receipts: the results of requests. A retry under the same key gets the receipt of the first request.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Model;
use super::directory::ChatIndex;
use super::keys::{Created, KeyReused, Recalled};
use crate::domain::{
    ChatId, Command, Facts, IdempotencyKey, MessageId, NewMessage, Position, Seq, Timestamp, UserId,
};

/// The result of a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The position of the write's last event. If the write changed nothing, the last position when the
    /// server found that.
    pub position: Position,
    /// The result of the write.
    pub outcome: Outcome,
}

/// The user, chat or messages that a write created, or the time of its revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A user.
    User(UserId),
    /// A chat.
    Chat(ChatId),
    /// A message.
    Message(SentMessage),
    /// Messages, in the order of the request.
    Messages(Vec<SentMessage>),
    /// The time from which the user's tokens are good, in Unix seconds.
    TokensFrom(u64),
    /// A chat that was there before.
    ExistingChat(ChatId),
    /// The time of the message's last edit, if it was ever edited.
    EditedAt(Option<Timestamp>),
    /// Nothing that has an id.
    Done,
}

/// The id, place and time that the server gave to a message when it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// The message.
    pub id: MessageId,
    /// Its place in its chat.
    pub seq: Seq,
    /// The time at which it was sent.
    pub created_at: Timestamp,
}

impl Model {
    /// Returns the receipt of the earlier request with this key, for this command. Returns `None` if the key
    /// is free.
    #[must_use]
    pub fn recall(&self, key: &IdempotencyKey<'_>, command: &Command) -> Option<Result<Receipt, KeyReused>> {
        let recalled = self.index.keys.recall(key)?;
        Some(recalled.and_then(|recalled| self.receipt(recalled, command).ok_or(KeyReused)))
    }

    /// Returns the receipt of a recalled request, or `None` if the command cannot have created that.
    fn receipt(&self, Recalled { position, created }: Recalled, command: &Command) -> Option<Receipt> {
        let outcome = match created {
            Created::Nothing => match command {
                // Their chat was there, and stays for ever.
                Command::AddDirectChat { users } => Outcome::ExistingChat(Facts::direct_chat(self, *users)?),
                Command::EditMessage(_) => Outcome::EditedAt(None),
                Command::AddUser { .. }
                | Command::AddChat { .. }
                | Command::AddMessage(_)
                | Command::AddMessages(_)
                | Command::AddMember { .. }
                | Command::RemoveMember { .. }
                | Command::MarkRead { .. }
                | Command::RevokeTokens { .. }
                | Command::DeleteMessage { .. }
                | Command::AddReaction(_)
                | Command::RemoveReaction(_)
                | Command::EditChat { .. }
                | Command::EditUser { .. }
                | Command::EraseUser { .. } => Outcome::Done,
            },
            Created::TokensFrom(from) => Outcome::TokensFrom(from),
            Created::EditedAt(time) => Outcome::EditedAt(Some(time)),
            Created::User(user) => Outcome::User(self.user_id(user)),
            Created::Chat(chat) => Outcome::Chat(self.chat_id(chat)),
            Created::Message { chat, seq } => {
                let last = self.sent(chat, seq);
                if let Command::AddMessages(messages) = command {
                    Outcome::Messages(self.sent_together(messages, last.created_at)?)
                } else {
                    Outcome::Message(last)
                }
            }
        };
        Some(Receipt { position, outcome })
    }

    fn sent(&self, chat: ChatIndex, seq: Seq) -> SentMessage {
        let run = self.run_at(chat, seq);
        let message = run.messages().next().expect("a run is never empty");
        SentMessage { id: message.id, seq, created_at: message.created_at }
    }

    /// Finds messages that were sent together. The last of them was sent at `last_sent`. The search goes from
    /// the last message to the first: each one is the latest message of its chat, sent by then, that is not
    /// found yet.
    fn sent_together(&self, messages: &[NewMessage], last_sent: Timestamp) -> Option<Vec<SentMessage>> {
        let mut latest = HashMap::new();
        let sent_before = |message: &NewMessage| {
            let chat = self.chat(message.chat)?;
            let history = self.histories.of(chat);
            let seq = latest.entry(chat).or_insert_with(|| history.last_until(last_sent));
            let before = seq.0.checked_sub(1)?;
            let sent = self.sent(chat, *seq);
            *seq = Seq(before);
            Some(sent)
        };
        let mut sent: Vec<_> = messages.iter().rev().map(sent_before).collect::<Option<_>>()?;
        sent.reverse();
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, Event, Record, Text};

    #[test]
    fn a_key_whose_request_contradicts_the_log_counts_as_reused() {
        // Given an imported log in which one message stands for a request for two.
        let [user, chat, id] = [1, 2, 3].map(Uuid::from_u128);
        let text = |text: &str| Text::try_from(text.to_owned()).expect("a text");
        let message =
            |words| NewMessage { chat: chat.into(), author: user.into(), text: text(words), with: None };
        let request = Command::AddMessages(vec![message("a"), message("b")]);
        let key = IdempotencyKey::new("key".to_owned(), &request, &Actor::Unknown).expect("a key");
        let mut model = Model::default();
        let events = [
            Event::UserAdded { id: user.into(), username: "ann".into() },
            Event::ChatAdded { id: chat.into(), name: "tea".into(), users: vec![user.into()] },
            Event::MessageAdded { id: id.into(), chat: chat.into(), author: user.into(), text: "b".into() },
        ];
        let last = events.len() - 1;
        for (number, event) in events.into_iter().enumerate() {
            let time = Timestamp::from_micros(number as u64).expect("in range");
            let key = (number == last).then(|| key.borrowed());
            model.apply(&Record { time, by: Actor::Unknown, key, event });
        }
        // Then a retry of the request is not recognised.
        assert_eq!(model.recall(&key, &request), Some(Err(KeyReused)));
    }
}
