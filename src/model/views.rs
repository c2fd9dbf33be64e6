//! Views for readers: users, chats, lists of chats, and the events of a chat.
//!
//! A view shares what is large with the model and holds no lock.

use std::sync::Arc;

use super::Model;
use super::activity::{ListedChat, Rank};
use super::chunk::MessageRun;
use super::directory::{ChatEntry, ChatIndex, Stay, UserEntry, UserIndex};
use super::members::Members;
use super::timeline::{ChatEvent, TimelineEntry};
use crate::domain::{ChatId, Position, Seq, Timestamp, UserId};

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
    /// The user's name.
    pub username: Arc<str>,
    /// The time at which the user was added.
    pub created_at: Timestamp,
}

/// A chat, as a member sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatView {
    /// The chat.
    pub id: ChatId,
    /// The chat's name.
    pub name: Arc<str>,
    /// The members, in the order in which they joined.
    pub users: Arc<Members>,
    /// The time at which the chat was added.
    pub created_at: Timestamp,
    /// The chat's place among all chats.
    pub rank: Rank,
    /// The last message, in a run of one, if the chat has messages.
    pub last_message: Option<MessageRun>,
    /// The number of messages that others have sent since the reader's read mark, or 0 without a reader.
    pub unread: u64,
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
        UserView { id: *id, username: Arc::clone(username), created_at: *created_at }
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

    /// Returns the time from which the user's tokens are good, in Unix seconds, or 0 if none was ever revoked.
    #[must_use]
    pub fn tokens_from(&self, user: UserIndex) -> u64 {
        self.index.tokens_from_of(user)
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
        let ChatEntry { id, name, users, created_at } = self.index.directory.chat_entry(chat).clone();
        let history = self.histories.of(chat);
        let last_message = (last > Seq(0)).then(|| history.message_at(last));
        let unread = reader.map_or(0, |user| history.unread(user, self.index.mark_of(chat, user), last));
        ChatView { id, name, users, created_at, rank, last_message, unread }
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
