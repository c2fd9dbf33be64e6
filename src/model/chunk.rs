//! Messages in memory: each chat has a sequence of chunks, with up to some hundred messages in each.

use std::sync::Arc;

use super::directory::{ChatIndex, UserIndex};
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
}

/// A user who has written in a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChunkAuthor {
    id: UserId,
    pub(super) index: UserIndex,
    /// Number of the user's messages in the chunk.
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

    fn author(&self) -> usize {
        (self.text_end_and_author & 0xFF) as usize
    }
}

impl Chunk {
    pub(super) fn starting_at(first: Seq, first_position: Position) -> Self {
        Self { first, first_position, messages: Vec::new(), authors: Vec::new(), text: String::new() }
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
    /// chunk.
    pub(super) fn written_until(&self, user: UserIndex, seq: Seq) -> u32 {
        let Some(author) = self.author_at(user) else { return 0 };
        // The seq is most often the last one of the chunk, so the few messages after it are counted.
        let count = usize::try_from(seq.0 - self.first.0 + 1).unwrap_or(usize::MAX);
        let later = self.messages.iter().skip(count).filter(|message| message.author() == author).count();
        self.authors[author].written - u32::try_from(later).expect("a chunk is small")
    }

    /// Moves the contents to allocations of exactly their size. Shrinking in place may free nothing.
    pub(super) fn shrink(&mut self) {
        self.messages = self.messages.as_slice().into();
        self.authors = self.authors.as_slice().into();
        self.text = self.text.as_str().into();
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

    fn message(&self, index: usize) -> Message<'_> {
        let stored = &self.messages[index];
        let text_start = index.checked_sub(1).map_or(0, |before| self.messages[before].text_end());
        Message {
            id: stored.id,
            author: self.authors[stored.author()].id,
            text: &self.text[text_start..stored.text_end()],
            created_at: stored.created_at,
            seq: Seq(self.first.0 + index as u64),
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
