//! Lists the read marks of a chat without stalling the writer, even if there are very many.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Engine;
use crate::domain::{Seq, UserId};
use crate::model::{ChatIndex, Model, UserIndex};

/// Maximum marks that are looked at while the lock is held once. Less than 16 KiB of JSON shows them.
const LOOKS_MAX: usize = 256;

/// The read marks of those members of a chat who have read something, part by part. A part may be empty.
///
/// **Invariant:** a reader never stalls the writer. The lock is held for one part at a time.
#[derive(Clone)]
pub struct ReadMarks {
    model: Arc<RwLock<Model>>,
    chat: ChatIndex,
    /// The user whose mark was looked at last.
    after: Option<UserIndex>,
    is_done: bool,
}

impl Engine {
    /// Returns the read marks of those members of the chat who have read something.
    #[must_use]
    pub fn read_marks(&self, chat: ChatIndex) -> Vec<(UserId, Seq)> {
        ReadMarks::of(&self.model, chat).flatten().collect()
    }
}

impl ReadMarks {
    pub(crate) fn of(model: &Arc<RwLock<Model>>, chat: ChatIndex) -> Self {
        Self { model: Arc::clone(model), chat, after: None, is_done: false }
    }
}

impl Iterator for ReadMarks {
    type Item = Vec<(UserId, Seq)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let (marks, next) = self.model.read().read_marks_after(self.chat, self.after, LOOKS_MAX);
        (self.after, self.is_done) = (next, next.is_none());
        Some(marks)
    }
}

/// The model is not shown: it may be large, and may be locked.
impl fmt::Debug for ReadMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadMarks").field("chat", &self.chat).finish_non_exhaustive()
    }
}
