//! What a message is besides its text, its author and its time, and what has changed in a chat since its messages were
//! sent.
//!
//! Most messages have nothing of this, and cost nothing for it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::directory::UserIndex;
use crate::domain::{Deletion, Position, Seq, Timestamp};

/// What a message is besides its text, its author and its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// Its metadata, if there are some.
    pub metadata: Option<Arc<str>>,
    /// The time of its last edit, if there was one.
    pub edited_at: Option<Timestamp>,
    /// The time at which it was deleted, and how, if it was.
    pub deleted: Option<(Timestamp, Deletion)>,
    /// The emoji of its reactions, in the order in which they came, each with the number of users.
    pub reactions: Vec<(Arc<str>, u32)>,
    /// The position of its last edit, or of its deletion, or 0.
    pub rewritten: Position,
    /// The position at which anything of it last changed, or 0.
    pub changed: Position,
}

impl Extras {
    pub(super) fn count_reaction(&mut self, emoji: &Arc<str>) {
        match self.reactions.iter_mut().find(|(known, _)| known == emoji) {
            Some((_, count)) => *count += 1,
            None => self.reactions.push((Arc::clone(emoji), 1)),
        }
    }

    pub(super) fn uncount_reaction(&mut self, emoji: &str) {
        self.reactions.retain_mut(|(known, count)| {
            if **known == *emoji {
                *count -= 1;
            }
            *count > 0
        });
    }
}

/// An emoji that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmojiIndex(u32);

impl EmojiIndex {
    /// Returns the index as a number.
    #[must_use]
    pub fn to_u32(self) -> u32 {
        self.0
    }

    /// Returns the index that is this number.
    #[must_use]
    pub fn from_u32(index: u32) -> Self {
        Self(index)
    }
}

/// All emoji that were ever used.
#[derive(Debug, Default, PartialEq)]
pub(super) struct EmojiTable {
    texts: Vec<Arc<str>>,
    by_text: HashMap<Arc<str>, EmojiIndex>,
}

impl EmojiTable {
    pub(super) fn find(&self, emoji: &str) -> Option<EmojiIndex> {
        self.by_text.get(emoji).copied()
    }

    pub(super) fn find_or_add(&mut self, emoji: &str) -> EmojiIndex {
        self.find(emoji).unwrap_or_else(|| {
            let index = EmojiIndex(u32::try_from(self.texts.len()).expect("memory ends before 2^32 emoji"));
            let text = Arc::<str>::from(emoji);
            self.texts.push(Arc::clone(&text));
            self.by_text.insert(text, index);
            index
        })
    }

    pub(super) fn text(&self, emoji: EmojiIndex) -> &Arc<str> {
        &self.texts[emoji.0 as usize]
    }
}

/// The seq of a message, in 32 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortSeq(u32);

impl From<Seq> for ShortSeq {
    /// # Panics
    ///
    /// Panics from 2³² on. Memory ends long before.
    fn from(Seq(seq): Seq) -> Self {
        Self(u32::try_from(seq).expect("memory ends before 2^32 messages"))
    }
}

impl From<ShortSeq> for Seq {
    fn from(ShortSeq(seq): ShortSeq) -> Self {
        Self(seq.into())
    }
}

/// A reaction of a user to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reacted {
    pub(super) at: Timestamp,
    /// The position of the event.
    pub(super) position: Position,
}

/// An earlier text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The text.
    pub text: Arc<str>,
    /// The metadata, if there were some.
    pub metadata: Option<Arc<str>>,
    /// The time at which it was written.
    pub at: Timestamp,
}

/// Maximum earlier texts of a message that are kept.
pub const REVISIONS_MAX: usize = 100;

/// What has changed in a chat since its messages were sent.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// The messages that have changed, by the position of the last change.
    by_position: BTreeSet<(Position, ShortSeq)>,
    reactions: BTreeMap<(ShortSeq, EmojiIndex, UserIndex), Reacted>,
    revisions: BTreeMap<ShortSeq, Vec<Revision>>,
    /// The messages to which users have reacted whose erasure comes later in the log. Their emoji have left it.
    erased_reactions: BTreeSet<(UserIndex, ShortSeq)>,
    /// The number of deleted messages of each chunk.
    pub(super) deleted: ChunkCounts,
}

/// The place of a reaction among those of a chat.
#[derive(Debug, Clone, Copy)]
pub struct ReactionKey((ShortSeq, EmojiIndex, UserIndex));

impl Changes {
    /// Notes that a message has changed, which had last changed at `before`.
    pub(super) fn note(&mut self, seq: Seq, before: Position, position: Position) {
        self.by_position.remove(&(before, seq.into()));
        self.by_position.insert((position, seq.into()));
    }

    /// Returns the messages that have changed after this position, by the position of the last change.
    pub(super) fn after(&self, position: Position) -> impl Iterator<Item = (Position, Seq)> {
        let first = (position.next(), ShortSeq(0));
        self.by_position.range(first..).map(|(position, seq)| (*position, (*seq).into()))
    }

    pub(super) fn reaction(&self, seq: Seq, emoji: EmojiIndex, user: UserIndex) -> Option<Reacted> {
        self.reactions.get(&(seq.into(), emoji, user)).copied()
    }

    /// Returns the reactions to a message after this one, in the order of their emoji and users.
    pub(super) fn reactions_after(
        &self,
        seq: Seq,
        after: Option<(EmojiIndex, UserIndex)>,
    ) -> impl Iterator<Item = (EmojiIndex, UserIndex, Reacted)> {
        let seq = seq.into();
        let first = match after {
            None => Bound::Included((seq, EmojiIndex(0), UserIndex::from_u32(0))),
            Some((emoji, user)) => Bound::Excluded((seq, emoji, user)),
        };
        let last = Bound::Included((seq, EmojiIndex(u32::MAX), UserIndex::from_u32(u32::MAX)));
        self.reactions.range((first, last)).map(|(&(_, emoji, user), reacted)| (emoji, user, *reacted))
    }

    /// Returns the user's reactions among the next `looks_max` after one, and the one to go on after, if there may be more.
    pub(super) fn reactions_by(
        &self,
        user: UserIndex,
        after: Option<ReactionKey>,
        looks_max: usize,
    ) -> (Vec<(Seq, EmojiIndex, Timestamp)>, Option<ReactionKey>) {
        let after = after.map_or(Bound::Unbounded, |ReactionKey(after)| Bound::Excluded(after));
        let looked: Vec<_> = self.reactions.range((after, Bound::Unbounded)).take(looks_max).collect();
        let next = looked.last().filter(|_| looked.len() == looks_max).map(|(key, _)| ReactionKey(**key));
        let of_user = looked.into_iter().filter(|((_, _, by), _)| *by == user);
        (of_user.map(|(&(seq, emoji, _), reacted)| (seq.into(), emoji, reacted.at)).collect(), next)
    }

    /// Adds a reaction. Returns `false` if it is there.
    pub(super) fn react(&mut self, seq: Seq, emoji: EmojiIndex, user: UserIndex, reacted: Reacted) -> bool {
        let place = self.reactions.entry((seq.into(), emoji, user));
        let is_new = matches!(place, Entry::Vacant(_));
        place.or_insert(reacted);
        is_new
    }

    /// Removes a reaction, if it is there.
    pub(super) fn take_back(&mut self, seq: Seq, emoji: EmojiIndex, user: UserIndex) -> Option<Reacted> {
        self.reactions.remove(&(seq.into(), emoji, user))
    }

    /// Removes all reactions to a message.
    pub(super) fn take_all(&mut self, seq: Seq) -> Vec<(EmojiIndex, UserIndex, Reacted)> {
        let all: Vec<_> = self.reactions_after(seq, None).collect();
        for (emoji, user, _) in &all {
            self.take_back(seq, *emoji, *user);
        }
        all
    }

    /// Removes all reactions of a user.
    pub(super) fn take_all_of(&mut self, user: UserIndex) -> Vec<(Seq, EmojiIndex, Reacted)> {
        let is_of_user = |(key, _): &(&(ShortSeq, EmojiIndex, UserIndex), &Reacted)| key.2 == user;
        let all: Vec<_> =
            self.reactions.iter().filter(is_of_user).map(|(key, reacted)| (*key, *reacted)).collect();
        for (key, _) in &all {
            self.reactions.remove(key);
        }
        all.into_iter().map(|((seq, emoji, _), reacted)| (seq.into(), emoji, reacted)).collect()
    }

    /// Notes a reaction, or the end of one, whose emoji has left the log.
    pub(super) fn note_erased_reaction(&mut self, user: UserIndex, seq: Seq) {
        self.erased_reactions.insert((user, seq.into()));
    }

    /// Takes the messages to which a user has reacted whose emoji have left the log.
    pub(super) fn take_erased_reactions(&mut self, user: UserIndex) -> Vec<Seq> {
        let range = (user, ShortSeq(0))..=(user, ShortSeq(u32::MAX));
        let seqs: Vec<_> = self.erased_reactions.range(range).map(|(_, seq)| *seq).collect();
        for seq in &seqs {
            self.erased_reactions.remove(&(user, *seq));
        }
        seqs.into_iter().map(Seq::from).collect()
    }

    /// Returns the reactions to a message by emoji, each with the number of users, in the order of the first of them.
    pub(super) fn counted(&self, seq: Seq) -> Vec<(EmojiIndex, u32)> {
        let mut counted = BTreeMap::<EmojiIndex, (Position, u32)>::new();
        for (emoji, _, reacted) in self.reactions_after(seq, None) {
            let (first, count) = counted.entry(emoji).or_insert((reacted.position, 0));
            *first = reacted.position.min(*first);
            *count += 1;
        }
        let mut counted: Vec<_> = counted.into_iter().collect();
        counted.sort_unstable_by_key(|(_, (first, _))| *first);
        counted.into_iter().map(|(emoji, (_, count))| (emoji, count)).collect()
    }

    /// Keeps an earlier text of a message. Beyond [`REVISIONS_MAX`], the oldest one goes.
    pub(super) fn keep(&mut self, seq: Seq, revision: Revision) {
        let revisions = self.revisions.entry(seq.into()).or_default();
        if revisions.len() == REVISIONS_MAX {
            revisions.remove(0);
        }
        revisions.push(revision);
    }

    /// Forgets what was replaced up to this time of the earlier texts of a message. `present` is the present one, with
    /// the time of the last edit; that of a deleted message has no text, and the time of the deletion.
    pub(super) fn forget_replaced(&mut self, seq: Seq, present: &Revision, until: Timestamp) {
        let Entry::Occupied(mut revisions) = self.revisions.entry(seq.into()) else { return };
        let (mut after, mut text_replaced, mut metadata_replaced) = (present.clone(), None, None);
        for revision in revisions.get_mut().iter_mut().rev() {
            let before = revision.clone();
            if before.text != after.text {
                text_replaced = Some(after.at);
            }
            if before.metadata != after.metadata {
                metadata_replaced = Some(after.at);
            }
            let is_due = |replaced: Option<Timestamp>| replaced.is_some_and(|replaced| replaced <= until);
            if is_due(text_replaced) {
                revision.text = "".into();
            }
            if is_due(metadata_replaced) {
                revision.metadata = None;
            }
            after = before;
        }
        // A text is never empty.
        revisions.get_mut().retain(|revision| !revision.text.is_empty());
        if revisions.get().is_empty() {
            revisions.remove();
        }
    }

    /// Forgets the earlier texts of a message.
    pub(super) fn forget_revisions(&mut self, seq: Seq) {
        self.revisions.remove(&seq.into());
    }

    /// Returns the earlier texts of a message that are kept, oldest first.
    pub(super) fn revisions(&self, seq: Seq) -> &[Revision] {
        self.revisions.get(&seq.into()).map_or(&[], Vec::as_slice)
    }
}

/// A number for each chunk, and the sum of those before a chunk in logarithmic time (Fenwick, "A new data structure for
/// cumulative frequency tables", 1994).
#[derive(Debug, Default, PartialEq)]
pub(super) struct ChunkCounts(Vec<u32>);

impl ChunkCounts {
    /// Adds to the number of a chunk.
    pub(super) fn add(&mut self, chunk: usize, count: u32) {
        while self.0.len() <= chunk {
            let end = self.0.len() + 1;
            let sum = self.before(end - 1) - self.before(end - lowest_bit(end));
            self.0.push(sum);
        }
        let mut end = chunk + 1;
        while let Some(sum) = self.0.get_mut(end - 1) {
            *sum += count;
            end += lowest_bit(end);
        }
    }

    /// Returns the sum of the numbers of the chunks before this one.
    pub(super) fn before(&self, chunk: usize) -> u32 {
        let mut end = chunk.min(self.0.len());
        let mut sum = 0;
        while end > 0 {
            sum += self.0[end - 1];
            end -= lowest_bit(end);
        }
        sum
    }
}

fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_all_chunks_before() {
        let mut counts = ChunkCounts::default();
        let mut naive = vec![0; 300];
        let mut random = 1_u64;
        for _ in 0..500 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (chunk, count) =
                (usize::try_from((random >> 33) % 300).expect("small"), 1 + (random >> 60) as u32);
            counts.add(chunk, count);
            naive[chunk] += count;
        }
        for chunk in 0..310 {
            assert_eq!(counts.before(chunk), naive.iter().take(chunk).sum::<u32>(), "{chunk}");
        }
    }
}
