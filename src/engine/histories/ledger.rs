//! The ledger of a history: what was submitted, and how it was answered.

use std::collections::HashMap;

use crate::domain::{ChatId, Command, IdempotencyKey, Refusal, UserId};
use crate::engine::{Accepted, SubmitError};
use crate::model::{Model, Outcome, Receipt};

/// A command that was acknowledged.
struct Acknowledged {
    command: Command,
    key: Option<IdempotencyKey<'static>>,
    receipt: Receipt,
}

/// What was submitted, and how it was answered.
#[derive(Default)]
pub(super) struct Ledger {
    acknowledged: Vec<Acknowledged>,
    /// The texts of the messages that were submitted, and whether each may be in the log.
    texts: HashMap<String, bool>,
    pub(super) users: Vec<UserId>,
    pub(super) chats: Vec<ChatId>,
}

impl Ledger {
    /// Notes a command before it is submitted.
    pub(super) fn submit(&mut self, command: &Command) {
        if let Command::AddMessage(message) = command {
            self.texts.entry(message.text.to_string()).or_insert(false);
        }
    }

    /// Notes an answer. Returns an error if it cannot be right.
    pub(super) fn note(
        &mut self,
        command: &Command,
        key: Option<&IdempotencyKey<'static>>,
        answer: Result<&Accepted, &SubmitError>,
    ) -> Result<(), String> {
        let may_be_in_the_log = !matches!(answer, Err(SubmitError::Unavailable | SubmitError::StorageFull));
        if let (Command::AddMessage(message), true) = (command, may_be_in_the_log) {
            self.texts.insert(message.text.to_string(), true);
        }
        match answer {
            Ok(Accepted { receipt, .. }) => {
                match receipt.outcome {
                    Outcome::User(user) if !self.users.contains(&user) => self.users.push(user),
                    Outcome::Chat(chat) if !self.chats.contains(&chat) => self.chats.push(chat),
                    Outcome::User(_)
                    | Outcome::Chat(_)
                    | Outcome::Message(_)
                    | Outcome::Messages(_)
                    | Outcome::TokensFrom(_)
                    | Outcome::Done => {}
                }
                let key = key.cloned();
                self.acknowledged.push(Acknowledged {
                    command: command.clone(),
                    key,
                    receipt: receipt.clone(),
                });
                Ok(())
            }
            // What was acknowledged by any server is there for all of them.
            Err(SubmitError::Refused(Refusal::UserNotFound { user, .. })) if self.users.contains(user) => {
                Err(format!("{command:?} was refused, although user {user} was acknowledged"))
            }
            Err(SubmitError::Refused(Refusal::ChatNotFound { chat })) if self.chats.contains(chat) => {
                Err(format!("{command:?} was refused, although chat {chat} was acknowledged"))
            }
            Err(SubmitError::Failed | SubmitError::ShuttingDown | SubmitError::Overloaded) => {
                Err(format!("{command:?} was answered {answer:?}"))
            }
            Err(_) => Ok(()),
        }
    }

    /// Checks that a model holds all that was acknowledged, and nothing that was not submitted.
    pub(super) fn check(&self, model: &Model) -> Result<(), String> {
        for Acknowledged { command, key, receipt } in &self.acknowledged {
            let is_there = match (&receipt.outcome, command) {
                (Outcome::User(user), Command::AddUser { username }) => {
                    model.user(*user).is_some_and(|user| *model.user_view(user).username == **username)
                }
                (Outcome::Chat(chat), Command::AddChat { .. }) => model.chat(*chat).is_some(),
                (Outcome::Message(sent), Command::AddMessage(message)) => {
                    let chat =
                        model.chat(message.chat).ok_or("a chat with an acknowledged message is lost")?;
                    model.newest_seq(chat) >= sent.seq
                        && model.message_at(chat, sent.seq).messages().next().is_some_and(|found| {
                            (found.id, found.author, found.text) == (sent.id, message.author, &*message.text)
                        })
                }
                (Outcome::Done, _) => true,
                (outcome, command) => return Err(format!("{command:?} was answered {outcome:?}")),
            };
            if !is_there {
                return Err(format!("{command:?} was acknowledged with {receipt:?}, and is not there"));
            }
            let recalled = key.as_ref().map(|key| model.recall(key, command));
            if recalled.as_ref().is_some_and(|recalled| *recalled != Some(Ok(receipt.clone()))) {
                return Err(format!(
                    "{command:?} was answered {receipt:?} under a key, and then {recalled:?}"
                ));
            }
        }
        self.check_texts(model)
    }

    fn check_texts(&self, model: &Model) -> Result<(), String> {
        let mut found = HashMap::new();
        for &chat in &self.chats {
            let chat = model.chat(chat).ok_or("an acknowledged chat is lost")?;
            for seq in 1..=model.newest_seq(chat).0 {
                let run = model.message_at(chat, crate::domain::Seq(seq));
                let text = run.messages().next().expect("a run of one").text.to_owned();
                if self.texts.get(&text) != Some(&true) {
                    return Err(format!(
                        "{text:?} is there, and was never submitted, or was answered as not stored"
                    ));
                }
                *found.entry(text).or_insert(0) += 1;
            }
        }
        match found.iter().find(|(_, times)| **times > 1) {
            Some((text, times)) => Err(format!("{text:?} is there {times} times")),
            None => Ok(()),
        }
    }
}
