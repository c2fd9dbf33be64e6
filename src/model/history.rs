//! The history of each chat: its messages, in chunks, and its other events.
//!
//! A reader gets many messages by copying one pointer to a chunk, and a push moves at most one chunk.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chunk::{AddedMessage, Chunk, MessageRun};
use super::directory::{ChatIndex, Member, UserIndex};
use super::pieces::Pieces;
use super::timeline::{Timeline, TimelineEntry};
use crate::domain::{Position, Seq, Timestamp};

/// The histories of all chats.
#[derive(Debug, Default, PartialEq)]
pub struct Histories {
    chats: Pieces<ChatHistory>,
}

/// The addition of an event to the histories. `T` is the text of a message, or the length that stands for it.
#[derive(Debug, Clone, Copy)]
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
}

impl<T> Addition<T> {
    /// Replaces a message's text.
    pub fn map_text<U>(self, map: impl FnOnce(T) -> U) -> Addition<U> {
        match self {
            Self::Nothing => Addition::Nothing,
            Self::Chat => Addition::Chat,
            Self::Message(AddedMessage { position, chat, id, author, author_index, created_at, text }) => {
                let text = map(text);
                Addition::Message(AddedMessage { position, chat, id, author, author_index, created_at, text })
            }
            Self::Event { chat, entry, overtaken } => Addition::Event { chat, entry, overtaken },
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
                self.chats[chat.as_usize()].timeline.push(entry, overtaken);
            }
        }
    }

    pub(super) fn of(&self, chat: ChatIndex) -> &ChatHistory {
        &self.chats[chat.as_usize()]
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct ChatHistory {
    chunks: Vec<Arc<Chunk>>,
    /// Number of an author's messages in earlier chunks, for each chunk that has messages of the author. It
    /// serves to leave an author's own messages out of the unread ones.
    written_before: BTreeMap<(UserIndex, u32), u32>,
    timeline: Timeline,
}

impl ChatHistory {
    fn push(&mut self, message: AddedMessage<&str>) {
        if self.chunks.last().is_none_or(|chunk| !chunk.has_room_at(message.position)) {
            if let Some(full) = self.chunks.last_mut() {
                Arc::make_mut(full).shrink();
            }
            self.chunks.push(Arc::new(Chunk::starting_at(Seq(self.last().0 + 1), message.position)));
        }
        let chunk = self.chunks.last_mut().expect("pushed if there was none");
        let author = Member { id: message.author, index: message.author_index };
        let is_first_in_chunk = Arc::make_mut(chunk).push(message);
        if is_first_in_chunk {
            let number = self.chunks.len() - 1;
            let before = self.written_in_chunks(author, number);
            self.written_before.insert((author.index, chunk_number(number)), before);
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

    /// Returns the seq of the last message sent up to this time, or 0 if there is no such message.
    pub(super) fn last_until(&self, time: Timestamp) -> Seq {
        let begun = self.chunks.partition_point(|chunk| chunk.first_created_at() <= time);
        begun.checked_sub(1).map_or(Seq(0), |last| self.chunks[last].last_until(time))
    }

    /// Returns the number of messages after `mark`, up to `last`, whose author is not the reader.
    pub(super) fn unread(&self, reader: Member, mark: Seq, last: Seq) -> u64 {
        // The caller may have looked up `last` before the mark moved beyond it.
        let Some(after_mark) = last.0.checked_sub(mark.0) else { return 0 };
        after_mark - u64::from(self.written_until(reader, last) - self.written_until(reader, mark))
    }

    /// Returns the number of messages up to this seq whose author is the user.
    fn written_until(&self, user: Member, seq: Seq) -> u32 {
        let begun = self.chunks.partition_point(|chunk| chunk.first <= seq);
        let Some(last) = begun.checked_sub(1) else { return 0 };
        self.written_in_chunks(user, last) + self.chunks[last].written_until(user.id, seq)
    }

    /// Returns the number of messages in the first `chunks` chunks whose author is the user.
    fn written_in_chunks(&self, user: Member, chunks: usize) -> u32 {
        let earlier = (user.index, 0)..(user.index, chunk_number(chunks));
        self.written_before.range(earlier).next_back().map_or(0, |((_, chunk), before)| {
            let chunk = &self.chunks[*chunk as usize];
            before + chunk.written_until(user.id, chunk.last())
        })
    }

    /// Returns the messages from this one to the end of its chunk.
    pub(super) fn run_at(&self, seq: Seq) -> MessageRun {
        let after = self.chunks.partition_point(|chunk| chunk.first <= seq);
        let chunk = &self.chunks[after.checked_sub(1).expect("seqs begin with 1")];
        MessageRun::of(chunk).starting_at(seq, usize::MAX)
    }
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

    fn user(number: usize) -> Member {
        let index = UserIndex::from_u32(u32::try_from(number).expect("small"));
        Member { id: id(number).into(), index }
    }

    fn message(index: usize, text: &str) -> AddedMessage<&str> {
        let created_at = Timestamp::from_micros(index as u64).expect("small");
        let position = Position(index as u64 + 1);
        let (chat, author) = (ChatIndex::from_u32(0), user(index % 300));
        let (id, author, author_index) = (id(index).into(), author.id, author.index);
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
        // The authors write in turn: 0, 1, …, 299, 0, 1, …
        let history = history((0..900).map(|number| format!("text {number}")));
        let naive = |user: usize, mark: u64, last: u64| {
            (mark + 1..=last).filter(|seq| usize::try_from(seq - 1).expect("small") % 300 != user).count()
                as u64
        };
        let outsider = 1_000;
        for (number, marks) in
            [(0, vec![0]), (7, vec![1, 8, 300, 307, 308, 900]), (299, vec![299, 899]), (outsider, vec![5])]
        {
            for last in [0, 8, 300, 900] {
                assert_eq!(history.unread(user(number), Seq(0), Seq(last)), naive(number, 0, last));
            }
            for mark in marks.into_iter().filter(|mark| *mark > 0) {
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
