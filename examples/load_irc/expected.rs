//! What the conversation comes to, as naively as can be: what the server must tell of a chat.

use std::collections::HashMap;

use super::corpus::{Chat, Deed, Step, is_storable};

/// A chat, when all of it has happened. Users are indices.
pub(super) struct ExpectedChat<'a> {
    pub(super) name: &'a str,
    /// In the order of joining.
    pub(super) members: Vec<usize>,
    /// Authors and texts.
    pub(super) messages: Vec<(usize, &'a str)>,
    /// Up to where they have read.
    marks: HashMap<usize, usize>,
}

impl<'a> ExpectedChat<'a> {
    pub(super) fn of(chat: &'a Chat) -> Self {
        let (mut members, mut messages, mut marks) = (chat.founders.clone(), Vec::new(), HashMap::new());
        for Step { user, deed, .. } in &chat.steps {
            match deed {
                Deed::Join | Deed::ImpliedJoin if members.contains(user) => {}
                Deed::Join | Deed::ImpliedJoin => members.push(*user),
                Deed::Leave => members.retain(|member| member != user),
                // Marks only move forward, and so do the steps.
                Deed::Read(_) => drop(marks.insert(*user, messages.len())),
                Deed::Say(text) if is_storable(text) => messages.push((*user, text.as_str())),
                Deed::Say(_) => {}
            }
        }
        Self { name: &chat.name, members, messages, marks }
    }

    /// How many messages others have written since this user has read.
    pub(super) fn unread(&self, user: usize) -> usize {
        let mark = self.marks.get(&user).copied().unwrap_or(0);
        self.messages[mark..].iter().filter(|(author, _)| *author != user).count()
    }
}
