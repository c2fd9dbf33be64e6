//! Lists the read marks of a chat without stalling the writer, even if there are very many.

use super::Engine;
use crate::domain::{Seq, UserId};
use crate::model::ChatIndex;

/// Maximum marks that are looked at while the lock is held once. That takes some hundred microseconds.
const LOOKS_MAX: usize = 1024;

impl Engine {
    /// Returns the read marks of those members of the chat who have read something.
    ///
    /// **Invariant:** a reader never stalls the writer. Many marks are looked at part by part.
    #[must_use]
    pub fn read_marks(&self, chat: ChatIndex) -> Vec<(UserId, Seq)> {
        let (mut marks, mut next) = self.read(|model| model.read_marks_after(chat, None, LOOKS_MAX));
        while next.is_some() {
            let more;
            (more, next) = self.read(|model| model.read_marks_after(chat, next, LOOKS_MAX));
            marks.extend(more);
        }
        marks
    }
}
