//! The members of a chat.

use std::sync::Arc;

use crate::domain::UserId;

/// The members of a chat, in the order in which they joined.
///
/// A clone shares all but the last few of them. So a join copies little, even if a reader holds a clone of the
/// members of a large chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    earlier: Vec<Arc<[UserId]>>,
    last: Vec<UserId>,
}

const MEMBERS_PER_PIECE: usize = 512;

impl Members {
    pub(super) fn push(&mut self, user: UserId) {
        if self.last.len() == MEMBERS_PER_PIECE {
            self.earlier.push(std::mem::take(&mut self.last).into());
        }
        self.last.push(user);
    }

    pub(super) fn remove(&mut self, user: UserId) {
        if let Some(at) = self.last.iter().position(|member| *member == user) {
            self.last.remove(at);
        } else if let Some(at) = self.earlier.iter().position(|piece| piece.contains(&user)) {
            let others: Arc<[_]> =
                self.earlier[at].iter().copied().filter(|member| *member != user).collect();
            if others.is_empty() {
                self.earlier.remove(at);
            } else {
                self.earlier[at] = others;
            }
        }
    }

    /// Returns the number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.earlier.iter().map(|piece| piece.len()).sum::<usize>() + self.last.len()
    }

    /// Returns whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.earlier.is_empty() && self.last.is_empty()
    }

    /// Returns the members, in order.
    pub fn iter(&self) -> impl Iterator<Item = UserId> {
        self.pieces().flatten().copied()
    }

    /// Returns the members, in order and in pieces of limited length. No piece is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[UserId]> {
        let pieces = self.earlier.iter().map(|piece| &**piece).chain(std::iter::once(&*self.last));
        // The last one is empty when all of its members have left.
        pieces.filter(|piece| !piece.is_empty())
    }
}

impl FromIterator<UserId> for Members {
    fn from_iter<I: IntoIterator<Item = UserId>>(users: I) -> Self {
        let mut members = Self::default();
        users.into_iter().for_each(|user| members.push(user));
        members.last.shrink_to_fit();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(number: u128) -> UserId {
        Uuid::from_u128(number).into()
    }

    #[test]
    fn members_stay_in_order_and_clones_do_not_change() {
        // Given more members than fit one piece, and a clone.
        let mut members: Members = (0..5_000).map(user).collect();
        let before = members.clone();
        // When every third one leaves, all of some piece among them, and one joins.
        let stays = |number: &u128| !number.is_multiple_of(3) && !(1024..2048).contains(number);
        (0..5_000).filter(|number| !stays(number)).for_each(|number| members.remove(user(number)));
        members.push(user(7_000));
        // Then the others are there in order, and the clone has all.
        let expected: Vec<_> = (0..5_000).filter(stays).chain([7_000]).map(user).collect();
        assert!(members.iter().eq(expected.iter().copied()));
        assert_eq!(members.len(), expected.len());
        assert!(before.iter().eq((0..5_000).map(user)) && before.len() == 5_000);
        // And nothing is left when all have left.
        for member in expected {
            members.remove(member);
        }
        assert!(members.is_empty());
    }

    #[test]
    fn a_join_copies_little_while_members_are_read() {
        let mut members: Members = (0..5_000).map(user).collect();
        let read = members.clone();
        members.push(user(5_000));
        let shared = members.earlier.iter().zip(&read.earlier).filter(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.count(), 9);
    }
}
