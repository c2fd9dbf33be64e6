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
        let (mut marks, mut after) = (Vec::new(), None);
        loop {
            let (more, next) = self.read(|model| model.read_marks_after(chat, after, LOOKS_MAX));
            marks.extend(more);
            if next.is_none() {
                return marks;
            }
            after = next;
        }
    }
}
