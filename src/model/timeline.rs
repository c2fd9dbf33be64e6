//! What happened in a chat besides messages: who came, who went, and who has read how far.

use super::directory::UserIndex;
use crate::domain::{Position, Seq};

/// What happened in a chat at some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// This message was sent.
    Message(Seq),
    /// This user was put into the chat; not at its making.
    Joined(UserIndex),
    /// This user was taken out of it.
    Left(UserIndex),
    /// This user has now read it up to here.
    Read(UserIndex, Seq),
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    position: Position,
    user: UserIndex,
    kind: Kind,
    /// Of [`Kind::Read`]; else 0.
    seq: Seq,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Joined,
    Left,
    Read,
}

impl Timeline {
    pub(super) fn joined(&mut self, position: Position, user: UserIndex) {
        self.0.push(Entry { position, user, kind: Kind::Joined, seq: Seq(0) });
    }

    pub(super) fn left(&mut self, position: Position, user: UserIndex) {
        self.0.push(Entry { position, user, kind: Kind::Left, seq: Seq(0) });
    }

    pub(super) fn read(&mut self, position: Position, user: UserIndex, seq: Seq) {
        self.0.push(Entry { position, user, kind: Kind::Read, seq });
    }

    /// The first that happened after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<(Position, Happening)> {
        let &Entry { position, user, kind, seq } =
            self.0.get(self.0.partition_point(|entry| entry.position <= position))?;
        let happening = match kind {
            Kind::Joined => Happening::Joined(user),
            Kind::Left => Happening::Left(user),
            Kind::Read => Happening::Read(user, seq),
        };
        Some((position, happening))
    }
}
