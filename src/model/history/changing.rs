//! Changes of a chat's messages: edits, deletions, reactions, and the erasure of a user.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ChatHistory, chunk_number, chunk_of};
use crate::domain::{Deletion, ErasedMessages, Metadata, Position, Seq, Timestamp};
use crate::model::addition::MessageChange;
use crate::model::chunk::Chunk;
use crate::model::directory::UserIndex;
use crate::model::extras::{Changes, EmojiIndex, EmojiTable, Extras, Reacted, Revision};
use crate::model::timeline::{ChatEvent, Timeline, TimelineEntry};

/// The erasure of a user, in one chat.
pub(in crate::model) struct UserErasure {
    /// The position of the user's read mark, if there is one.
    pub(in crate::model) mark: Option<Position>,
    pub(in crate::model) position: Position,
    pub(in crate::model) at: Timestamp,
    pub(in crate::model) messages: ErasedMessages,
}

/// Notes that a message is deleted, and removes all of it but its text. Returns whether it was not deleted before.
fn note_deleted(
    changes: &mut Changes,
    timeline: &mut Timeline,
    chunk: &mut Chunk,
    index: usize,
    position: Position,
    (at, deletion): (Timestamp, Deletion),
) -> bool {
    let seq = chunk.seq_of(index);
    if deletion == Deletion::Erased {
        changes.forget_revisions(seq);
    }
    if let Some((deleted_at, _)) = chunk.extras_of(index).and_then(|extras| extras.deleted) {
        if deletion == Deletion::Erased {
            chunk.extras_mut(index).deleted = Some((deleted_at, deletion));
        }
        return false;
    }
    if deletion == Deletion::Kept {
        keep_revision(changes, chunk, index);
    }
    for (_, _, reacted) in changes.take_all(seq) {
        timeline.remove(reacted.position);
    }
    let none = Extras::default();
    let &Extras { reply_to, rewritten, changed: last_change, .. } = chunk.extras_of(index).unwrap_or(&none);
    timeline.remove(rewritten);
    changes.note(seq, last_change, position);
    let deleted = Some((at, deletion));
    let left = Extras { reply_to, deleted, rewritten: position, changed: position, ..Extras::default() };
    chunk.set_extras(index, left);
    true
}

/// Keeps the present text of a message, which is about to change.
fn keep_revision(changes: &mut Changes, chunk: &Chunk, index: usize) {
    let message = chunk.message(index);
    let edited_at = message.extras.and_then(|extras| extras.edited_at);
    let metadata = message.extras.and_then(|extras| extras.metadata.clone());
    // A text that was erased from the log is empty.
    if !message.text.is_empty() {
        let (text, at) = (message.text.into(), edited_at.unwrap_or(message.created_at));
        changes.keep(message.seq, Revision { text, metadata, at });
    }
}

impl ChatHistory {
    /// Adds what the last message is besides its text.
    pub(in crate::model) fn add_extras_to_last(&mut self, reply_to: Option<Seq>, metadata: Option<&str>) {
        let chunk = Arc::make_mut(self.chunks.last_mut().expect("a message was pushed"));
        let extras = chunk.extras_mut(chunk.index_of(chunk.last()));
        extras.reply_to = reply_to;
        extras.metadata = metadata.and_then(Metadata::present).map(Arc::from);
    }

    /// Edits a message. One that is deleted stays as it is.
    pub(in crate::model) fn edit(
        &mut self,
        change: MessageChange,
        text: Option<&str>,
        metadata: Option<&str>,
    ) {
        let MessageChange { seq, position, at, .. } = change;
        let number = self.chunk_of(seq);
        let is_open = number + 1 == self.chunks.len();
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        let index = chunk.index_of(seq);
        if chunk.is_deleted(index) {
            return;
        }
        let changes = self.changes.get_or_insert_default();
        keep_revision(changes, chunk, index);
        if let Some(text) = text {
            chunk.rewrite(index, text);
            if !is_open {
                chunk.shrink_text();
            }
        }
        let extras = chunk.extras_mut(index);
        if let Some(json) = metadata {
            extras.metadata = Metadata::present(json).map(Arc::from);
        }
        extras.edited_at = Some(at);
        let before = std::mem::replace(&mut extras.rewritten, position);
        changes.note(seq, std::mem::replace(&mut extras.changed, position), position);
        self.timeline.push(TimelineEntry { position, event: ChatEvent::Edited(seq) }, Some(before));
    }

    /// Deletes a message. One that is deleted already may be erased.
    pub(in crate::model) fn delete(&mut self, change: MessageChange, deletion: Deletion) {
        let number = self.chunk_of(change.seq);
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        let index = chunk.index_of(change.seq);
        let author = chunk.author_of(index);
        let changes = self.changes.get_or_insert_default();
        let MessageChange { position, at, .. } = change;
        if !note_deleted(changes, &mut self.timeline, chunk, index, position, (at, deletion)) {
            return;
        }
        chunk.remove_texts(&[index]);
        changes.deleted.add(number, 1);
        if let Some(own) = self.authors.get_mut(&author) {
            own.forget(chunk_number(number), change.seq);
        }
        let event = ChatEvent::Deleted(change.seq);
        self.timeline.push(TimelineEntry { position: change.position, event }, None);
    }

    pub(in crate::model) fn react(
        &mut self,
        change: MessageChange,
        user: UserIndex,
        emoji: EmojiIndex,
        text: &Arc<str>,
    ) {
        let MessageChange { seq, position, at, .. } = change;
        let number = self.chunk_of(seq);
        let chunk = &self.chunks[number];
        if chunk.is_deleted(chunk.index_of(seq)) {
            return;
        }
        let changes = self.changes.get_or_insert_default();
        if changes.react(seq, emoji, user, Reacted { at, position }) {
            let chunk = Arc::make_mut(&mut self.chunks[number]);
            let extras = chunk.extras_mut(chunk.index_of(seq));
            extras.count_reaction(text);
            changes.note(seq, std::mem::replace(&mut extras.changed, position), position);
            let event = ChatEvent::Reacted { seq: seq.into(), user, emoji };
            self.timeline.push(TimelineEntry { position, event }, None);
        }
    }

    pub(in crate::model) fn take_back(
        &mut self,
        change: MessageChange,
        user: UserIndex,
        emoji: EmojiIndex,
        text: &Arc<str>,
    ) {
        let MessageChange { seq, position, .. } = change;
        let number = self.chunk_of(seq);
        let changes = self.changes.get_or_insert_default();
        if let Some(reacted) = changes.take_back(seq, emoji, user) {
            let chunk = Arc::make_mut(&mut self.chunks[number]);
            let extras = chunk.extras_mut(chunk.index_of(seq));
            extras.uncount_reaction(text);
            changes.note(seq, std::mem::replace(&mut extras.changed, position), position);
            let event = ChatEvent::TookBack { seq: seq.into(), user, emoji };
            self.timeline.push(TimelineEntry { position, event }, Some(reacted.position));
        }
    }

    /// Notes a reaction whose emoji was erased from the log.
    pub(in crate::model) fn note_erased_reaction(&mut self, user: UserIndex, seq: Seq) {
        self.changes.get_or_insert_default().note_erased_reaction(user, seq);
    }

    /// Removes the reactions and the read mark of a user who is erased. Deletes the user's messages if they are to be
    /// erased.
    pub(in crate::model) fn erase(&mut self, user: UserIndex, erasure: &UserErasure, emoji: &EmojiTable) {
        let &UserErasure { mark, position, at, messages } = erasure;
        if let Some(mark) = mark {
            self.timeline.remove(mark);
        }
        let changes = self.changes.get_or_insert_default();
        let taken = changes.take_all_of(user);
        for (_, _, reacted) in &taken {
            self.timeline.remove(reacted.position);
        }
        let mut reacted_to: BTreeSet<Seq> = taken.into_iter().map(|(seq, ..)| seq).collect();
        reacted_to.extend(self.timeline.remove_taken_back(user));
        reacted_to.extend(changes.take_erased_reactions(user));
        for seq in reacted_to {
            let number = chunk_of(&self.chunks, seq);
            let chunk = Arc::make_mut(&mut self.chunks[number]);
            let index = chunk.index_of(seq);
            if chunk.is_deleted(index) {
                continue;
            }
            let extras = chunk.extras_mut(index);
            let counted = changes.counted(seq).into_iter();
            extras.reactions = counted.map(|(index, count)| (Arc::clone(emoji.text(index)), count)).collect();
            changes.note(seq, std::mem::replace(&mut extras.changed, position), position);
        }
        if messages == ErasedMessages::Keep {
            return;
        }
        let mut closed = Vec::new();
        if let Some(own) = self.authors.get_mut(&user) {
            own.up_to_mark = 0;
            for (number, count) in &mut own.up_to_chunk_ends {
                closed.push(*number as usize);
                *count = 0;
            }
        }
        let last = self.chunks.len().checked_sub(1);
        for number in closed.into_iter().chain(last) {
            let chunk = Arc::make_mut(&mut self.chunks[number]);
            let mut indexes = chunk.written_by(user);
            indexes.retain(|&index| {
                let deletion = (at, Deletion::Erased);
                note_deleted(changes, &mut self.timeline, chunk, index, position, deletion)
            });
            chunk.remove_texts(&indexes);
            changes.deleted.add(number, u32::try_from(indexes.len()).expect("a chunk is small"));
        }
    }

    /// Forgets what was replaced up to this time of the earlier texts of a message.
    pub(in crate::model) fn forget_replaced(&mut self, seq: Seq, until: Timestamp) {
        let message = self.message(seq);
        let Some(extras) = message.extras else { return };
        let deleted_at = extras.deleted.map(|(at, _)| at);
        let at = deleted_at.or(extras.edited_at).unwrap_or(message.created_at);
        let present = Revision { text: message.text.into(), metadata: extras.metadata.clone(), at };
        if let Some(changes) = &mut self.changes {
            changes.forget_replaced(seq, &present, until);
        }
    }
}
