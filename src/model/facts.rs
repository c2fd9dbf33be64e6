//! What a decision may ask of a model.

use super::Model;
use crate::domain::{ChatId, Facts, Seq, UserId};

impl Facts for Model {
    fn user_exists(&self, user: UserId) -> bool {
        self.user(user).is_some()
    }

    fn username_taken(&self, username: &str) -> bool {
        self.user_named(username).is_some()
    }

    fn chat_exists(&self, chat: ChatId) -> bool {
        self.chat(chat).is_some()
    }

    fn chat_name_taken(&self, name: &str) -> bool {
        self.directory.chat_name_taken(name)
    }

    fn is_member(&self, chat: ChatId, user: UserId) -> bool {
        self.pair(chat, user).is_some_and(|(chat, user)| Self::is_member(self, chat, user))
    }

    fn last_seq(&self, chat: ChatId) -> Seq {
        self.chat(chat).map_or(Seq(0), |chat| Self::last_seq(self, chat))
    }

    fn read_mark(&self, chat: ChatId, user: UserId) -> Seq {
        self.pair(chat, user).map_or(Seq(0), |(chat, user)| Self::read_mark(self, chat, user))
    }
}
