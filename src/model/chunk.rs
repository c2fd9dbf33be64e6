//! Messages in memory: each chat has a sequence of chunks, with up to some hundred messages in each.

use std::ops::Range;
use std::sync::Arc;

use super::directory::{ChatIndex, UserIndex};
use super::extras::Extras;
use super::timeline::{ChatEvent, TimelineEntry};
use crate::domain::{MessageId, Position, Seq, Timestamp, UserId};

/// Maximum messages of a chunk, so that the index of an author in the chunk fits a byte.
const MESSAGES_MAX: usize = 256;
/// Bytes of text at which a chunk is full. They are few, because a push copies a last chunk that a reader
/// holds.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A message that is added to a chat. `T` is its text, or the length that stands for it.
#[derive(Debug, Clone, Copy)]
pub struct AddedMessage<T> {
    /// The position of the event.
    pub position: Position,
    /// The chat.
    pub chat: ChatIndex,
    /// The message.
    pub id: MessageId,
    /// The author.
    pub author: UserId,
    /// The author's index.
    pub author_index: UserIndex,
    /// The time of the event.
    pub created_at: Timestamp,
    /// The text.
    pub text: T,
}

impl<T> AddedMessage<T> {
    pub(super) fn map_text<U>(self, map: impl FnOnce(T) -> U) -> AddedMessage<U> {
        let Self { position, chat, id, author, author_index, created_at, text } = self;
        AddedMessage { position, chat, id, author, author_index, created_at, text: map(text) }
    }
}

/// One message of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message.
    pub id: MessageId,
    /// The author.
    pub author: UserId,
    /// The text.
    pub text: &'a str,
    /// The time at which it was sent.
    pub created_at: Timestamp,
    /// Its place in the chat.
    pub seq: Seq,
    /// What it is besides.
    pub extras: Option<&'a Extras>,
}

/// Consecutive messages of a chat. They are shared with the model, but later writes do not change them.
#[derive(Debug, Clone)]
pub struct MessageRun {
    chunk: Arc<Chunk>,
    first: usize,
    end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunk {
    pub(super) first: Seq,
    pub(super) first_position: Position,
    messages: Vec<StoredMessage>,
    authors: Vec<ChunkAuthor>,
    text: String,
    /// What messages are besides, by their index in the chunk, in order.
    extras: Vec<(u8, Arc<Extras>)>,
}

/// A user who has written in a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChunkAuthor {
    id: UserId,
    pub(super) index: UserIndex,
    /// Number of the user's messages in the chunk that are not deleted.
    pub(super) written: u32,
}

#[derive(Debug, Clone, PartialEq)]
struct StoredMessage {
    id: MessageId,
    created_at: Timestamp,
    /// The distance from the position of the chunk's first message.
    position_offset: u32,
    /// The end of its text in the chunk's text (upper 24 bits), and the index of its author in the chunk's
    /// authors (lower 8 bits).
    text_end_and_author: u32,
}

impl StoredMessage {
    fn text_end(&self) -> usize {
        (self.text_end_and_author >> 8) as usize
    }

    fn set_text_end(&mut self, text_end: usize) {
        let text_end = u32::try_from(text_end).expect("a text is short");
        assert!(text_end < 1 << 24, "256 texts of 16 KiB");
        self.text_end_and_author = text_end << 8 | self.text_end_and_author & 0xFF;
    }

    fn author(&self) -> usize {
        (self.text_end_and_author & 0xFF) as usize
    }
}

impl Chunk {
    pub(super) fn starting_at(first: Seq, first_position: Position) -> Self {
        let (messages, authors, text, extras) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        Self { first, first_position, messages, authors, text, extras }
    }

    pub(super) fn has_room_at(&self, position: Position) -> bool {
        let is_full = self.messages.len() == MESSAGES_MAX || self.text.len() >= TEXT_BYTES_MAX;
        !is_full && self.offset_of(position).is_some()
    }

    pub(super) fn push(&mut self, message: AddedMessage<&str>) {
        let AddedMessage { position, id, author, author_index, created_at, text, .. } = message;
        let author = self.author_at(author_index).unwrap_or_else(|| {
            self.authors.push(ChunkAuthor { id: author, index: author_index, written: 0 });
            self.authors.len() - 1
        });
        self.authors[author].written += 1;
        self.text.push_str(text);
        let text_end = u32::try_from(self.text.len()).expect("a full chunk gets no message");
        let author = u8::try_from(author).expect("a chunk has no more authors than messages");
        assert!(text_end < 1 << 24, "a text exceeds the chunk's bound by one message at most");
        self.messages.push(StoredMessage {
            id,
            created_at,
            position_offset: self.offset_of(position).expect("a chunk without room gets no message"),
            text_end_and_author: text_end << 8 | u32::from(author),
        });
    }

    pub(super) fn authors(&self) -> &[ChunkAuthor] {
        &self.authors
    }

    /// Returns the index of the user among the chunk's authors, or `None` if the user has not written in it.
    fn author_at(&self, user: UserIndex) -> Option<usize> {
        self.authors.iter().position(|known| known.index == user)
    }

    /// Returns the number of the user's messages in this chunk up to this seq, which must not be before the
    /// chunk. Deleted ones do not count.
    pub(super) fn written_until(&self, user: UserIndex, seq: Seq) -> u32 {
        let Some(author) = self.author_at(user) else { return 0 };
        // The seq is most often the last one of the chunk, so the few messages after it are counted.
        let count = usize::try_from(seq.0 - self.first.0 + 1).unwrap_or(usize::MAX);
        let is_later = |index: &usize| self.messages[*index].author() == author && !self.is_deleted(*index);
        let later = (count..self.messages.len()).filter(is_later).count();
        self.authors[author].written - u32::try_from(later).expect("a chunk is small")
    }

    /// Returns the number of deleted messages in this chunk up to this seq, which must not be before the chunk.
    pub(super) fn deleted_until(&self, seq: Seq) -> u32 {
        let last = seq.0 - self.first.0;
        let until = self.extras.iter().take_while(|(index, _)| u64::from(*index) <= last);
        let deleted = until.filter(|(_, extras)| extras.deleted.is_some()).count();
        u32::try_from(deleted).expect("a chunk is small")
    }

    /// Returns the index of a message, which the chunk has.
    pub(super) fn index_of(&self, seq: Seq) -> usize {
        usize::try_from(seq.0 - self.first.0).expect("a chunk is small")
    }

    pub(super) fn seq_of(&self, index: usize) -> Seq {
        Seq(self.first.0 + index as u64)
    }

    /// Returns the indexes of a user's messages.
    pub(super) fn written_by(&self, user: UserIndex) -> Vec<usize> {
        let Some(author) = self.author_at(user) else { return Vec::new() };
        (0..self.messages.len()).filter(|index| self.messages[*index].author() == author).collect()
    }

    /// Returns the author of a message.
    pub(super) fn author_of(&self, index: usize) -> UserIndex {
        self.authors[self.messages[index].author()].index
    }

    pub(super) fn is_deleted(&self, index: usize) -> bool {
        self.extras_of(index).is_some_and(|extras| extras.deleted.is_some())
    }

    /// Returns the messages that have not changed since they were sent, each with its position.
    pub(super) fn unchanged(&self) -> impl Iterator<Item = (Position, Seq)> {
        let is_unchanged =
            |index: &usize| self.extras_of(*index).is_none_or(|extras| extras.changed == Position(0));
        let indexes = (0..self.messages.len()).filter(is_unchanged);
        indexes.map(|index| (self.position_of(index), self.seq_of(index)))
    }

    pub(super) fn extras_of(&self, index: usize) -> Option<&Extras> {
        let place = self.place_of(index).ok()?;
        Some(&self.extras[place].1)
    }

    /// Returns what a message is besides, to change it.
    pub(super) fn extras_mut(&mut self, index: usize) -> &mut Extras {
        let place = self.place_of(index).unwrap_or_else(|place| {
            self.insert_extras(place, index, Arc::default());
            place
        });
        Arc::make_mut(&mut self.extras[place].1)
    }

    /// Replaces what a message is besides. If the last message before it that is anything besides is the same, the two
    /// share it: an erasure leaves the same of each message of a user.
    pub(super) fn set_extras(&mut self, index: usize, extras: Extras) {
        let place = self.place_of(index);
        let (Ok(at) | Err(at)) = place;
        let extras = match at.checked_sub(1).map(|previous| &self.extras[previous].1) {
            Some(previous) if **previous == extras => Arc::clone(previous),
            Some(_) | None => Arc::new(extras),
        };
        match place {
            Ok(place) => self.extras[place].1 = extras,
            Err(place) => self.insert_extras(place, index, extras),
        }
    }

    fn insert_extras(&mut self, place: usize, index: usize, extras: Arc<Extras>) {
        let number = u8::try_from(index).expect("a chunk is small");
        self.extras.insert(place, (number, extras));
    }

    fn place_of(&self, index: usize) -> Result<usize, usize> {
        self.extras.binary_search_by_key(&index, |(number, _)| usize::from(*number))
    }

    /// Replaces the text of a message.
    pub(super) fn rewrite(&mut self, index: usize, text: &str) {
        let before = self.text_range(index);
        let (old, new) = (before.len(), text.len());
        self.text.replace_range(before, text);
        for stored in &mut self.messages[index..] {
            stored.set_text_end(stored.text_end() - old + new);
        }
    }

    /// Removes the texts of these messages, in ascending order, and no longer counts them for their author.
    pub(super) fn remove_texts(&mut self, indexes: &[usize]) {
        let removed_bytes: usize = indexes.iter().map(|index| self.text_range(*index).len()).sum();
        let mut kept = String::with_capacity(self.text.len() - removed_bytes);
        let mut removed = indexes.iter().peekable();
        // Texts between two that are removed are copied as one.
        let (mut run_start, mut previous_end) = (0, 0);
        for (index, stored) in self.messages.iter_mut().enumerate() {
            let end = stored.text_end();
            if removed.next_if_eq(&&index).is_some() {
                self.authors[stored.author()].written -= 1;
                kept.push_str(&self.text[run_start..previous_end]);
                run_start = end;
            }
            stored.set_text_end(kept.len() + end - run_start);
            previous_end = end;
        }
        kept.push_str(&self.text[run_start..]);
        assert!(removed.next().is_none(), "the indexes ascend");
        self.text = kept;
    }

    pub(super) fn shrink_text(&mut self) {
        self.text = self.text.as_str().into();
    }

    fn text_range(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.messages[before].text_end());
        start..self.messages[index].text_end()
    }

    /// Moves the contents to allocations of exactly their size. Shrinking in place may free nothing.
    pub(super) fn shrink(&mut self) {
        self.messages = self.messages.as_slice().into();
        self.authors = self.authors.as_slice().into();
        self.extras = self.extras.as_slice().into();
        self.shrink_text();
    }

    pub(super) fn first_created_at(&self) -> Timestamp {
        self.messages[0].created_at
    }

    pub(super) fn last(&self) -> Seq {
        Seq(self.first.0 + self.messages.len() as u64 - 1)
    }

    /// Returns the last message sent up to this time, which must not be before the chunk's first message.
    pub(super) fn last_until(&self, time: Timestamp) -> Seq {
        let sent = self.messages.partition_point(|message| message.created_at <= time);
        Seq(self.first.0 + sent as u64 - 1)
    }

    /// Returns the first message after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<TimelineEntry> {
        let at = |stored: &StoredMessage| Position(self.first_position.0 + u64::from(stored.position_offset));
        let index = self.messages.partition_point(|stored| at(stored) <= position);
        let event = ChatEvent::Message(Seq(self.first.0 + index as u64));
        Some(TimelineEntry { position: at(self.messages.get(index)?), event })
    }

    /// Returns `None` if the position is too far from the first one for a stored message.
    fn offset_of(&self, position: Position) -> Option<u32> {
        u32::try_from(position.0 - self.first_position.0).ok()
    }

    pub(super) fn position_of(&self, index: usize) -> Position {
        Position(self.first_position.0 + u64::from(self.messages[index].position_offset))
    }

    pub(super) fn message(&self, index: usize) -> Message<'_> {
        let stored = &self.messages[index];
        Message {
            id: stored.id,
            author: self.authors[stored.author()].id,
            text: &self.text[self.text_range(index)],
            created_at: stored.created_at,
            seq: Seq(self.first.0 + index as u64),
            extras: if self.extras.is_empty() { None } else { self.extras_of(index) },
        }
    }
}

impl MessageRun {
    /// Returns the messages of the chunk from this one on.
    pub(super) fn starting_at(chunk: &Arc<Chunk>, seq: Seq) -> Self {
        Self { end: chunk.messages.len(), ..Self::of_one(chunk, seq) }
    }

    /// Returns this message of the chunk alone.
    pub(super) fn of_one(chunk: &Arc<Chunk>, seq: Seq) -> Self {
        let first = usize::try_from(seq.0 - chunk.first.0).expect("a chunk is small");
        assert!(first < chunk.messages.len(), "the chunk holds the seq");
        Self { chunk: Arc::clone(chunk), first, end: first + 1 }
    }

    /// Returns the messages, in order.
    #[must_use]
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> {
        (self.first..self.end).map(|index| self.chunk.message(index))
    }
}

impl PartialEq for MessageRun {
    fn eq(&self, other: &Self) -> bool {
        self.messages().eq(other.messages())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::Deletion;

    /// Returns a chunk of messages with these texts, all by one author.
    fn chunk(texts: &[&str]) -> Chunk {
        let id = |number| Uuid::from_u128(number);
        let mut chunk = Chunk::starting_at(Seq(1), Position(1));
        for (number, text) in (1..).zip(texts) {
            chunk.push(AddedMessage {
                position: Position(number),
                chat: ChatIndex::from_u32(0),
                id: id(number.into()).into(),
                author: id(0).into(),
                author_index: UserIndex::from_u32(0),
                created_at: Timestamp::from_micros(number).expect("in range"),
                text,
            });
        }
        chunk
    }

    fn texts(chunk: &Chunk) -> Vec<&str> {
        (0..chunk.messages.len()).map(|index| chunk.message(index).text).collect()
    }

    #[test]
    fn removed_texts_leave_the_others_in_place() {
        let mut chunk = chunk(&["one", "two", "three", "four"]);
        chunk.remove_texts(&[0, 2]);
        assert_eq!(texts(&chunk), ["", "two", "", "four"]);
        assert_eq!((chunk.authors[0].written, chunk.text.as_str()), (2, "twofour"));
        chunk.rewrite(1, "2");
        assert_eq!(texts(&chunk), ["", "2", "", "four"]);
    }

    #[test]
    fn messages_erased_together_share_what_is_left() {
        // Given two messages that were erased by one event, with one between them that was not.
        let mut chunk = chunk(&["one", "two", "three"]);
        let deleted = Some((Timestamp::from_micros(9).expect("in range"), Deletion::Erased));
        let erased = Extras { deleted, changed: Position(9), ..Extras::default() };
        chunk.set_extras(0, erased.clone());
        chunk.set_extras(2, erased.clone());
        assert!(Arc::ptr_eq(&chunk.extras[0].1, &chunk.extras[1].1));
        // When one of them is changed, then the other is as it was.
        chunk.extras_mut(2).reply_to = Some(Seq(1));
        assert_eq!(chunk.extras_of(0), Some(&erased));
        assert_eq!(chunk.extras_of(1), None);
        assert_eq!(chunk.extras_of(2).and_then(|extras| extras.reply_to), Some(Seq(1)));
    }
}
