//! What a batch has decided so far, on top of the model.
//!
//! **Invariant:** a batch is decided against the model plus its own draft. If the log refuses the batch, the draft
//! is dropped and nothing has happened: there is no roll-back.

use std::collections::HashSet;

use crate::domain::{ChatId, Event, Facts, UserId};
use crate::model::Model;

/// The draft holds names only: an id that this batch has made was not answered yet, so no command can name it.
pub(super) struct Draft<'m> {
    model: &'m Model,
    usernames: HashSet<Box<str>>,
    chat_names: HashSet<Box<str>>,
}

impl<'m> Draft<'m> {
    pub(super) fn on(model: &'m Model) -> Self {
        Self { model, usernames: HashSet::new(), chat_names: HashSet::new() }
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::UserAdded { username, .. } => {
                self.usernames.insert(username.as_ref().into());
            }
            Event::ChatAdded { name, .. } => {
                self.chat_names.insert(name.as_ref().into());
            }
            Event::MessageAdded { .. } => {}
        }
    }
}

impl Facts for Draft<'_> {
    fn user_exists(&self, user: UserId) -> bool {
        self.model.user(user).is_some()
    }

    fn username_taken(&self, username: &str) -> bool {
        self.usernames.contains(username) || self.model.username_taken(username)
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.model.chat(chat).is_some()
    }

    fn chat_name_taken(&self, name: &str) -> bool {
        self.chat_names.contains(name) || self.model.chat_name_taken(name)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        match (self.model.chat(chat), self.model.user(user)) {
            (Some(chat), Some(user)) => self.model.is_member(chat, user),
            (None, _) | (_, None) => false,
        }
    }
}
