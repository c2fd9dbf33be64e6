//! Live feeds: followers are notified of changes in the model.
//!
//! A follower is not sent events. It is sent only the news that some of its chats have changed up to some
//! position, and then reads the events from the model, like a client that resumes after a disconnection. So
//! there is no queue that could overflow, and no seam between missed events and live ones.

mod follower;
mod merge;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::domain::{ChatId, Event, Position, UserId};
use crate::model::{ChatIndex, Model};
pub use follower::{Begin, EventId, FeedEvent, FeedEventKind, FollowError, Follower};

/// **Invariant:** locks are acquired in this order: `followed`, the model's, `changed`, a mailbox's.
#[derive(Default)]
pub(super) struct Live {
    followed: Mutex<Followed>,
    /// The chats that have changed since the last fan-out, or `None` while there are no followers. They are
    /// noted under the model's write lock, so a holder of the model's lock finds here all changes that the
    /// model has.
    changed: Mutex<Option<ChangedChats>>,
}

#[derive(Default)]
struct Followed {
    by_user: HashMap<UserId, Followers>,
    closed: bool,
}

/// The followers of one user.
#[derive(Default)]
struct Followers {
    mailboxes: Vec<Arc<Mailbox>>,
    /// The changed chats that the current fan-out will send to these followers.
    marked: Vec<ChatIndex>,
}

#[derive(Default)]
struct ChangedChats {
    chats: HashSet<ChatId>,
    /// Users who are no longer members, but were when something happened.
    left: HashSet<(ChatId, UserId)>,
}

/// A changed chat, and a user who sees the change.
struct Change {
    chat: ChatIndex,
    user: UserId,
}

/// The mailbox of a follower, which holds its news.
#[derive(Default)]
struct Mailbox {
    news: Mutex<News>,
    arrived: Notify,
}

#[derive(Default)]
struct News {
    /// Chats that may have changed up to `upto`.
    chats: HashSet<ChatIndex>,
    /// **Invariant:** up to this position, the user sees nothing new in any other chat.
    upto: Position,
    closed: bool,
}

impl Mailbox {
    fn update(&self, update: impl FnOnce(&mut News)) {
        update(&mut self.news.lock());
        self.arrived.notify_one();
    }
}

impl ChangedChats {
    fn note(&mut self, event: &Event<'_>) {
        self.chats.extend(event.chat());
        if let Event::MemberRemoved { chat, user } = event {
            self.left.insert((*chat, *user));
        }
    }
}

impl Live {
    /// Notes events that are being applied, under the model's write lock. Returns whether there are
    /// followers.
    pub(super) fn note<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>) -> bool {
        let mut changed = self.changed.lock();
        let Some(changed) = changed.as_mut() else { return false };
        events.for_each(|event| changed.note(event));
        true
    }

    /// Sends the news to the followers at each wake-up, until the channel is closed.
    pub(super) fn fan_out_until_closed(&self, model: &RwLock<Model>, wake_ups: &Receiver<()>) {
        while wake_ups.recv().is_ok() {
            self.fan_out(model);
        }
    }

    fn fan_out(&self, model: &RwLock<Model>) {
        let (chats, left, upto) = {
            let model = model.read();
            let Some(changed) = self.changed.lock().as_mut().map(std::mem::take) else { return };
            let index = |id: ChatId| model.chat(id).expect("a changed chat exists");
            let with_members = |id: ChatId| (index(id), Arc::clone(model.members(index(id))));
            let chats: Vec<_> = changed.chats.into_iter().map(with_members).collect();
            let left = changed.left.into_iter().map(|(chat, user)| Change { chat: index(chat), user });
            (chats, left.collect::<Vec<_>>(), model.position())
        };
        let of_members =
            chats.iter().flat_map(|(chat, users)| users.iter().map(|&user| Change { chat: *chat, user }));
        self.followed.lock().send(of_members.chain(left), upto);
    }

    /// Returns the number of followers.
    pub(super) fn followers(&self) -> usize {
        self.followed.lock().by_user.values().map(|followers| followers.mailboxes.len()).sum()
    }

    /// Ends all feeds. No new one can begin.
    pub(super) fn close(&self) {
        let mut followed = self.followed.lock();
        followed.closed = true;
        for mailbox in followed.by_user.values().flat_map(|followers| &followers.mailboxes) {
            mailbox.update(|news| news.closed = true);
        }
    }
}

impl Followed {
    /// Sends the changes up to this position to the followers of the users who see them.
    ///
    /// **Invariant:** each mailbox gets all of its changes at once, so that its `upto` holds.
    fn send(&mut self, changes: impl Iterator<Item = Change>, upto: Position) {
        let mut marked_users = Vec::new();
        for Change { chat, user } in changes {
            let Some(followers) = self.by_user.get_mut(&user) else { continue };
            if followers.marked.is_empty() {
                marked_users.push(user);
            }
            followers.marked.push(chat);
        }
        for user in marked_users {
            let Some(followers) = self.by_user.get_mut(&user) else { continue };
            for mailbox in &followers.mailboxes {
                mailbox.update(|news| {
                    news.chats.extend(&followers.marked);
                    news.upto = upto;
                });
            }
            followers.marked.clear();
        }
    }
}
