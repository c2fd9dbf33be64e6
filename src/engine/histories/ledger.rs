//! The ledger of a history: what was submitted, and how it was answered.

use std::collections::HashMap;

use crate::domain::{ChatId, Command, Facts, IdempotencyKey, Metadata, Reaction, Refusal, Seq, UserId};
use crate::engine::{Accepted, SubmitError};
use crate::model::{ChatIndex, Model, Outcome, Receipt};

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
    /// The texts, metadata and emoji that were submitted, and whether each may be in the log.
    texts: HashMap<String, bool>,
    /// The reactions whose end was submitted.
    ended: Vec<Reaction>,
    pub(super) users: Vec<UserId>,
    pub(super) chats: Vec<ChatId>,
    pub(super) messages: Vec<(ChatId, Seq, UserId)>,
    pub(super) reactions: Vec<Reaction>,
}

/// Returns the texts, the metadata and the emoji of a command. Each is that of one command only.
#[expect(clippy::wildcard_enum_match_arm, reason = "a name may be that of several commands")]
fn texts_of(command: &Command) -> Vec<&str> {
    match command {
        Command::AddMessage(message) => {
            let metadata = message.with.as_ref().and_then(|with| with.metadata.as_ref().map(Metadata::json));
            [Some(&*message.text), metadata].into_iter().flatten().collect()
        }
        Command::EditMessage(edit) => {
            [edit.text.as_deref(), edit.metadata.as_ref().map(Metadata::json)].into_iter().flatten().collect()
        }
        Command::AddReaction(reaction) => vec![&reaction.emoji],
        Command::EditChat { metadata, .. } | Command::EditUser { metadata, .. } => {
            metadata.iter().map(Metadata::json).collect()
        }
        _ => Vec::new(),
    }
}

impl Ledger {
    /// Notes a command before it is submitted.
    pub(super) fn submit(&mut self, command: &Command) {
        for text in texts_of(command) {
            self.texts.entry(text.to_owned()).or_insert(false);
        }
        if let Command::RemoveReaction(reaction) = command {
            self.ended.push((**reaction).clone());
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
        if may_be_in_the_log {
            self.texts.extend(texts_of(command).into_iter().map(|text| (text.to_owned(), true)));
        }
        match answer {
            Ok(Accepted { receipt, .. }) => {
                match (&receipt.outcome, command) {
                    (Outcome::User(user), _) if !self.users.contains(user) => self.users.push(*user),
                    (Outcome::Chat(chat) | Outcome::ExistingChat(chat), _) if !self.chats.contains(chat) => {
                        self.chats.push(*chat);
                    }
                    (Outcome::Message(sent), Command::AddMessage(message)) => {
                        self.messages.push((message.chat, sent.seq, message.author));
                    }
                    (Outcome::Done, Command::AddReaction(reaction)) => {
                        self.reactions.push((**reaction).clone());
                    }
                    _ => {}
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
            Err(SubmitError::Refused(Refusal::MessageNotFound { chat, seq, .. }))
                if self.messages.iter().any(|known| (known.0, known.1) == (*chat, *seq)) =>
            {
                Err(format!("{command:?} was refused, although that message was acknowledged"))
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
                (Outcome::User(user), Command::AddUser { username }) => model
                    .user(*user)
                    .is_some_and(|user| model.user_view(user).username.as_deref() == Some(&**username)),
                (Outcome::Chat(chat), Command::AddChat { .. }) => model.chat(*chat).is_some(),
                (Outcome::Chat(chat) | Outcome::ExistingChat(chat), Command::AddDirectChat { users }) => {
                    model.direct_chat(*users) == Some(*chat)
                }
                (Outcome::Message(sent), Command::AddMessage(message)) => {
                    let chat = chat_with_message(model, message.chat, sent.seq)?;
                    let run = model.message_at(chat, sent.seq);
                    let found = run.messages().next().expect("a run of one");
                    (found.id, found.author) == (sent.id, message.author)
                        && texts_at(model, chat, sent.seq).contains(&message.text.to_string())
                }
                (Outcome::EditedAt(_), Command::EditMessage(edit)) => {
                    let chat = chat_with_message(model, edit.chat, edit.seq)?;
                    let text = edit.text.as_ref().expect("every edit has one");
                    texts_at(model, chat, edit.seq).contains(&text.to_string())
                }
                (Outcome::Done, &Command::DeleteMessage { chat, seq, .. }) => {
                    model.deleted_at(chat_with_message(model, chat, seq)?, seq).is_some()
                }
                (Outcome::Done, Command::AddReaction(reaction)) => {
                    let chat = chat_with_message(model, reaction.chat, reaction.seq)?;
                    has_reaction(model, chat, reaction)
                        || model.deleted_at(chat, reaction.seq).is_some()
                        || self.ended.contains(reaction)
                }
                (Outcome::Done, Command::RemoveReaction(reaction)) => {
                    !has_reaction(model, chat_with_message(model, reaction.chat, reaction.seq)?, reaction)
                }
                (Outcome::Done, Command::EditChat { chat, .. }) => model.chat_metadata(*chat).is_some(),
                (Outcome::Done, Command::EditUser { user, .. }) => model.user_metadata(*user).is_some(),
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
        let mut others = Vec::new();
        for &user in &self.users {
            others.extend(model.user_metadata(user).map(str::to_owned));
        }
        for &id in &self.chats {
            let chat = model.chat(id).ok_or("an acknowledged chat is lost")?;
            others.extend(model.chat_metadata(id).map(str::to_owned));
            for seq in (1..=model.newest_seq(chat).0).map(Seq) {
                for text in texts_at(model, chat, seq) {
                    *found.entry(text).or_insert(0) += 1;
                }
                others.extend(model.message(id, seq).and_then(|message| message.metadata).map(str::to_owned));
                let reactions = model.reactions_after(chat, seq, None, None, usize::MAX);
                others.extend(reactions.iter().map(|reaction| reaction.emoji.to_string()));
            }
        }
        if let Some(text) = found.keys().chain(&others).find(|text| self.texts.get(*text) != Some(&true)) {
            return Err(format!("{text:?} is there, and was never submitted, or was answered as not stored"));
        }
        match found.iter().find(|(_, times)| **times > 1) {
            Some((text, times)) => Err(format!("{text:?} is there {times} times")),
            None => Ok(()),
        }
    }
}

fn chat_with_message(model: &Model, chat: ChatId, seq: Seq) -> Result<ChatIndex, String> {
    let chat = model.chat(chat).filter(|chat| model.newest_seq(*chat) >= seq);
    chat.ok_or_else(|| format!("message {} was acknowledged, and is lost", seq.0))
}

/// Returns all texts that a message has had.
fn texts_at(model: &Model, chat: ChatIndex, seq: Seq) -> Vec<String> {
    let revisions = model.revisions(chat, seq);
    let mut texts: Vec<_> = revisions.iter().map(|revision| revision.text.to_string()).collect();
    let run = model.message_at(chat, seq);
    let present = run.messages().next().expect("a run of one").text;
    // That of a deleted message is empty.
    texts.extend((!present.is_empty()).then(|| present.to_owned()));
    texts
}

fn has_reaction(model: &Model, chat: ChatIndex, Reaction { seq, user, emoji, .. }: &Reaction) -> bool {
    let found = model.reactions_after(chat, *seq, Some(emoji), None, usize::MAX);
    found.iter().any(|reaction| reaction.user == *user)
}
