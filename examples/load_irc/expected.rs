//! The state that the server must return for a chat, computed from the conversation as simply as possible.

use std::collections::HashMap;

use super::corpus::{Action, Chat, Step, is_storable};

/// A chat after its last step. Users are indices.
pub(super) struct ExpectedChat<'a> {
    pub(super) name: &'a str,
    /// Members in the order of joining.
    pub(super) members: Vec<usize>,
    /// Author and text of each message.
    pub(super) messages: Vec<(usize, &'a str)>,
    /// Number of messages that each user has read.
    marks: HashMap<usize, usize>,
}

impl<'a> ExpectedChat<'a> {
    pub(super) fn of(chat: &'a Chat) -> Self {
        let (mut members, mut messages, mut marks) = (chat.founders.clone(), Vec::new(), HashMap::new());
        for Step { user, action, .. } in &chat.steps {
            match action {
                Action::Join | Action::ImpliedJoin if members.contains(user) => {}
                Action::Join | Action::ImpliedJoin => members.push(*user),
                Action::Leave => members.retain(|member| member != user),
                // Marks only move forward, and so do the steps.
                Action::Read(_) => drop(marks.insert(*user, messages.len())),
                Action::Say(text) if is_storable(text) => messages.push((*user, text.as_str())),
                Action::Say(_) => {}
            }
        }
        Self { name: &chat.name, members, messages, marks }
    }

    /// Returns the number of messages of others after this user's read mark.
    pub(super) fn unread(&self, user: usize) -> usize {
        let mark = self.marks.get(&user).copied().unwrap_or(0);
        self.messages[mark..].iter().filter(|(author, _)| *author != user).count()
    }
}
