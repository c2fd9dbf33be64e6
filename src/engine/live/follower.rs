//! A follower: the feed of everything that a user sees, or of everything that happens.

use std::sync::Arc;

use parking_lot::RwLock;

use super::feed::{EventId, FeedEntry, FeedEvent, look_up, streamed_bytes};
use super::merge::Merge;
use super::scan::Scan;
use super::{Changed, ChangedChats, Live, Mailbox, MailboxState, News, Scope};
use crate::domain::{Facts, Position, UserId};
use crate::engine::Engine;
use crate::model::Model;

/// A feed of everything that a user sees, or of all events, in the order of the log, each event once.
pub struct Follower {
    model: Arc<RwLock<Model>>,
    live: Arc<Live>,
    mailbox: Arc<Mailbox>,
    scope: Scope,
    pending: Pending,
    /// The position up to which all events are or were pending.
    position: Position,
    /// The event after which the feed begins.
    begin: EventId,
    is_reset: bool,
}

/// The events that are there and are not taken yet.
enum Pending {
    /// Those that a user sees.
    Seen(Merge),
    /// All.
    All(Scan),
}

impl Pending {
    /// Returns all that are after position `after` and up to position `upto`.
    fn new(scope: Scope, after: Position, upto: Position) -> Self {
        match scope {
            Scope::User { index, .. } => Self::Seen(Merge::of_all(index, after, upto)),
            Scope::All => Self::All(Scan::new(after, upto)),
        }
    }

    /// Looks for the next events. Returns whether it has to look again.
    fn look(&mut self, model: &Model) -> bool {
        match self {
            Self::Seen(merge) => merge.look(model),
            Self::All(scan) => scan.look(model),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Seen(merge) => merge.is_done(),
            Self::All(scan) => scan.is_done(),
        }
    }

    fn pop(&mut self, model: &Model) -> Option<(Position, FeedEntry)> {
        match self {
            Self::Seen(merge) => merge.pop(model),
            Self::All(scan) => scan.pop(),
        }
    }
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

impl Begin {
    /// Returns the position after which the feed is to begin, unless it begins now.
    #[must_use]
    pub fn position(self) -> Option<Position> {
        match self {
            Self::Now => None,
            Self::After(position) | Self::Resume(EventId { position, .. }) => Some(position),
        }
    }
}

/// The reason why a user, or everything, cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowError {
    /// The user does not exist.
    UserNotFound,
    /// The user was erased.
    UserErased,
    /// The position is beyond the end of the log. If servers share the log, it may be one that this server does not
    /// have yet, and so may an event's id.
    BeyondTheLog {
        /// The log's last position.
        last: Position,
    },
    /// The server is shutting down.
    ShuttingDown,
}

impl Engine {
    /// Follows what a user sees from this place on.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn follow(&self, user: UserId, begin: Begin) -> Result<Follower, FollowError> {
        self.follow_scope(begin, |model| {
            let index = model.user(user).ok_or(FollowError::UserNotFound)?;
            if model.is_erased(user) {
                return Err(FollowError::UserErased);
            }
            Ok(Scope::User { user, index })
        })
    }

    /// Follows all events from this place on.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    ///
    /// # Panics
    ///
    /// Panics if the engine was started without [`can_follow_all`](crate::engine::EngineSettings::can_follow_all).
    pub fn follow_all(&self, begin: Begin) -> Result<Follower, FollowError> {
        self.follow_scope(begin, |model| {
            assert!(model.index().keeps_subjects(), "the engine was started without can_follow_all");
            Ok(Scope::All)
        })
    }

    fn follow_scope(
        &self,
        begin: Begin,
        scope: impl FnOnce(&Model) -> Result<Scope, FollowError>,
    ) -> Result<Follower, FollowError> {
        let mut followed = self.live.followed.lock();
        if followed.closed {
            return Err(FollowError::ShuttingDown);
        }
        // Nothing changes while the model is locked. All events up to `last` are pending, and the mailbox gets
        // the news of later ones.
        let model = self.model.read();
        let last = model.position();
        let is_ahead = match begin {
            Begin::Now => false,
            Begin::After(position) => position > last,
            // All servers write in one epoch, so an id with another one is of another history.
            Begin::Resume(id) => id.position > last && id.epoch == self.epoch,
        };
        // The user may not be here yet, either.
        if self.stream.is_some() && is_ahead {
            return Err(FollowError::BeyondTheLog { last });
        }
        let scope = scope(&model)?;
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
        followed.register(scope, Arc::clone(&mailbox));
        self.live.changed.lock().get_or_insert_with(ChangedChats::default);
        drop((model, followed));
        let pending = Pending::new(scope, after, last);
        let (model, live) = (Arc::clone(&self.model), Arc::clone(&self.live));
        Ok(Follower { model, live, mailbox, scope, pending, position: last, begin, is_reset })
    }
}

impl Live {
    fn deregister(&self, scope: Scope, mailbox: &Arc<Mailbox>) {
        let mut followed = self.followed.lock();
        followed.deregister(scope, mailbox);
        if followed.is_empty() {
            self.changed.lock().take();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.deregister(self.scope, &self.mailbox);
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
            while self.pending.look(&self.model.read()) {
                tokio::task::yield_now().await;
            }
            if !self.pending.is_done() {
                return true;
            }
            // The erasure itself was taken before.
            if let Scope::User { user, .. } = self.scope
                && self.model.read().is_erased(user)
            {
                return false;
            }
            match self.mailbox.take() {
                MailboxState::News(news) => self.add_news(news),
                MailboxState::Empty => self.mailbox.arrived.notified().await,
                MailboxState::Closed => return false,
            }
        }
    }

    fn add_news(&mut self, News { changed, upto }: News) {
        // What was pending at first may have covered this news.
        if upto <= self.position {
            return;
        }
        self.pending = match (self.scope, changed) {
            (Scope::User { index, .. }, Changed::These(chats)) => {
                Pending::Seen(Merge::of_changed(&self.model.read(), index, chats, self.position, upto))
            }
            (scope @ Scope::User { .. }, Changed::Any) | (scope @ Scope::All, _) => {
                Pending::new(scope, self.position, upto)
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
            let Some((position, entry)) = self.pending.pop(&model) else { break };
            let kind = look_up(&self.model, &model, entry);
            bytes += streamed_bytes(&kind);
            let id = EventId { position, epoch: model.index().epoch_at(position) };
            events.push(FeedEvent { id, kind });
        }
        events
    }
}
