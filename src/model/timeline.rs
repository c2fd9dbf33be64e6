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
pub(super) struct Timeline(Vec<(Position, Happening)>);

impl Timeline {
    /// Takes in what happened, later than all before.
    pub(super) fn push(&mut self, position: Position, happening: Happening) {
        self.0.push((position, happening));
    }

    /// The first that happened after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<(Position, Happening)> {
        self.0.get(self.0.partition_point(|(at, _)| *at <= position)).copied()
    }
}
