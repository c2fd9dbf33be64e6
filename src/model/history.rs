//! What happened in each chat: messages in chunks, so that a reader takes many by copying one pointer, and no push
//! moves more than one chunk.

use std::sync::Arc;

use super::directory::{ChatIndex, OwnKeyMap, UserIndex};
use super::timeline::{Happening, Timeline};
use crate::domain::{MessageId, Position, Seq, Timestamp, UserId};

/// A chunk is full at so many messages: an author's place in it fits a byte.
const CHUNK_MESSAGES_MAX: usize = 256;
/// A chunk is full, too, at so many bytes of text. While a reader holds the last chunk, a push copies it.
const CHUNK_TEXT_BYTES_MAX: usize = 64 * 1024;

/// The histories of all chats.
#[derive(Debug, Default, PartialEq)]
pub struct Histories {
    chats: Vec<History>,
}

/// What an event adds to the histories; of a message, with its text, or with whatever stands for it.
#[derive(Debug, Clone, Copy)]
pub enum Addition<T> {
    /// Nothing.
    Nothing,
    /// A chat, with the next index.
    Chat,
    /// A message.
    Message {
        /// Where in the log.
        position: Position,
        /// In which chat.
        chat: ChatIndex,
        /// The message.
        id: MessageId,
        /// Who said it.
        author: (UserId, UserIndex),
        /// When.
        created_at: Timestamp,
        /// What was said.
        text: T,
    },
    /// A user was put into a chat that was there.
    Joined {
        /// Where in the log.
        position: Position,
        /// The chat.
        chat: ChatIndex,
        /// The user.
        user: UserIndex,
    },
    /// A user was taken out of a chat.
    Left {
        /// Where in the log.
        position: Position,
        /// The chat.
        chat: ChatIndex,
        /// The user.
        user: UserIndex,
    },
    /// A user's read mark has moved.
    Mark {
        /// Where in the log.
        position: Position,
        /// In which chat.
        chat: ChatIndex,
        /// Whose it is.
        reader: (UserId, UserIndex),
        /// The last message that was read before,
        after: Seq,
        /// and the last that is now.
        to: Seq,
    },
}

impl<T> Addition<T> {
    /// The same, with something else in the place of the text.
    pub fn map_text<U>(self, map: impl FnOnce(T) -> U) -> Addition<U> {
        match self {
            Self::Nothing => Addition::Nothing,
            Self::Chat => Addition::Chat,
            Self::Message { position, chat, id, author, created_at, text } => {
                Addition::Message { position, chat, id, author, created_at, text: map(text) }
            }
            Self::Joined { position, chat, user } => Addition::Joined { position, chat, user },
            Self::Left { position, chat, user } => Addition::Left { position, chat, user },
            Self::Mark { position, chat, reader, after, to } => {
                Addition::Mark { position, chat, reader, after, to }
            }
        }
    }
}

impl Histories {
    /// Takes in what an event adds. Any rule was kept before.
    pub fn add(&mut self, addition: Addition<&str>) {
        match addition {
            Addition::Nothing => {}
            Addition::Chat => self.chats.push(History::default()),
            Addition::Message { position, chat, id, author, created_at, text } => {
                self.chats[chat.as_usize()].push((position, id), author, created_at, text);
            }
            Addition::Joined { position, chat, user } => {
                self.chats[chat.as_usize()].timeline.push(position, Happening::Joined(user));
            }
            Addition::Left { position, chat, user } => {
                self.chats[chat.as_usize()].timeline.push(position, Happening::Left(user));
            }
            Addition::Mark { position, chat, reader, after, to } => {
                let history = &mut self.chats[chat.as_usize()];
                history.mark_moved(reader, after, to);
                history.timeline.push(position, Happening::Read(reader.1, to));
            }
        }
    }

    pub(super) fn of(&self, chat: ChatIndex) -> &History {
        &self.chats[chat.as_usize()]
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct History {
    chunks: Vec<Arc<Chunk>>,
    /// Of everyone who has written; being taken out of the chat changes nothing here.
    authors: OwnKeyMap<UserIndex, Written>,
    timeline: Timeline,
}

/// What it takes to count a user's unread messages without looking at them.
#[derive(Debug, Default, PartialEq)]
struct Written {
    /// Messages written.
    all: u64,
    /// Messages written, of those up to the user's read mark.
    to_mark: u64,
}

/// Some messages of a chat that follow one another.
#[derive(Debug, Clone, PartialEq)]
struct Chunk {
    first: Seq,
    first_position: Position,
    entries: Vec<Entry>,
    authors: Vec<UserId>,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: MessageId,
    created_at: Timestamp,
    /// From that of the chunk's first message.
    position_offset: u32,
    /// Where its text ends in the chunk's in the upper 24 bits, which of the chunk's authors it has in the lower 8.
    text_end_and_author: u32,
}

impl Entry {
    fn text_end(&self) -> usize {
        (self.text_end_and_author >> 8) as usize
    }

    fn author(&self) -> usize {
        (self.text_end_and_author & 0xFF) as usize
    }
}

impl History {
    pub(super) fn push(
        &mut self,
        (position, id): (Position, MessageId),
        (author, author_index): (UserId, UserIndex),
        created_at: Timestamp,
        text: &str,
    ) {
        self.authors.entry(author_index).or_default().all += 1;
        if self.chunks.last().is_none_or(|chunk| !chunk.has_room_at(position)) {
            if let Some(full) = self.chunks.last_mut() {
                Arc::make_mut(full).shrink();
            }
            self.chunks.push(Arc::new(Chunk::starting_at(Seq(self.last().0 + 1), position)));
        }
        let chunk = self.chunks.last_mut().expect("pushed if there was none");
        Arc::make_mut(chunk).push((position, id), author, created_at, text);
    }

    /// The last message; 0 if there is none.
    pub(super) fn last(&self) -> Seq {
        self.chunks.last().map_or(Seq(0), |chunk| chunk.last())
    }

    /// The first that happened after this position.
    pub(super) fn first_after(&self, position: Position) -> Option<(Position, Happening)> {
        let message = self.first_message_after(position).map(|(at, seq)| (at, Happening::Message(seq)));
        let other = self.timeline.first_after(position);
        [message, other].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn first_message_after(&self, position: Position) -> Option<(Position, Seq)> {
        let begun = self.chunks.partition_point(|chunk| chunk.first_position <= position);
        let in_begun = begun.checked_sub(1).and_then(|last| self.chunks[last].first_after(position));
        in_begun.or_else(|| self.chunks.get(begun).map(|chunk| (chunk.first_position, chunk.first)))
    }

    /// The last message sent up to this time; 0 if there is none.
    pub(super) fn last_until(&self, time: Timestamp) -> Seq {
        let begun = self.chunks.partition_point(|chunk| chunk.entries[0].created_at <= time);
        let Some(chunk) = begun.checked_sub(1).map(|last| &self.chunks[last]) else { return Seq(0) };
        let sent = chunk.entries.partition_point(|entry| entry.created_at <= time);
        Seq(chunk.first.0 + sent as u64 - 1)
    }

    /// The user, who had read the messages up to `after`, has now read those up to `to`.
    fn mark_moved(&mut self, (user, user_index): (UserId, UserIndex), after: Seq, to: Seq) {
        if self.authors.contains_key(&user_index) {
            let written = self.written_within(user, after, to);
            self.authors.entry(user_index).or_default().to_mark += written;
        }
    }

    /// How many of the messages up to `last` others than the user have written after the user's mark.
    pub(super) fn unread(&self, (user, user_index): (UserId, UserIndex), mark: Seq, last: Seq) -> u64 {
        // The mark may have moved beyond `last` since that was the last.
        let Some(after_mark) = last.0.checked_sub(mark.0) else { return 0 };
        let Some(written) = self.authors.get(&user_index) else { return after_mark };
        let later = self.written_within(user, last, self.last());
        after_mark - (written.all - written.to_mark - later)
    }

    /// How many messages after `after`, up to `last`, the user has written.
    fn written_within(&self, user: UserId, after: Seq, last: Seq) -> u64 {
        let mut written = 0;
        let mut next = Seq(after.0 + 1);
        while next <= last {
            let run = self.run_at(next);
            let until_last = run.messages().take_while(|message| message.seq <= last);
            written += until_last.filter(|message| message.author == user).count() as u64;
            next = Seq(next.0 + run.messages().len() as u64);
        }
        written
    }

    pub(super) fn run_at(&self, seq: Seq) -> MessageRun {
        let chunk = self.chunk_of(seq);
        let run = MessageRun { chunk: Arc::clone(chunk), first: 0, end: chunk.entries.len() };
        run.starting_at(seq, usize::MAX)
    }

    pub(super) fn message(&self, seq: Seq) -> Message<'_> {
        let chunk = self.chunk_of(seq);
        chunk.message(usize::try_from(seq.0 - chunk.first.0).expect("a chunk is small"))
    }

    fn chunk_of(&self, seq: Seq) -> &Arc<Chunk> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= seq);
        &self.chunks[after.checked_sub(1).expect("seqs begin with 1")]
    }
}

impl Chunk {
    fn starting_at(first: Seq, first_position: Position) -> Self {
        Self { first, first_position, entries: Vec::new(), authors: Vec::new(), text: String::new() }
    }

    fn has_room_at(&self, position: Position) -> bool {
        let is_full = self.entries.len() == CHUNK_MESSAGES_MAX || self.text.len() >= CHUNK_TEXT_BYTES_MAX;
        !is_full && self.offset_of(position).is_some()
    }

    /// None if it is so far off that an entry cannot tell.
    fn offset_of(&self, position: Position) -> Option<u32> {
        u32::try_from(position.0 - self.first_position.0).ok()
    }

    fn first_after(&self, position: Position) -> Option<(Position, Seq)> {
        let at = |entry: &Entry| Position(self.first_position.0 + u64::from(entry.position_offset));
        let index = self.entries.partition_point(|entry| at(entry) <= position);
        Some((at(self.entries.get(index)?), Seq(self.first.0 + index as u64)))
    }

    fn last(&self) -> Seq {
        Seq(self.first.0 + self.entries.len() as u64 - 1)
    }

    fn push(
        &mut self,
        (position, id): (Position, MessageId),
        author: UserId,
        created_at: Timestamp,
        text: &str,
    ) {
        let author = self.authors.iter().position(|known| *known == author).unwrap_or_else(|| {
            self.authors.push(author);
            self.authors.len() - 1
        });
        self.text.push_str(text);
        let text_end = u32::try_from(self.text.len()).expect("a full chunk takes no more");
        let author = u8::try_from(author).expect("no more authors than messages");
        assert!(text_end < 1 << 24, "a chunk holds little more than its bound");
        self.entries.push(Entry {
            id,
            created_at,
            position_offset: self.offset_of(position).expect("a chunk without room takes no more"),
            text_end_and_author: text_end << 8 | u32::from(author),
        });
    }

    /// Into memory of just the right size: an allocator may leave what it shrinks where it is.
    fn shrink(&mut self) {
        self.entries = self.entries.as_slice().into();
        self.authors = self.authors.as_slice().into();
        self.text = self.text.as_str().into();
    }

    fn message(&self, index: usize) -> Message<'_> {
        let entry = &self.entries[index];
        let text_start = index.checked_sub(1).map_or(0, |before| self.entries[before].text_end());
        Message {
            id: entry.id,
            author: self.authors[entry.author()],
            text: &self.text[text_start..entry.text_end()],
            created_at: entry.created_at,
            seq: Seq(self.first.0 + index as u64),
        }
    }
}

/// One message of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The message.
    pub id: MessageId,
    /// Who said it.
    pub author: UserId,
    /// What was said.
    pub text: &'a str,
    /// When.
    pub created_at: Timestamp,
    /// Its place in the chat.
    pub seq: Seq,
}

/// Messages of a chat that follow one another, shared with the model: later writes do not show in it.
#[derive(Debug, Clone)]
pub struct MessageRun {
    chunk: Arc<Chunk>,
    first: usize,
    end: usize,
}

impl MessageRun {
    /// The part that starts at this seq, at most so many messages.
    ///
    /// # Panics
    ///
    /// If the run does not hold it.
    #[must_use]
    pub fn starting_at(self, seq: Seq, messages_max: usize) -> Self {
        let offset = seq.0.checked_sub(self.chunk.first.0).expect("the run holds the seq");
        let first = usize::try_from(offset).expect("a chunk is small");
        assert!(self.first <= first && first < self.end, "the run holds the seq");
        let end = self.end.min(first.saturating_add(messages_max));
        Self { chunk: self.chunk, first, end }
    }

    /// Its messages, in order.
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
    use super::*;
    use uuid::Uuid;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    fn user(number: usize) -> (UserId, UserIndex) {
        (id(number).into(), UserIndex::from_u32(u32::try_from(number).expect("small")))
    }

    fn history(texts: impl IntoIterator<Item = String>) -> History {
        let mut history = History::default();
        for (index, text) in texts.into_iter().enumerate() {
            let time = Timestamp::from_micros(index as u64).expect("small");
            let position = Position(index as u64 + 1);
            history.push((position, id(index).into()), user(index % 300), time, &text);
            assert_eq!(history.last(), Seq(index as u64 + 1));
        }
        history
    }

    fn read(history: &History, from: u64) -> Vec<(u64, String, UserId)> {
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
    fn messages_come_back_in_order_from_anywhere() {
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
    fn long_texts_fill_a_chunk_before_its_messages_do() {
        let history = history((0..20).map(|_| "x".repeat(16_384)));
        assert_eq!(history.chunks.len(), 5);
        assert_eq!(read(&history, 1).len(), 20);
    }

    #[test]
    fn a_run_taken_before_a_push_does_not_change() {
        let mut history = history(["one".to_owned()]);
        let run = history.run_at(Seq(1));
        history.push((Position(2), id(2).into()), user(2), Timestamp::default(), "two");
        assert_eq!(run.messages().len(), 1);
        assert_eq!(history.run_at(Seq(1)).messages().len(), 2);
    }

    #[test]
    fn unread_is_what_others_wrote_after_the_mark() {
        // The authors take turns: 0, 1, …, 299, 0, 1, …
        let mut history = history((0..900).map(|number| format!("text {number}")));
        let naive = |user: usize, mark: u64, last: u64| {
            (mark + 1..=last).filter(|seq| usize::try_from(seq - 1).expect("small") % 300 != user).count()
                as u64
        };
        let stranger = 1_000;
        for (number, marks) in
            [(0, vec![0]), (7, vec![1, 8, 300, 307, 308, 900]), (299, vec![299, 899]), (stranger, vec![5])]
        {
            for last in [0, 8, 300, 900] {
                assert_eq!(history.unread(user(number), Seq(0), Seq(last)), naive(number, 0, last));
            }
            let mut before = Seq(0);
            for mark in marks.into_iter().filter(|mark| *mark > 0) {
                history.mark_moved(user(number), before, Seq(mark));
                before = Seq(mark);
                for last in [mark, mark.max(450), 900] {
                    assert_eq!(
                        history.unread(user(number), Seq(mark), Seq(last)),
                        naive(number, mark, last),
                        "{number} {mark} {last}"
                    );
                }
            }
        }
    }
}
