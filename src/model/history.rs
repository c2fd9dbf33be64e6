//! The history of a chat: its messages, in chunks, and its other events.
//!
//! A reader gets many messages by copying one pointer to a chunk. A push copies at most one chunk; the push that
//! closes a chunk also updates the counts of the chunk's authors.

pub(super) mod changing;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chunk::{AddedMessage, Chunk, Message, MessageRun};
use super::directory::UserIndex;
use super::extras::{Changes, EmojiIndex, ShortSeq};
use super::timeline::{ChatEvent, Timeline, TimelineEntry};
use crate::domain::{Position, Seq, Timestamp};

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

impl ChatHistory {
    pub(super) fn push(&mut self, message: AddedMessage<&str>) {
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

    /// Adds an event that only the timeline holds.
    pub(super) fn push_event(&mut self, entry: TimelineEntry, overtaken: Option<Position>) {
        if let ChatEvent::Read { user, seq } = entry.event {
            self.move_mark(user, seq);
        }
        self.timeline.push(entry, overtaken);
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
    use uuid::Uuid;

    use super::*;
    use crate::domain::UserId;
    use crate::model::ChatIndex;

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
