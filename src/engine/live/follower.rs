//! One who follows what a user sees.

use std::sync::Arc;

use parking_lot::RwLock;

use super::merge::{Merge, Step};
use super::{Live, Mailbox, Touched};
use crate::domain::{ChatId, Position, Seq, UserId};
use crate::engine::Engine;
use crate::model::{ChatIndex, ChatView, Happening, MessageRun, Model, UserIndex};

/// Sees everything that a user sees, in the order of the log, each event once.
pub struct Follower {
    model: Arc<RwLock<Model>>,
    live: Arc<Live>,
    mailbox: Arc<Mailbox>,
    user: (UserId, UserIndex),
    merge: Merge,
    /// Everything up to here is in the merge, or was.
    position: Position,
}

/// Why one cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowError {
    /// There is no such user.
    UserNotFound,
    /// The log is not that long.
    BeyondTheLog {
        /// Its last position.
        last: Position,
    },
    /// The server is shutting down.
    ShuttingDown,
}

/// What a user sees. It shares what is large with the model, and holds no lock.
#[derive(Debug)]
pub enum Seen {
    /// A message in a chat: a run of one.
    Message(ChatId, MessageRun),
    /// The user was put into this chat. It is shown as it is now; to who has left it since, without what goes on in
    /// it.
    Entered(ChatView),
    /// Another user was put into a chat.
    Joined(ChatId, UserId),
    /// A user was taken out of a chat; the user who sees it, too.
    Left(ChatId, UserId),
    /// A user has read a chat up to here.
    Read(ChatId, UserId, Seq),
}

impl Engine {
    /// Follows a user from after this position on; without one, from now on.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn follow(&self, user: UserId, after: Option<Position>) -> Result<Follower, FollowError> {
        let mut followed = self.live.followed.lock();
        if followed.closed {
            return Err(FollowError::ShuttingDown);
        }
        // While the model is locked nothing happens: what did is up to `last`, what will be is told to the mailbox.
        let model = self.model.read();
        let index = model.user(user).ok_or(FollowError::UserNotFound)?;
        let last = model.position();
        let after = after.unwrap_or(last);
        if after > last {
            return Err(FollowError::BeyondTheLog { last });
        }
        let mailbox = Arc::new(Mailbox::default());
        followed.by_user.entry(user).or_default().mailboxes.push(Arc::clone(&mailbox));
        self.live.touched.lock().get_or_insert_with(Touched::default);
        let (chats, changes) = (model.chats_of(index), model.membership_changes(index, after).to_vec());
        drop((model, followed));
        let merge = Merge::new(chats, &changes, after, last);
        let (model, live) = (Arc::clone(&self.model), Arc::clone(&self.live));
        Ok(Follower { model, live, mailbox, user: (user, index), merge, position: last })
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
            self.touched.lock().take();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.deregister(self.user.0, &self.mailbox);
    }
}

impl Follower {
    /// Waits until there is something to see; false when there will be nothing more.
    pub async fn wait(&mut self) -> bool {
        loop {
            while self.merge.look(&self.model.read()) {
                tokio::task::yield_now().await;
            }
            if !self.merge.is_done() {
                return true;
            }
            if self.take_news() {
                continue;
            }
            if self.mailbox.news.lock().closed {
                return false;
            }
            self.mailbox.arrived.notified().await;
        }
    }

    fn take_news(&mut self) -> bool {
        let (chats, upto) = {
            let mut news = self.mailbox.news.lock();
            (std::mem::take(&mut news.chats), news.upto)
        };
        // What was told may have been in the first merge.
        if chats.is_empty() || upto <= self.position {
            return false;
        }
        let (chats, changes) = {
            let model = self.model.read();
            let is_member = |chat: &ChatIndex| model.is_member(*chat, self.user.1);
            let changes = model.membership_changes(self.user.1, self.position);
            (chats.into_iter().filter(is_member).collect(), changes.to_vec())
        };
        self.merge = Merge::new(chats, &changes, self.position, upto);
        self.position = upto;
        true
    }

    /// The next that there is to see, in order; none if nothing is left.
    pub fn take(&mut self) -> Vec<(Position, Seen)> {
        /// So many under one hold of the lock,
        const EVENTS_MAX: usize = 64;
        /// and none after those of this length, so that what is sent at once is not long.
        const BYTES_MAX: usize = 8 * 1024;
        let model = self.model.read();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < EVENTS_MAX && bytes < BYTES_MAX {
            let Some((position, chat, step)) = self.merge.pop(&model, self.user.1) else { break };
            let seen = seen(&model, self.user.1, chat, step);
            bytes += length(&seen);
            taken.push((position, seen));
        }
        taken
    }
}

/// About how many bytes it takes to tell, of what may be many.
fn length(seen: &Seen) -> usize {
    const ID_BYTES: usize = 39;
    match seen {
        Seen::Message(_, run) => run.messages().map(|message| message.text.len()).sum(),
        Seen::Entered(chat) => chat.users.len() * ID_BYTES,
        Seen::Joined(..) | Seen::Left(..) | Seen::Read(..) => 0,
    }
}

fn seen(model: &Model, user: UserIndex, chat: ChatIndex, step: Step) -> Seen {
    let id = model.chat_id(chat);
    match step {
        Step::Entered => {
            let listed = model.list(&[chat]).pop().expect("one was asked for");
            let view = model.view(user, listed);
            if model.is_member(chat, user) {
                Seen::Entered(view)
            } else {
                Seen::Entered(ChatView { users: Arc::default(), last_message: None, unread: 0, ..view })
            }
        }
        Step::Happened(Happening::Message(seq)) => {
            Seen::Message(id, model.run_at(chat, seq).starting_at(seq, 1))
        }
        Step::Happened(Happening::Joined(who)) => Seen::Joined(id, model.user_id(who)),
        Step::Happened(Happening::Left(who)) => Seen::Left(id, model.user_id(who)),
        Step::Happened(Happening::Read(who, seq)) => Seen::Read(id, model.user_id(who), seq),
    }
}
