//! Views for readers: users, chats, lists of chats, and the events of a chat.
//!
//! A view shares what is large with the model and holds no lock.

use std::collections::HashSet;
use std::sync::Arc;

use super::Model;
use super::activity::{ListedChat, Rank};
use super::chunk::MessageRun;
use super::directory::{ChatEntry, ChatIndex, Stay, UserEntry, UserIndex};
use super::extras::{EmojiIndex, Reacted, Revision};
use super::members::Members;
use super::timeline::{ChatEvent, TimelineEntry};
use crate::domain::{ChatId, ErasedMessages, Position, Seq, Timestamp, UserId};

/// The numbers of users, chats and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Number of users.
    pub users: u64,
    /// Number of chats.
    pub chats: u64,
    /// Number of messages in all chats.
    pub messages: u64,
}

/// A user, as a reader sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// The user.
    pub id: UserId,
    /// The user's name; `None` if the user was erased.
    pub username: Option<Arc<str>>,
    /// The time at which the user was added.
    pub created_at: Timestamp,
    /// Whether the user was erased.
    pub is_erased: bool,
    /// The user's metadata, if there are some.
    pub metadata: Option<Arc<str>>,
}

/// A chat, as a member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatView {
    /// The chat.
    pub id: ChatId,
    /// The chat's name, if it has one.
    pub name: Option<Arc<str>>,
    /// Whether it is the chat of two users.
    pub is_direct: bool,
    /// The chat's metadata, if there are some.
    pub metadata: Option<Arc<str>>,
    /// The members, in the order in which they joined.
    pub users: Arc<Members>,
    /// The time at which the chat was added.
    pub created_at: Timestamp,
    /// The chat's place among all chats.
    pub rank: Rank,
    /// The last message, in a run of one, if the chat has messages.
    pub last_message: Option<MessageRun>,
    /// The reader's own reactions to the last message, if there is a reader.
    pub own: Option<OwnReactions>,
    /// The number of messages that others have sent since the reader's read mark, or 0 without a reader.
    pub unread: u64,
}

/// A user who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedUser {
    /// The user.
    pub id: UserId,
    /// The time.
    pub at: Timestamp,
    /// What became of the user's messages.
    pub messages: ErasedMessages,
}

/// The reactions of one user to the messages of a run: a message, and the place of the emoji among the message's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnReactions(Vec<(Seq, usize)>);

/// A reaction to a message, as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionView {
    /// The user.
    pub user: UserId,
    /// The emoji.
    pub emoji: Arc<str>,
    /// The time.
    pub at: Timestamp,
    /// The place of the reaction among those of the message.
    pub place: (EmojiIndex, UserIndex),
}

impl OwnReactions {
    /// Returns whether the user has reacted to the message with the emoji at this place.
    #[must_use]
    pub fn contains(&self, seq: Seq, emoji: usize) -> bool {
        self.0.binary_search(&(seq, emoji)).is_ok()
    }
}

impl Model {
    /// Returns the numbers of users, chats and messages.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (directory, activity) = (&self.index.directory, &self.index.activity);
        let (users, chats) = (directory.user_count(), directory.chat_count());
        Counts { users, chats, messages: activity.message_count() }
    }

    /// Returns the index of a user, or `None` if the user does not exist.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<UserIndex> {
        self.index.directory.user(id)
    }

    /// Returns the index of the user with this name, or `None` if there is no such user.
    #[must_use]
    pub fn user_named(&self, username: &str) -> Option<UserIndex> {
        self.index.directory.user_named(username)
    }

    /// Returns the index of a chat, or `None` if the chat does not exist.
    #[must_use]
    pub fn chat(&self, id: ChatId) -> Option<ChatIndex> {
        self.index.directory.chat(id)
    }

    /// Returns the id of a user.
    #[must_use]
    pub fn user_id(&self, user: UserIndex) -> UserId {
        self.index.directory.user_entry(user).id
    }

    /// Returns the id of a chat.
    #[must_use]
    pub fn chat_id(&self, chat: ChatIndex) -> ChatId {
        self.index.directory.chat_entry(chat).id
    }

    /// Returns a view of a user.
    #[must_use]
    pub fn user_view(&self, user: UserIndex) -> UserView {
        let UserEntry { id, username, created_at, .. } = self.index.directory.user_entry(user);
        let metadata = self.index.directory.user_metadata(user).cloned();
        let is_erased = self.index.was_erased(user);
        UserView { id: *id, username: username.clone(), created_at: *created_at, is_erased, metadata }
    }

    /// Returns views of the first users whose names begin with `prefix`, in the order of their names.
    #[must_use]
    pub fn users_beginning_with(&self, prefix: &str, users_max: usize) -> Vec<UserView> {
        let users = self.index.directory.users_beginning_with(prefix);
        users.take(users_max).map(|user| self.user_view(user)).collect()
    }

    /// Returns views of the first users who were added after this time, or of the first of all, in the order in which
    /// they were added.
    #[must_use]
    pub fn users_added_after(&self, time: Option<Timestamp>, users_max: usize) -> Vec<UserView> {
        let users = self.index.directory.users_added_after(time);
        users.take(users_max).map(|user| self.user_view(user)).collect()
    }

    /// Returns the members' read marks among the next `looks_max` marks of the chat after that of the user
    /// `after`, and the user to go on after, if there may be more.
    #[must_use]
    pub fn read_marks_after(
        &self,
        chat: ChatIndex,
        after: Option<UserIndex>,
        looks_max: usize,
    ) -> (Vec<(UserId, Seq)>, Option<UserIndex>) {
        let marks: Vec<_> = self.index.marks_after(chat, after).take(looks_max).collect();
        let next = if marks.len() == looks_max { marks.last().map(|(user, _)| *user) } else { None };
        let of_members = marks.into_iter().filter(|(user, _)| self.has_member(chat, *user));
        (of_members.map(|(user, seq)| (self.user_id(user), seq)).collect(), next)
    }

    /// Returns the members of a chat, in the order in which they joined.
    #[must_use]
    pub fn members(&self, chat: ChatIndex) -> &Arc<Members> {
        &self.index.directory.chat_entry(chat).users
    }

    /// Returns whether the user is a member of the chat.
    #[must_use]
    pub fn has_member(&self, chat: ChatIndex, user: UserIndex) -> bool {
        self.index.directory.has_member(chat, user)
    }

    /// Returns all stays of the user, in the order in which they began.
    #[must_use]
    pub fn stays(&self, user: UserIndex) -> &[Stay] {
        self.index.directory.stays(user)
    }

    /// Returns the number of the user's [stay](Self::stays) in the chat, if the user is a member.
    #[must_use]
    pub fn stay_in(&self, user: UserIndex, chat: ChatIndex) -> Option<u32> {
        self.index.directory.stay_in(user, chat)
    }

    /// Returns the position at which the user last left any chat, or 0.
    #[must_use]
    pub fn last_left(&self, user: UserIndex) -> Position {
        self.index.directory.last_left(user)
    }

    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked. Those of a
    /// user who was erased never are.
    #[must_use]
    pub fn tokens_from(&self, user: UserIndex) -> u64 {
        if self.index.was_erased(user) { u64::MAX } else { self.index.tokens_from_of(user) }
    }

    /// Returns the time at which the user got the name, if it may have been another user's shortly before.
    #[must_use]
    pub fn renamed_at(&self, user: UserIndex) -> Option<Timestamp> {
        self.index.renamed_at(user)
    }

    /// Returns the number of revocations of all users.
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.index.revocations
    }

    /// Returns the user's chats, in no order.
    #[must_use]
    pub fn chats_of(&self, user: UserIndex) -> Vec<ChatIndex> {
        self.index.directory.chats_of(user).keys().copied().collect()
    }

    /// Lists the user's chats that rank below `below`, highest rank first, at most `limit`. Returns `None` if
    /// that takes looking at more than `looks_max` chats.
    #[must_use]
    pub fn top_chats(
        &self,
        user: UserIndex,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<ListedChat>> {
        self.index.activity.top(self.index.directory.chats_of(user), below, limit, looks_max)
    }

    /// Lists a chat as it is now.
    #[must_use]
    pub fn listed(&self, chat: ChatIndex) -> ListedChat {
        self.index.activity.listed(chat)
    }

    /// Returns whether the user is a member of a listed chat.
    #[must_use]
    pub fn is_member_of_listed(&self, user: UserIndex, listed: &ListedChat) -> bool {
        self.has_member(listed.chat, user)
    }

    /// Returns a reader's view of a listed chat. Its rank, its last message and its number of unread messages
    /// are those of the time at which it was listed. Everything else is current.
    #[must_use]
    pub fn view(&self, reader: Option<UserIndex>, listed: ListedChat) -> ChatView {
        let (chat, rank, last) = (listed.chat, listed.rank, listed.last());
        let ChatEntry { id, name, users, created_at, is_direct } =
            self.index.directory.chat_entry(chat).clone();
        let metadata = self.index.directory.chat_metadata(chat).cloned();
        let history = self.histories.of(chat);
        let last_message = (last > Seq(0)).then(|| history.message_at(last));
        let unread = reader.map_or(0, |user| history.unread(user, self.index.mark_of(chat, user), last));
        let own =
            reader.zip(last_message.as_ref()).map(|(reader, run)| self.own_reactions(chat, run, reader));
        ChatView { id, name, is_direct, metadata, users, created_at, rank, last_message, own, unread }
    }

    /// Returns the seq of the chat's last message, or 0 if it has no messages.
    #[must_use]
    pub fn newest_seq(&self, chat: ChatIndex) -> Seq {
        self.index.activity.newest_seq(chat)
    }

    /// Returns the messages of the chat from this one to the end of its chunk.
    ///
    /// # Panics
    ///
    /// Panics if the chat has no such message.
    #[must_use]
    pub fn run_at(&self, chat: ChatIndex, seq: Seq) -> MessageRun {
        self.histories.of(chat).run_at(seq)
    }

    /// Returns this message of the chat, as a run of one.
    ///
    /// # Panics
    ///
    /// Panics if the chat has no such message.
    #[must_use]
    pub fn message_at(&self, chat: ChatIndex, seq: Seq) -> MessageRun {
        self.histories.of(chat).message_at(seq)
    }

    /// Returns the user's reactions to the messages of a run.
    #[must_use]
    pub fn own_reactions(&self, chat: ChatIndex, run: &MessageRun, user: UserIndex) -> OwnReactions {
        let (history, emoji) = (self.histories.of(chat), self.histories.emoji());
        let mut own = Vec::new();
        for message in run.messages() {
            let reactions = message.extras.map_or(&[][..], |extras| &extras.reactions);
            for (place, (text, _)) in reactions.iter().enumerate() {
                let is_own =
                    emoji.find(text).is_some_and(|emoji| history.has_reacted(message.seq, emoji, user));
                own.extend(is_own.then_some((message.seq, place)));
            }
        }
        OwnReactions(own)
    }

    /// Returns the first reactions to a message after a place, by emoji, at most `limit`; only those with `emoji`, if it is
    /// given.
    #[must_use]
    pub fn reactions_after(
        &self,
        chat: ChatIndex,
        seq: Seq,
        emoji: Option<&str>,
        after: Option<(EmojiIndex, UserIndex)>,
        limit: usize,
    ) -> Vec<ReactionView> {
        let table = self.histories.emoji();
        let Some(changes) = self.histories.of(chat).changes() else { return Vec::new() };
        let wanted = match emoji.map(|emoji| table.find(emoji)) {
            // Nobody has ever used it.
            Some(None) => return Vec::new(),
            Some(Some(emoji)) => Some(emoji),
            None => None,
        };
        // The reactions with one emoji follow one another.
        let first = wanted.and_then(|emoji| emoji.to_u32().checked_sub(1));
        let first = first.map(|before| (EmojiIndex::from_u32(before), UserIndex::from_u32(u32::MAX)));
        let found = changes
            .reactions_after(seq, after.max(first))
            .take_while(|(emoji, ..)| wanted.is_none_or(|wanted| *emoji <= wanted));
        let view = |(emoji, user, reacted): (EmojiIndex, UserIndex, Reacted)| ReactionView {
            user: self.user_id(user),
            emoji: Arc::clone(table.text(emoji)),
            at: reacted.at,
            place: (emoji, user),
        };
        found.take(limit).map(view).collect()
    }

    /// Returns the earlier texts of a message that are kept, oldest first.
    #[must_use]
    pub fn revisions(&self, chat: ChatIndex, seq: Seq) -> Vec<Revision> {
        self.histories.of(chat).changes().map_or_else(Vec::new, |changes| changes.revisions(seq).to_vec())
    }

    /// Returns the messages of a chat that were sent or have changed after one position and up to another, in the order of
    /// their last changes: the first `wanted` of them, and all that changed at the position of the last of these.
    #[must_use]
    pub fn changed_after(
        &self,
        chat: ChatIndex,
        after: Position,
        upto: Position,
        wanted: usize,
    ) -> Vec<(Position, Seq)> {
        self.histories.of(chat).changed_after(after, upto, wanted)
    }

    /// Returns the text of an emoji, and the number of users who react with it to the message.
    #[must_use]
    pub fn reaction_count(&self, chat: ChatIndex, seq: Seq, emoji: EmojiIndex) -> (Arc<str>, u32) {
        let text = self.histories.emoji().text(emoji);
        let extras = self.histories.of(chat).message(seq).extras;
        let found = extras.and_then(|extras| extras.reactions.iter().find(|(known, _)| known == text));
        (Arc::clone(text), found.map_or(0, |(_, count)| *count))
    }

    /// Returns the time at which the message was deleted, if it was.
    #[must_use]
    pub fn deleted_at(&self, chat: ChatIndex, seq: Seq) -> Option<Timestamp> {
        self.histories.of(chat).message(seq).extras?.deleted.map(|(at, _)| at)
    }

    /// Returns what is left of a user who was erased.
    #[must_use]
    pub fn erased_user(&self, user: UserIndex) -> Option<ErasedUser> {
        let (at, messages) = self.index.erasure_of(user)?;
        Some(ErasedUser { id: self.user_id(user), at, messages })
    }

    /// Returns the users who were edited or erased after this position, by the position of the last such event.
    pub fn users_changed_after(&self, position: Position) -> impl Iterator<Item = (Position, UserIndex)> {
        self.index.users_changed_after(position)
    }

    /// Returns whether the event at this position is the last one that edited or erased the user.
    #[must_use]
    pub fn is_last_change(&self, user: UserIndex, position: Position) -> bool {
        self.index.last_change_of(user) == Some(position)
    }

    /// Returns the position of the last edit of the chat's name or metadata, if there was one.
    #[must_use]
    pub fn last_edit_of_chat(&self, chat: ChatIndex) -> Option<Position> {
        self.index.last_edit_of_chat(chat)
    }

    /// Returns whether a follower learns that this user was edited or erased: whoever shares a chat with the user, and of
    /// an erasure also whoever has shared one.
    #[must_use]
    pub fn sees_change_of(&self, follower: UserIndex, user: UserIndex) -> bool {
        let directory = &self.index.directory;
        if follower == user {
            return true;
        }
        if self.index.erasure_of(user).is_some() {
            let chats: HashSet<_> = directory.stays(follower).iter().map(|stay| stay.chat).collect();
            return directory.stays(user).iter().any(|stay| chats.contains(&stay.chat));
        }
        let (one, other) = (directory.chats_of(follower), directory.chats_of(user));
        let (few, many) = if one.len() <= other.len() { (one, other) } else { (other, one) };
        few.keys().any(|chat| many.contains_key(chat))
    }

    /// Returns whether an event of a chat can be shown to a user of whom this is a stay in it: messages are shown as they
    /// are now, and nothing is shown of what came after the user left.
    #[must_use]
    pub fn is_as_it_was(&self, stay: Stay, event: ChatEvent) -> bool {
        let seq = match event {
            ChatEvent::Message(seq) | ChatEvent::Edited(seq) => seq,
            ChatEvent::Reacted { seq, .. } | ChatEvent::TookBack { seq, .. } => seq.into(),
            ChatEvent::Deleted(_)
            | ChatEvent::Joined(_)
            | ChatEvent::Left(_)
            | ChatEvent::Read { .. }
            | ChatEvent::ChatEdited => return true,
        };
        let extras = self.histories.of(stay.chat).message(seq).extras;
        extras.is_none_or(|extras| extras.changed <= stay.left)
    }

    /// Returns the first event of the chat after this position. The addition of the chat itself does not
    /// count.
    #[must_use]
    pub fn first_after(&self, chat: ChatIndex, position: Position) -> Option<TimelineEntry> {
        self.histories.of(chat).first_after(position)
    }

    /// Returns the event of the chat at this position, or `None` if there is none: it may be a read mark that was
    /// overtaken. The addition of the chat itself does not count.
    #[must_use]
    pub fn event_at(&self, chat: ChatIndex, position: Position) -> Option<ChatEvent> {
        let entry = self.first_after(chat, Position(position.0 - 1))?;
        (entry.position == position).then_some(entry.event)
    }
}
