//! The index that rules and tools consult: users, chats, members, read marks, revocations, and used idempotency keys.

mod applying;

use std::collections::BTreeMap;
use std::ops::Bound;

use super::activity::Activity;
use super::directory::{ChatIndex, Directory, UserIndex};
use super::epochs::Epochs;
use super::keys::Keys;
use super::rewrites::Rewrites;
use super::subjects::{Subject, Subjects};
use crate::domain::{Epoch, ErasedMessages, IdempotencyKey, Position, Seq, Timestamp};

/// The part of the model besides the [histories](super::Histories) of the chats.
#[derive(Debug, Default, PartialEq)]
pub struct Index {
    pub(super) position: Position,
    pub(super) time: Timestamp,
    epochs: Epochs,
    pub(super) directory: Directory,
    pub(super) activity: Activity,
    read_marks: BTreeMap<(ChatIndex, UserIndex), ReadMark>,
    /// The time of the last revocation of each user who has one, in Unix seconds.
    tokens_from: BTreeMap<UserIndex, u64>,
    pub(super) revocations: u64,
    /// The time of the erasure of each user who was erased, and what became of the messages.
    erased: BTreeMap<UserIndex, (Timestamp, ErasedMessages)>,
    /// The time of the last event by which a user lost a name.
    name_lost: Option<Timestamp>,
    /// The users whose names may have been those of others shortly before, each with the time at which the user got the
    /// name.
    renamed: BTreeMap<UserIndex, Timestamp>,
    /// The users who were edited or erased, by the position of the last such event.
    changed_users: BTreeMap<Position, UserIndex>,
    user_changes: BTreeMap<UserIndex, Position>,
    rewrites: Rewrites,
    /// The position of the last edit of each chat that was edited.
    chat_edits: BTreeMap<ChatIndex, Position>,
    pub(super) keys: Keys,
    /// `None` if nobody follows all events: they cost four bytes an event.
    subjects: Option<Subjects>,
}

/// The last message that a user has read, and the position of the event that marked it.
#[derive(Debug, PartialEq)]
struct ReadMark {
    seq: Seq,
    position: Position,
}

impl Index {
    /// Returns an empty index that also keeps the [subject](Self::subject_at) of each event.
    #[must_use]
    pub fn keeping_subjects() -> Self {
        Self { subjects: Some(Subjects::default()), ..Self::default() }
    }

    /// Returns the users who were edited or erased after this position, by the position of the last such event.
    pub(super) fn users_changed_after(
        &self,
        position: Position,
    ) -> impl Iterator<Item = (Position, UserIndex)> {
        self.changed_users.range(position.next()..).map(|(position, user)| (*position, *user))
    }

    /// Returns the position of the last event that edited or erased the user, if there is one.
    pub(super) fn last_change_of(&self, user: UserIndex) -> Option<Position> {
        self.user_changes.get(&user).copied()
    }

    /// Returns the position of the last edit of the chat, if there was one.
    pub(super) fn last_edit_of_chat(&self, chat: ChatIndex) -> Option<Position> {
        self.chat_edits.get(&chat).copied()
    }

    /// Returns the time at which the user got the name, if it may have been another user's shortly before.
    pub(super) fn renamed_at(&self, user: UserIndex) -> Option<Timestamp> {
        self.renamed.get(&user).copied()
    }

    pub(super) fn was_erased(&self, user: UserIndex) -> bool {
        self.erasure_of(user).is_some()
    }

    pub(super) fn erasure_of(&self, user: UserIndex) -> Option<(Timestamp, ErasedMessages)> {
        self.erased.get(&user).copied()
    }

    /// Returns the position of the last event, or 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Begins an epoch with the next event, unless it is the current one.
    pub fn enter_epoch(&mut self, epoch: Epoch) {
        self.epochs.enter(self.position.next(), epoch);
    }

    /// Returns the epoch of the event at this position, which must not be beyond the last.
    #[must_use]
    pub fn epoch_at(&self, position: Position) -> Epoch {
        self.epochs.at(position)
    }

    /// Returns whether this index keeps the [subject](Self::subject_at) of each event.
    #[must_use]
    pub fn keeps_subjects(&self) -> bool {
        self.subjects.is_some()
    }

    /// Returns the user or chat that the event at this position is about, or `None` if it is about neither.
    ///
    /// # Panics
    ///
    /// Panics if there is no such event, or if this index does not [keep subjects](Self::keeping_subjects).
    #[must_use]
    pub fn subject_at(&self, position: Position) -> Option<Subject> {
        self.subjects.as_ref().expect("the index keeps subjects").at(position)
    }

    /// Returns the number of events that made something due at once, for a scrub of the log.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        self.rewrites.erasures
    }

    /// Returns whether something was edited or deleted later than `after`, and not later than `until`. May be wrongly `true`
    /// if changes before and after these times fall into one hour.
    #[must_use]
    pub fn was_rewritten_within(&self, after: Timestamp, until: Timestamp) -> bool {
        self.rewrites.any_within(after, until)
    }

    /// Returns the time of the last event.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns whether a request had this key.
    #[must_use]
    pub fn is_used(&self, key: &IdempotencyKey<'_>) -> bool {
        self.keys.recall(key).is_some()
    }

    /// Returns the read marks of the chat after that of this user, in the order of the users' indexes. Those of
    /// former members are among them.
    pub(super) fn marks_after(
        &self,
        chat: ChatIndex,
        user: Option<UserIndex>,
    ) -> impl Iterator<Item = (UserIndex, Seq)> {
        let start = user
            .map_or(Bound::Included((chat, UserIndex::from_u32(0))), |user| Bound::Excluded((chat, user)));
        let marks = self.read_marks.range((start, Bound::Included((chat, UserIndex::from_u32(u32::MAX)))));
        marks.map(|(&(_, user), mark)| (user, mark.seq))
    }

    /// Returns the seq up to which the user has read the chat, or 0 if they have read nothing.
    pub(super) fn mark_of(&self, chat: ChatIndex, user: UserIndex) -> Seq {
        self.read_marks.get(&(chat, user)).map_or(Seq(0), |mark| mark.seq)
    }

    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked.
    pub(super) fn tokens_from_of(&self, user: UserIndex) -> u64 {
        self.tokens_from.get(&user).copied().unwrap_or(0)
    }
}
