//! The history of each chat: its messages, in chunks, and its other events.
//!
//! A reader gets many messages by copying one pointer to a chunk. A push copies at most one chunk; the push that
//! closes a chunk also updates the counts of the chunk's authors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chunk::{AddedMessage, Chunk, Message, MessageRun};
use super::directory::{ChatIndex, UserIndex};
use super::extras::{Changes, EmojiIndex, EmojiTable, Extras, Reacted, Revision, ShortSeq};
use super::pieces::Pieces;
use super::timeline::{ChatEvent, Timeline, TimelineEntry};
use crate::domain::{Deletion, ErasedMessages, Metadata, Position, Seq, Timestamp};

/// The histories of all chats.
#[derive(Debug, Default, PartialEq)]
pub struct Histories {
    chats: Pieces<ChatHistory>,
    emoji: EmojiTable,
}

/// The addition of an event to the histories. `T` is a text, or the length that stands for it.
#[derive(Debug, Clone)]
pub enum Addition<T> {
    /// Nothing.
    Nothing,
    /// A chat with the next index.
    Chat,
    /// A message.
    Message(AddedMessage<T>),
    /// An event that only the timeline holds.
    Event {
        /// The chat.
        chat: ChatIndex,
        /// The event.
        entry: TimelineEntry,
        /// The position of the event that it overtakes: of a member's read marks, only the last one is kept.
        overtaken: Option<Position>,
    },
    /// Something rarer. It is boxed, so that additions stay small.
    Rare(Box<Rare<T>>),
}

/// A rarer addition. `T` is a text, or the length that stands for it.
#[derive(Debug, Clone)]
pub enum Rare<T> {
    /// A message that is more than its text.
    MessageWith {
        /// The message.
        message: AddedMessage<T>,
        /// The message that it replies to.
        reply_to: Option<Seq>,
        /// Its metadata.
        metadata: Option<T>,
    },
    /// An edit of a message.
    Edited {
        /// The message, and the event.
        change: MessageChange,
        /// The new text.
        text: Option<T>,
        /// The new metadata.
        metadata: Option<T>,
    },
    /// A deletion of a message.
    Deleted {
        /// The message, and the event.
        change: MessageChange,
        /// How it is deleted.
        deletion: Deletion,
    },
    /// A reaction to a message, or the end of one.
    Reaction {
        /// The message, and the event.
        change: MessageChange,
        /// The user.
        user: UserIndex,
        /// The emoji.
        emoji: T,
        /// Whether the reaction was added.
        is_added: bool,
    },
    /// The erasure of a user.
    UserErased {
        /// The user.
        user: UserIndex,
        /// The position of the event.
        position: Position,
        /// The time of the event.
        at: Timestamp,
        /// The chats that the user is or was a member of, each with the position of the user's read mark.
        chats: Vec<(ChatIndex, Option<Position>)>,
        /// What becomes of the user's messages.
        messages: ErasedMessages,
    },
}

/// A change of a message.
#[derive(Debug, Clone, Copy)]
pub struct MessageChange {
    /// The chat.
    pub chat: ChatIndex,
    /// The message, which the chat has.
    pub seq: Seq,
    /// The position of the event.
    pub position: Position,
    /// The time of the event.
    pub at: Timestamp,
}

impl<T> Addition<T> {
    /// Replaces all texts, in order.
    pub fn map_text<U>(self, mut map: impl FnMut(T) -> U) -> Addition<U> {
        match self {
            Self::Nothing => Addition::Nothing,
            Self::Chat => Addition::Chat,
            Self::Message(message) => Addition::Message(message.map_text(map)),
            Self::Event { chat, entry, overtaken } => Addition::Event { chat, entry, overtaken },
            Self::Rare(rare) => Addition::Rare(Box::new(match *rare {
                Rare::MessageWith { message, reply_to, metadata } => {
                    let message = message.map_text(&mut map);
                    Rare::MessageWith { message, reply_to, metadata: metadata.map(map) }
                }
                Rare::Edited { change, text, metadata } => {
                    let text = text.map(&mut map);
                    Rare::Edited { change, text, metadata: metadata.map(map) }
                }
                Rare::Deleted { change, deletion } => Rare::Deleted { change, deletion },
                Rare::Reaction { change, user, emoji, is_added } => {
                    Rare::Reaction { change, user, emoji: map(emoji), is_added }
                }
                Rare::UserErased { user, position, at, chats, messages } => {
                    Rare::UserErased { user, position, at, chats, messages }
                }
            })),
        }
    }
}

impl Histories {
    /// Adds the addition of an event. The index must have applied the event before, without a contradiction.
    pub fn add(&mut self, addition: Addition<&str>) {
        match addition {
            Addition::Nothing => {}
            Addition::Chat => self.chats.push(ChatHistory::default()),
            Addition::Message(message) => self.chats[message.chat.as_usize()].push(message),
            Addition::Event { chat, entry, overtaken } => {
                let history = &mut self.chats[chat.as_usize()];
                if let ChatEvent::Read { user, seq } = entry.event {
                    history.move_mark(user, seq);
                }
                history.timeline.push(entry, overtaken);
            }
            Addition::Rare(rare) => self.add_rare(*rare),
        }
    }

    fn add_rare(&mut self, rare: Rare<&str>) {
        match rare {
            Rare::MessageWith { message, reply_to, metadata } => {
                let history = &mut self.chats[message.chat.as_usize()];
                history.push(message);
                history.add_extras_to_last(reply_to, metadata);
            }
            Rare::Edited { change, text, metadata } => {
                self.chats[change.chat.as_usize()].edit(change, text, metadata);
            }
            Rare::Deleted { change, deletion } => self.chats[change.chat.as_usize()].delete(change, deletion),
            Rare::Reaction { change, user, emoji: "", .. } => {
                let changes = self.chats[change.chat.as_usize()].changes.get_or_insert_default();
                changes.note_erased_reaction(user, change.seq);
            }
            Rare::Reaction { change, user, emoji, is_added } => {
                let index = self.emoji.find_or_add(emoji);
                let text = self.emoji.text(index);
                let history = &mut self.chats[change.chat.as_usize()];
                if is_added {
                    history.react(change, user, index, text);
                } else {
                    history.take_back(change, user, index, text);
                }
            }
            Rare::UserErased { user, position, at, chats, messages } => {
                for (chat, mark) in chats {
                    let erasure = UserErasure { chat, position, at, messages };
                    let history = &mut self.chats[chat.as_usize()];
                    if let Some(mark) = mark {
                        history.timeline.remove(mark);
                    }
                    history.erase(user, &erasure, &self.emoji);
                }
            }
        }
    }

    /// Forgets what was replaced up to this time of the earlier texts of a message, which must exist.
    pub(super) fn forget_replaced(&mut self, chat: ChatIndex, seq: Seq, until: Timestamp) {
        self.chats[chat.as_usize()].forget_replaced(seq, until);
    }

    pub(super) fn of(&self, chat: ChatIndex) -> &ChatHistory {
        &self.chats[chat.as_usize()]
    }

    pub(super) fn emoji(&self) -> &EmojiTable {
        &self.emoji
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct ChatHistory {
    chunks: Vec<Arc<Chunk>>,
    /// The counts of each author with messages in a closed chunk or up to the author's own read mark.
    authors: BTreeMap<UserIndex, OwnMessages>,
    timeline: Timeline,
    /// `None` until a message changes.
    changes: Option<Box<Changes>>,
}

/// Counts of an author's own messages, which are not unread for the author. Deleted ones do not count.
#[derive(Debug, Default, PartialEq)]
struct OwnMessages {
    /// Number of messages up to the author's own read mark.
    up_to_mark: u32,
    /// The author's own read mark, if there are messages up to it.
    mark: ShortSeq,
    /// The number of each closed chunk with messages of the author, and the count up to the end of that chunk.
    up_to_chunk_ends: Vec<(u32, u32)>,
}

impl OwnMessages {
    /// Returns the number of messages before this chunk.
    fn before(&self, chunk: u32) -> u32 {
        let ends = &self.up_to_chunk_ends;
        match ends.last() {
            // Most callers ask for the last message of the chat.
            Some(&(last, count)) if last < chunk => count,
            _ => {
                let earlier = ends.partition_point(|&(number, _)| number < chunk);
                earlier.checked_sub(1).map_or(0, |last| ends[last].1)
            }
        }
    }
}

impl OwnMessages {
    /// Counts a message no longer.
    fn forget(&mut self, chunk: u32, seq: Seq) {
        if seq <= self.mark.into() {
            self.up_to_mark -= 1;
        }
        let from = self.up_to_chunk_ends.partition_point(|&(number, _)| number < chunk);
        for (_, count) in &mut self.up_to_chunk_ends[from..] {
            *count -= 1;
        }
    }
}

/// The erasure of a user, in one chat.
struct UserErasure {
    chat: ChatIndex,
    position: Position,
    at: Timestamp,
    messages: ErasedMessages,
}

/// Notes that a message is deleted, and removes all of it but its text. Returns whether it was not deleted before.
fn note_deleted(
    changes: &mut Changes,
    timeline: &mut Timeline,
    chunk: &mut Chunk,
    index: usize,
    change: MessageChange,
    deletion: Deletion,
) -> bool {
    let MessageChange { seq, position, at, .. } = change;
    if deletion == Deletion::Erased {
        changes.forget_revisions(seq);
    }
    if let Some((_, before)) = &mut chunk.extras_mut(index).deleted {
        if deletion == Deletion::Erased {
            *before = deletion;
        }
        return false;
    }
    if deletion == Deletion::Kept {
        keep_revision(changes, chunk, index);
    }
    for (_, _, reacted) in changes.take_all(seq) {
        timeline.remove(reacted.position);
    }
    let extras = chunk.extras_mut(index);
    timeline.remove(extras.rewritten);
    changes.note(seq, extras.changed, position);
    *extras = Extras {
        reply_to: extras.reply_to,
        deleted: Some((at, deletion)),
        rewritten: position,
        changed: position,
        ..Extras::default()
    };
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
    fn push(&mut self, message: AddedMessage<&str>) {
        if self.chunks.last().is_none_or(|chunk| !chunk.has_room_at(message.position)) {
            self.close_last_chunk();
            self.chunks.push(Arc::new(Chunk::starting_at(Seq(self.last().0 + 1), message.position)));
        }
        let chunk = self.chunks.last_mut().expect("pushed if there was none");
        Arc::make_mut(chunk).push(message);
    }

    /// Closes the last chunk, which gets no more messages: frees its unused memory, and counts the messages of
    /// its authors.
    fn close_last_chunk(&mut self) {
        let Some(last) = self.chunks.len().checked_sub(1) else { return };
        let closed = Arc::make_mut(&mut self.chunks[last]);
        closed.shrink();
        let number = chunk_number(last);
        for author in closed.authors() {
            let own = self.authors.entry(author.index).or_default();
            own.up_to_chunk_ends.push((number, own.before(number) + author.written));
        }
    }

    /// Returns the seq of the last message, or 0 if there are no messages.
    fn last(&self) -> Seq {
        self.chunks.last().map_or(Seq(0), |chunk| chunk.last())
    }

    /// Returns the first event after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<TimelineEntry> {
        let message = self.first_message_after(position);
        let other = self.timeline.first_after(position);
        [message, other].into_iter().flatten().min_by_key(|entry| entry.position)
    }

    fn first_message_after(&self, position: Position) -> Option<TimelineEntry> {
        let begun = self.chunks.partition_point(|chunk| chunk.first_position <= position);
        let in_begun = begun.checked_sub(1).and_then(|last| self.chunks[last].first_after(position));
        in_begun.or_else(|| self.chunks.get(begun)?.first_after(position))
    }

    /// Returns the messages that were sent or have changed after one position and up to another, in the order of their last
    /// changes: the first `wanted` of them, and all that changed at the position of the last of these.
    pub(super) fn changed_after(
        &self,
        after: Position,
        upto: Position,
        wanted: usize,
    ) -> Vec<(Position, Seq)> {
        let mut changed = self.changes.iter().flat_map(|changes| changes.after(after)).peekable();
        let mut sent = self.unchanged_after(after).peekable();
        let mut found: Vec<(Position, Seq)> = Vec::new();
        loop {
            let is_changed_next = match (changed.peek(), sent.peek()) {
                (None, None) => return found,
                (Some((changed, _)), Some((sent, _))) => changed < sent,
                (changed, _) => changed.is_some(),
            };
            let next = if is_changed_next { changed.next() } else { sent.next() };
            let (position, seq) = next.expect("peeked");
            let is_enough = found.len() >= wanted && found.last().is_none_or(|(last, _)| *last < position);
            if position > upto || is_enough {
                return found;
            }
            found.push((position, seq));
        }
    }

    /// Returns the messages that were sent after this position and have not changed since.
    fn unchanged_after(&self, after: Position) -> impl Iterator<Item = (Position, Seq)> {
        let begun = self.chunks.partition_point(|chunk| chunk.first_position <= after);
        let chunks = &self.chunks[begun.saturating_sub(1)..];
        let unchanged = chunks.iter().flat_map(|chunk| chunk.unchanged());
        unchanged.skip_while(move |(position, _)| *position <= after)
    }

    /// Returns the seq of the last message sent up to this time, or 0 if there is no such message.
    pub(super) fn last_until(&self, time: Timestamp) -> Seq {
        let begun = self.chunks.partition_point(|chunk| chunk.first_created_at() <= time);
        begun.checked_sub(1).map_or(Seq(0), |last| self.chunks[last].last_until(time))
    }

    fn move_mark(&mut self, reader: UserIndex, mark: Seq) {
        let up_to_mark = self.written_until(reader, mark);
        if up_to_mark > 0 {
            let own = self.authors.entry(reader).or_default();
            (own.up_to_mark, own.mark) = (up_to_mark, mark.into());
        }
    }

    /// Returns the number of messages after `mark`, up to `last`, that are not deleted and whose author is not the reader.
    ///
    /// `mark` must be the reader's current mark: the reader's own messages are counted up to that one only.
    pub(super) fn unread(&self, reader: UserIndex, mark: Seq, last: Seq) -> u64 {
        // The caller may have looked up `last` before the mark moved beyond it.
        if last <= mark {
            return 0;
        }
        let up_to_mark = self.authors.get(&reader).map_or(0, |own| own.up_to_mark);
        let own = self.written_until(reader, last) - up_to_mark;
        let deleted = self.deleted_until(last) - self.deleted_until(mark);
        last.0 - mark.0 - u64::from(own + deleted)
    }

    /// Returns the number of messages up to this seq that are deleted.
    fn deleted_until(&self, seq: Seq) -> u32 {
        match &self.changes {
            Some(changes) if seq > Seq(0) => {
                let number = self.chunk_of(seq);
                changes.deleted.before(number) + self.chunks[number].deleted_until(seq)
            }
            Some(_) | None => 0,
        }
    }

    /// Returns the number of messages up to this seq that the user has written. Deleted ones do not count.
    fn written_until(&self, user: UserIndex, seq: Seq) -> u32 {
        let number = self.chunk_of(seq);
        let before = self.authors.get(&user).map_or(0, |own| own.before(chunk_number(number)));
        before + self.chunks[number].written_until(user, seq)
    }

    /// Adds what the last message is besides its text.
    fn add_extras_to_last(&mut self, reply_to: Option<Seq>, metadata: Option<&str>) {
        let chunk = Arc::make_mut(self.chunks.last_mut().expect("a message was pushed"));
        let extras = chunk.extras_mut(chunk.index_of(chunk.last()));
        extras.reply_to = reply_to;
        extras.metadata = metadata.and_then(Metadata::present).map(Arc::from);
    }

    /// Edits a message. One that is deleted stays as it is.
    fn edit(&mut self, change: MessageChange, text: Option<&str>, metadata: Option<&str>) {
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
    fn delete(&mut self, change: MessageChange, deletion: Deletion) {
        let number = self.chunk_of(change.seq);
        let chunk = Arc::make_mut(&mut self.chunks[number]);
        let index = chunk.index_of(change.seq);
        let author = chunk.author_of(index);
        let changes = self.changes.get_or_insert_default();
        if !note_deleted(changes, &mut self.timeline, chunk, index, change, deletion) {
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

    fn react(&mut self, change: MessageChange, user: UserIndex, emoji: EmojiIndex, text: &Arc<str>) {
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

    fn take_back(&mut self, change: MessageChange, user: UserIndex, emoji: EmojiIndex, text: &Arc<str>) {
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

    /// Removes the reactions of a user who is erased, and deletes the user's messages if they are to be erased.
    fn erase(&mut self, user: UserIndex, erasure: &UserErasure, emoji: &EmojiTable) {
        let &UserErasure { chat, position, at, messages } = erasure;
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
                let change = MessageChange { chat, seq: chunk.seq_of(index), position, at };
                note_deleted(changes, &mut self.timeline, chunk, index, change, Deletion::Erased)
            });
            chunk.remove_texts(&indexes);
            changes.deleted.add(number, u32::try_from(indexes.len()).expect("a chunk is small"));
        }
    }

    /// Forgets what was replaced up to this time of the earlier texts of a message.
    fn forget_replaced(&mut self, seq: Seq, until: Timestamp) {
        let message = self.message(seq);
        let Some(extras) = message.extras else { return };
        let deleted_at = extras.deleted.map(|(at, _)| at);
        let at = deleted_at.or(extras.edited_at).unwrap_or(message.created_at);
        let present = Revision { text: message.text.into(), metadata: extras.metadata.clone(), at };
        if let Some(changes) = &mut self.changes {
            changes.forget_replaced(seq, &present, until);
        }
    }

    /// Returns the messages from this one to the end of its chunk.
    pub(super) fn run_at(&self, seq: Seq) -> MessageRun {
        MessageRun::starting_at(&self.chunks[self.chunk_of(seq)], seq)
    }

    /// Returns the first messages from this one on that lie together and may be by the user.
    pub(super) fn run_by(&self, user: UserIndex, from: Seq) -> Option<MessageRun> {
        if from > self.last() {
            return None;
        }
        let (first, last) = (self.chunk_of(from), self.chunks.len() - 1);
        let closed = self.authors.get(&user).map_or(&[][..], |own| &own.up_to_chunk_ends);
        let numbers = closed.iter().map(|(number, _)| *number as usize).chain([last]);
        let number =
            numbers.into_iter().find(|number| *number >= first).expect("the last one is not before it");
        Some(self.run_at(from.max(self.chunks[number].first)))
    }

    /// Returns this message, which must exist.
    pub(super) fn message(&self, seq: Seq) -> Message<'_> {
        let chunk = &self.chunks[self.chunk_of(seq)];
        chunk.message(chunk.index_of(seq))
    }

    pub(super) fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    pub(super) fn has_reacted(&self, seq: Seq, emoji: EmojiIndex, user: UserIndex) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.reaction(seq, emoji, user).is_some())
    }

    /// Returns this message alone.
    pub(super) fn message_at(&self, seq: Seq) -> MessageRun {
        MessageRun::of_one(&self.chunks[self.chunk_of(seq)], seq)
    }

    fn chunk_of(&self, seq: Seq) -> usize {
        chunk_of(&self.chunks, seq)
    }
}

/// Returns the number of the chunk that holds this message, which must exist.
fn chunk_of(chunks: &[Arc<Chunk>], seq: Seq) -> usize {
    let last = chunks.len().checked_sub(1).expect("a chat with this message has a chunk");
    // Most callers ask for the last message.
    if chunks[last].first <= seq {
        return last;
    }
    let begun = chunks.partition_point(|chunk| chunk.first <= seq);
    begun.checked_sub(1).expect("seqs begin with 1")
}

fn chunk_number(number: usize) -> u32 {
    u32::try_from(number).expect("memory ends before 2^32 chunks")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;
    use uuid::Uuid;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    fn user(number: usize) -> UserIndex {
        UserIndex::from_u32(u32::try_from(number).expect("small"))
    }

    fn message(index: usize, text: &str) -> AddedMessage<&str> {
        let created_at = Timestamp::from_micros(index as u64).expect("small");
        let position = Position(index as u64 + 1);
        let (chat, author_index) = (ChatIndex::from_u32(0), user(index % 300));
        let (id, author) = (id(index).into(), id(index % 300).into());
        AddedMessage { position, chat, id, author, author_index, created_at, text }
    }

    fn history(texts: impl IntoIterator<Item = String>) -> ChatHistory {
        let mut history = ChatHistory::default();
        for (index, text) in texts.into_iter().enumerate() {
            history.push(message(index, &text));
            assert_eq!(history.last(), Seq(index as u64 + 1));
        }
        history
    }

    fn read(history: &ChatHistory, from: u64) -> Vec<(u64, String, UserId)> {
        let mut read = Vec::new();
        let mut next = from;
        while Seq(next) <= history.last() {
            let run = history.run_at(Seq(next));
            read.extend(
                run.messages().map(|message| (message.seq.0, message.text.to_owned(), message.author)),
            );
            next = read.last().expect("a run is never empty").0 + 1;
        }
        read
    }

    #[test]
    fn messages_are_read_in_order_from_anywhere() {
        let history = history((0..1_000).map(|number| format!("text {number}")));
        let whole = read(&history, 1);
        assert_eq!(whole.len(), 1_000);
        for (index, (seq, text, author)) in whole.iter().enumerate() {
            assert_eq!((*seq, text.as_str()), (index as u64 + 1, format!("text {index}").as_str()));
            assert_eq!(*author, id(index % 300).into());
        }
        for from in [2, 255, 256, 257, 512, 513, 999, 1_000] {
            assert_eq!(read(&history, from), whole[usize::try_from(from).expect("small") - 1..]);
        }
    }

    #[test]
    fn long_texts_fill_a_chunk_early() {
        let history = history((0..20).map(|_| "x".repeat(16_384)));
        assert_eq!(history.chunks.len(), 5);
        assert_eq!(read(&history, 1).len(), 20);
    }

    #[test]
    fn a_push_does_not_change_earlier_runs() {
        let mut history = history(["one".to_owned()]);
        let run = history.run_at(Seq(1));
        history.push(message(1, "two"));
        assert_eq!(run.messages().len(), 1);
        assert_eq!(history.run_at(Seq(1)).messages().len(), 2);
    }

    #[test]
    fn unread_counts_what_others_wrote_after_the_mark() {
        // The authors write in turn: 0, 1, …, 299, 0, 1, … The last reader is not an author.
        let naive = |reader: usize, mark: u64, last: u64| {
            (mark + 1..=last).filter(|seq| usize::try_from(seq - 1).expect("small") % 300 != reader).count()
                as u64
        };
        let readers =
            [(0, vec![]), (7, vec![1, 8, 300, 307, 308, 900]), (299, vec![300, 899]), (1_000, vec![5])];
        for (reader, marks) in readers {
            // Given a reader whose mark moves forward, sometimes as soon as the message is sent.
            for marks_at_once in [true, false] {
                let mut history = ChatHistory::default();
                let mut mark = 0;
                for index in 0..900 {
                    history.push(message(index, "text"));
                    let seq = index as u64 + 1;
                    if marks_at_once && marks.contains(&seq) {
                        history.move_mark(user(reader), Seq(seq));
                        mark = seq;
                    }
                    let unread = history.unread(user(reader), Seq(mark), Seq(seq));
                    assert_eq!(unread, naive(reader, mark, seq), "{reader} {mark} {seq}");
                }
                // Then the number is right at every mark, also for an earlier last message.
                let marked = mark;
                for mark in marks.iter().copied().filter(|later| *later > marked) {
                    history.move_mark(user(reader), Seq(mark));
                    for last in [0, 8, 256, 257, 512, 600, 899, 900] {
                        let unread = history.unread(user(reader), Seq(mark), Seq(last));
                        assert_eq!(unread, naive(reader, mark, last), "{reader} {mark} {last}");
                    }
                }
            }
        }
    }
}
