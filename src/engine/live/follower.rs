//! A follower: the feed of everything that a user sees.

use std::sync::Arc;

use parking_lot::RwLock;

use super::merge::{FeedEntry, Merge};
use super::{Changed, ChangedChats, Live, Mailbox, MailboxState, News};
use crate::domain::{ChatId, Epoch, Position, Seq, UserId};
use crate::engine::Engine;
use crate::model::{ChatEvent, ChatView, MessageRun, Model, UserIndex};

/// A feed of everything that a user sees, in the order of the log, each event once.
pub struct Follower {
    model: Arc<RwLock<Model>>,
    live: Arc<Live>,
    mailbox: Arc<Mailbox>,
    user: UserId,
    user_index: UserIndex,
    merge: Merge,
    /// The position up to which all events are or were in the merge.
    position: Position,
    /// The event after which the feed begins.
    begin: EventId,
    is_reset: bool,
}

/// Names an event, and the place after it. A position alone is good only in one history of the log: a log that
/// was restored from an older copy goes on with other events at the same positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// The position of the event, or 0 for the place before the first.
    pub position: Position,
    /// The epoch of the event.
    pub epoch: Epoch,
}

/// The place at which a feed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// After the log's last event.
    Now,
    /// After the event at this position, whatever its epoch is.
    After(Position),
    /// After this event, if it is in this history; otherwise [now](Self::Now).
    Resume(EventId),
}

/// The reason why a user cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowError {
    /// The user does not exist.
    UserNotFound,
    /// The position is beyond the end of the log.
    BeyondTheLog {
        /// The log's last position.
        last: Position,
    },
    /// The server is shutting down.
    ShuttingDown,
}

/// An event that a user sees. It shares what is large with the model, and holds no lock.
#[derive(Debug)]
pub struct FeedEvent {
    /// The event's id.
    pub id: EventId,
    /// The event, as the user sees it.
    pub kind: FeedEventKind,
}

/// The kinds of events that a user sees.
#[derive(Debug)]
pub enum FeedEventKind {
    /// A message was sent to a chat.
    Message {
        /// The chat.
        chat: ChatId,
        /// A run of one: the message.
        run: MessageRun,
    },
    /// The user joined this chat, which is shown as it is now. A user who has left it since sees neither its
    /// members nor its messages.
    Entered(ChatView),
    /// Another user joined a chat.
    Joined {
        /// The chat.
        chat: ChatId,
        /// The user who joined.
        user: UserId,
    },
    /// A user left a chat. The user who left sees this also.
    Left {
        /// The chat.
        chat: ChatId,
        /// The user who left.
        user: UserId,
    },
    /// A member has read a chat up to `seq`.
    Read {
        /// The chat.
        chat: ChatId,
        /// The member.
        user: UserId,
        /// The last message that the member has read.
        seq: Seq,
    },
}

impl Engine {
    /// Follows what a user sees from this place on.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn follow(&self, user: UserId, begin: Begin) -> Result<Follower, FollowError> {
        let mut followed = self.live.followed.lock();
        if followed.closed {
            return Err(FollowError::ShuttingDown);
        }
        // Nothing changes while the model is locked. The merge gets all events up to `last`, and the mailbox
        // gets the news of later ones.
        let model = self.model.read();
        let index = model.user(user).ok_or(FollowError::UserNotFound)?;
        let last = model.position();
        let is_here = |id: EventId| id.position <= last && model.index().epoch_at(id.position) == id.epoch;
        let (after, is_reset) = match begin {
            Begin::Now => (last, false),
            Begin::After(position) if position > last => return Err(FollowError::BeyondTheLog { last }),
            Begin::After(position) => (position, false),
            Begin::Resume(id) if is_here(id) => (id.position, false),
            Begin::Resume(_) => (last, true),
        };
        let begin = EventId { position: after, epoch: model.index().epoch_at(after) };
        let mailbox = Arc::new(Mailbox::default());
        followed.register(user, index, Arc::clone(&mailbox));
        self.live.changed.lock().get_or_insert_with(ChangedChats::default);
        drop((model, followed));
        let merge = Merge::of_all(index, after, last);
        let (model, live) = (Arc::clone(&self.model), Arc::clone(&self.live));
        Ok(Follower { model, live, mailbox, user, user_index: index, merge, position: last, begin, is_reset })
    }
}

impl Live {
    fn deregister(&self, user: UserId, mailbox: &Arc<Mailbox>) {
        let mut followed = self.followed.lock();
        if let Some(followers) = followed.by_user.get_mut(&user) {
            followers.mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
            if followers.mailboxes.is_empty() {
                followed.by_user.remove(&user);
            }
        }
        if followed.by_user.is_empty() {
            self.changed.lock().take();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.deregister(self.user, &self.mailbox);
    }
}

impl Follower {
    /// Returns the event after which the feed begins.
    #[must_use]
    pub fn begin(&self) -> EventId {
        self.begin
    }

    /// Returns whether the feed begins at another place than the caller asked for, because the event that the
    /// caller named is not in this history of the log.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.is_reset
    }

    /// Waits for the next event. Returns `false` if the feed has ended.
    pub async fn wait(&mut self) -> bool {
        loop {
            while self.merge.look(&self.model.read()) {
                tokio::task::yield_now().await;
            }
            if !self.merge.is_done() {
                return true;
            }
            match self.mailbox.take() {
                MailboxState::News(news) => self.merge_news(news),
                MailboxState::Empty => self.mailbox.arrived.notified().await,
                MailboxState::Closed => return false,
            }
        }
    }

    fn merge_news(&mut self, News { changed, upto }: News) {
        // The first merge may have covered this news.
        if upto <= self.position {
            return;
        }
        self.merge = match changed {
            Changed::Any => Merge::of_all(self.user_index, self.position, upto),
            Changed::These(chats) => {
                Merge::of_changed(&self.model.read(), self.user_index, chats, self.position, upto)
            }
        };
        self.position = upto;
    }

    /// Returns the next events, in order, or nothing if there are none yet. There may be none even after
    /// [`wait`](Self::wait), because a read mark that was overtaken meanwhile is left out.
    pub fn take(&mut self) -> Vec<FeedEvent> {
        /// Maximum events that are looked up while the lock is held once.
        const EVENTS_MAX: usize = 64;
        /// Approximate bytes that are enough for one piece.
        const BYTES_MAX: usize = 8 * 1024;
        let model = self.model.read();
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < EVENTS_MAX && bytes < BYTES_MAX {
            let Some((position, entry)) = self.merge.pop(&model) else { break };
            let kind = look_up(&model, self.user_index, entry);
            bytes += streamed_bytes(&kind);
            let id = EventId { position, epoch: model.index().epoch_at(position) };
            events.push(FeedEvent { id, kind });
        }
        events
    }
}

/// Returns the approximate size of an event on a stream.
fn streamed_bytes(kind: &FeedEventKind) -> usize {
    const ID_BYTES: usize = 39;
    /// All fields but the large one.
    const OTHER_BYTES: usize = 6 * ID_BYTES;
    let large = if let FeedEventKind::Message { run, .. } = kind {
        run.messages().map(|message| message.text.len()).sum()
    } else if let FeedEventKind::Entered(chat) = kind {
        chat.users.len() * ID_BYTES
    } else {
        0
    };
    OTHER_BYTES + large
}

fn look_up(model: &Model, user: UserIndex, entry: FeedEntry) -> FeedEventKind {
    let (index, event) = match entry {
        FeedEntry::Entered(chat) => {
            let view = model.view(Some(user), model.listed(chat));
            return FeedEventKind::Entered(if model.has_member(chat, user) {
                view
            } else {
                ChatView { users: Arc::default(), last_message: None, unread: 0, ..view }
            });
        }
        FeedEntry::Happened { chat, event } => (chat, event),
    };
    let chat = model.chat_id(index);
    match event {
        ChatEvent::Message(seq) => FeedEventKind::Message { chat, run: model.message_at(index, seq) },
        ChatEvent::Joined(user) => FeedEventKind::Joined { chat, user: model.user_id(user) },
        ChatEvent::Left(user) => FeedEventKind::Left { chat, user: model.user_id(user) },
        ChatEvent::Read { user, seq } => FeedEventKind::Read { chat, user: model.user_id(user), seq },
    }
}
