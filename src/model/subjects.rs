//! The subject of each event of the log: it leads from a position to what happened there.

use super::directory::{ChatIndex, UserIndex};
use super::pieces::Pieces;
use crate::domain::Position;

/// The user or chat that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The event added this user.
    AddedUser(UserIndex),
    /// The event added this chat.
    AddedChat(ChatIndex),
    /// The event happened in this chat after it was added.
    InChat(ChatIndex),
    /// The event edited or erased this user.
    ChangedUser(UserIndex),
}

/// The subjects of all events. Each takes four bytes: its kind in the upper two bits, and its index in the lower
/// 30. Kind 0 stands for a changed user, whose index is one more here, and zero for an event without a subject.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Subjects(Pieces<u32>);

const KIND_SHIFT: u32 = 30;
const CHANGED_USER: u32 = 0;
const ADDED_USER: u32 = 1;
const ADDED_CHAT: u32 = 2;
const IN_CHAT: u32 = 3;

impl Subjects {
    /// Adds the subject of the next event.
    pub(super) fn push(&mut self, subject: Option<Subject>) {
        self.0.push(match subject {
            None => 0,
            Some(Subject::AddedUser(user)) => packed(ADDED_USER, user.to_u32()),
            Some(Subject::AddedChat(chat)) => packed(ADDED_CHAT, chat.to_u32()),
            Some(Subject::InChat(chat)) => packed(IN_CHAT, chat.to_u32()),
            Some(Subject::ChangedUser(user)) => packed(CHANGED_USER, user.to_u32() + 1),
        });
    }

    /// Returns the subject of the event at this position, which must exist.
    pub(super) fn at(&self, position: Position) -> Option<Subject> {
        let number = usize::try_from(position.0 - 1).expect("the log has this event");
        let packed = self.0[number];
        let index = packed & ((1 << KIND_SHIFT) - 1);
        match packed >> KIND_SHIFT {
            ADDED_USER => Some(Subject::AddedUser(UserIndex::from_u32(index))),
            ADDED_CHAT => Some(Subject::AddedChat(ChatIndex::from_u32(index))),
            IN_CHAT => Some(Subject::InChat(ChatIndex::from_u32(index))),
            _ => index.checked_sub(1).map(|user| Subject::ChangedUser(UserIndex::from_u32(user))),
        }
    }
}

fn packed(kind: u32, index: u32) -> u32 {
    assert!(index < 1 << KIND_SHIFT, "memory ends before 2^30 users or chats");
    kind << KIND_SHIFT | index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_leads_to_its_subject() {
        let mut subjects = Subjects::default();
        let pushed = [0, 1, 77, (1 << KIND_SHIFT) - 1].into_iter().flat_map(|index| {
            let (user, chat) = (UserIndex::from_u32(index), ChatIndex::from_u32(index));
            [
                Some(Subject::AddedUser(user)),
                None,
                Some(Subject::AddedChat(chat)),
                Some(Subject::InChat(chat)),
                Some(Subject::ChangedUser(UserIndex::from_u32(index.min((1 << KIND_SHIFT) - 2)))),
            ]
        });
        let pushed: Vec<_> = pushed.collect();
        for subject in &pushed {
            subjects.push(*subject);
        }
        let found: Vec<_> =
            (1..=pushed.len() as u64).map(|position| subjects.at(Position(position))).collect();
        assert_eq!(found, pushed);
    }
}
