//! Live feeds: followers are notified of changes in the model.
//!
//! A follower is not sent events. It is sent only the news that some of its chats have changed up to some
//! position, and then reads the events from the model, like a client that resumes after a disconnection. So
//! there is no queue that could overflow, and no seam between missed events and live ones.

mod feed;
mod follower;
mod merge;
mod scan;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::domain::{ChatId, Event, Position, UserId};
use crate::engine::Engine;
use crate::model::{ChatIndex, Model, UserIndex};
pub use feed::{EventId, FeedEvent, FeedEventKind, ShownMessage, ShownReaction};
pub use follower::{Begin, FollowError, Follower};

/// **Invariant:** locks are acquired in this order: `fanning_out`, `followed`, the model's, `changed`, a
/// mailbox's.
#[derive(Default)]
pub(super) struct Live {
    /// Held by the one fan-out that runs.
    fanning_out: Mutex<()>,
    followed: Mutex<Followed>,
    /// The chats that have changed since the last fan-out, or `None` while there are no followers. They are
    /// noted under the model's write lock, so a holder of the model's lock finds here all changes that the
    /// model has.
    changed: Mutex<Option<ChangedChats>>,
    /// Notified when the model's position has moved, and when all feeds end.
    moved: Notify,
}

#[derive(Default)]
struct Followed {
    by_user: HashMap<UserId, Followers>,
    /// The mailboxes of those who follow all events.
    of_all: Vec<Arc<Mailbox>>,
    closed: bool,
}

/// The events that a follower gets.
#[derive(Debug, Clone, Copy)]
enum Scope {
    /// Those that this user sees.
    User { user: UserId, index: UserIndex },
    /// All.
    All,
}

/// The followers of one user.
struct Followers {
    user: UserIndex,
    mailboxes: Vec<Arc<Mailbox>>,
    /// The changed chats that the current fan-out will send to these followers.
    marked: Vec<ChatIndex>,
}

#[derive(Default)]
struct ChangedChats {
    chats: HashSet<ChatId>,
    /// Users who are no longer members, but were when something happened.
    left: HashSet<(ChatId, UserId)>,
    /// Whether a user was edited or erased. Each follower looks whether it sees that.
    users: bool,
}

/// A changed chat, and a user who sees the change.
struct Change {
    chat: ChatIndex,
    user: UserId,
}

/// The mailbox of a follower, which holds its news.
#[derive(Default)]
struct Mailbox {
    contents: Mutex<Contents>,
    arrived: Notify,
}

#[derive(Default)]
struct Contents {
    news: Option<News>,
    closed: bool,
}

/// **Invariant:** up to `upto`, the user sees nothing new in a chat that is not in `changed`. A follower of all events
/// looks at everything up to `upto`, and no chats are listed for it.
struct News {
    changed: Changed,
    upto: Position,
}

/// The chats that may have changed.
enum Changed {
    These(HashSet<ChatIndex>),
    /// Too many to list: a follower that falls behind costs no more memory than others.
    Any,
}

/// What a follower finds in its mailbox.
enum MailboxState {
    News(News),
    Empty,
    /// There will be no more news.
    Closed,
}

impl Mailbox {
    fn update(&self, update: impl FnOnce(&mut Contents)) {
        update(&mut self.contents.lock());
        self.arrived.notify_one();
    }

    fn add(&self, chats: &[ChatIndex], upto: Position) {
        self.update(|contents| {
            let empty = || News { changed: Changed::These(HashSet::new()), upto };
            let news = contents.news.get_or_insert_with(empty);
            news.changed.add(chats);
            news.upto = upto;
        });
    }

    /// Takes the pending news. A closed mailbox still gives the news that came before.
    fn take(&self) -> MailboxState {
        let mut contents = self.contents.lock();
        match contents.news.take() {
            Some(news) => MailboxState::News(news),
            None if contents.closed => MailboxState::Closed,
            None => MailboxState::Empty,
        }
    }
}

impl Changed {
    fn add(&mut self, chats: &[ChatIndex]) {
        /// Maximum chats that are listed. They take about 10 KiB.
        const CHATS_MAX: usize = 1024;
        if let Self::These(these) = self {
            these.extend(chats);
            if these.len() > CHATS_MAX {
                *self = Self::Any;
            }
        }
    }
}

impl ChangedChats {
    fn note(&mut self, event: &Event<'_>) {
        self.chats.extend(event.chat());
        if let Event::MemberRemoved { chat, user } = event {
            self.left.insert((*chat, *user));
        }
        self.users |= matches!(event, Event::UserEdited { .. } | Event::UserErased { .. });
    }
}

impl Live {
    /// Notes events that are being applied, under the model's write lock. Returns whether there are events and
    /// followers.
    pub(super) fn note<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>) -> bool {
        let mut changed = self.changed.lock();
        let Some(changed) = changed.as_mut() else { return false };
        let mut is_news = false;
        for event in events {
            changed.note(event);
            // An event outside of all chats is news to those who follow all events.
            is_news = true;
        }
        is_news
    }

    /// Sends the news to the followers at each wake-up, until the channel is closed.
    pub(super) fn fan_out_until_closed(&self, model: &RwLock<Model>, wake_ups: &Receiver<()>) {
        while wake_ups.recv().is_ok() {
            self.fan_out(model);
        }
    }

    /// Sends the changes to the followers of the users who see them. Every lock is held for a short time
    /// only, however many members, followers and changes there are.
    fn fan_out(&self, model: &RwLock<Model>) {
        let _alone = self.fanning_out.lock();
        let (chats, left, of_users, upto) = {
            let model = model.read();
            let Some(changed) = self.changed.lock().as_mut().map(std::mem::take) else { return };
            let index = |id: ChatId| model.chat(id).expect("a changed chat exists");
            let with_members = |id: ChatId| (index(id), Arc::clone(model.members(index(id))));
            let chats: Vec<_> = changed.chats.into_iter().map(with_members).collect();
            let left = changed.left.into_iter().map(|(chat, user)| Change { chat: index(chat), user });
            (chats, left.collect::<Vec<_>>(), changed.users, model.position())
        };
        // Of each chat, the smaller set is walked: its members, or all followed users.
        let followed_users = self.followed.lock().by_user.len();
        let (large, small): (Vec<_>, Vec<_>) =
            chats.into_iter().partition(|(_, members)| members.len() > followed_users);
        let users = if large.is_empty() && !of_users { Vec::new() } else { self.followed.lock().users() };
        let of_small =
            small.iter().flat_map(|(chat, members)| members.iter().map(|user| Change { chat: *chat, user }));
        let of_large = large.iter().flat_map(|(chat, _)| {
            users.chunks(USERS_AT_ONCE).flat_map(|users| members_among(users, *chat, &model.read()))
        });
        let mut changes = of_small.chain(of_large).chain(left);
        let mut marked = Vec::new();
        loop {
            let some: Vec<_> = changes.by_ref().take(USERS_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            self.followed.lock().mark(&some, &mut marked);
        }
        if of_users {
            marked = users.iter().map(|(user, _)| *user).collect();
        }
        for users in marked.chunks(USERS_AT_ONCE) {
            self.followed.lock().send(users, upto);
        }
        self.followed.lock().send_to_followers_of_all(upto);
    }

    /// Returns the number of followers.
    pub(super) fn followers(&self) -> usize {
        self.followed.lock().mailboxes().count()
    }

    /// Ends all feeds, after the news of what has happened. No new one can begin.
    pub(super) fn finish(&self, model: &RwLock<Model>) {
        self.fan_out(model);
        self.close();
    }

    /// Ends all feeds. No new one can begin.
    pub(super) fn close(&self) {
        let mut followed = self.followed.lock();
        followed.closed = true;
        for mailbox in followed.mailboxes() {
            mailbox.update(|contents| contents.closed = true);
        }
        drop(followed);
        self.note_moved();
    }

    /// Wakes those who wait for a position of the model.
    pub(super) fn note_moved(&self) {
        self.moved.notify_waiters();
    }

    /// Waits until the model has this position. Returns `false` if it did not reach it before all feeds ended.
    pub(super) async fn reached(&self, model: &RwLock<Model>, position: Position) -> bool {
        loop {
            // It is notified from here on, before it is first polled.
            let moved = self.moved.notified();
            if model.read().position() >= position {
                return true;
            }
            if self.followed.lock().closed {
                return false;
            }
            moved.await;
        }
    }
}

impl Engine {
    /// Waits until the model has this position, for this time at most, and no longer than feeds go on. Returns whether it
    /// has.
    pub async fn reached(&self, position: Position, time_max: Duration) -> bool {
        let reached = self.live.reached(&self.model, position);
        tokio::time::timeout(time_max, reached).await.unwrap_or(false)
    }
}

/// Maximum users that are looked at while a lock is held once.
const USERS_AT_ONCE: usize = 1024;

/// Returns a change for each of these users who is a member of the chat. A user who has left since does not
/// need one: the news of the leave makes a follower look at all stays.
fn members_among(users: &[(UserId, UserIndex)], chat: ChatIndex, model: &Model) -> Vec<Change> {
    let members = users.iter().filter(|(_, index)| model.has_member(chat, *index));
    members.map(|&(user, _)| Change { chat, user }).collect()
}

impl Followed {
    fn register(&mut self, scope: Scope, mailbox: Arc<Mailbox>) {
        match scope {
            Scope::User { user, index } => {
                let empty = || Followers { user: index, mailboxes: Vec::new(), marked: Vec::new() };
                self.by_user.entry(user).or_insert_with(empty).mailboxes.push(mailbox);
            }
            Scope::All => self.of_all.push(mailbox),
        }
    }

    fn deregister(&mut self, scope: Scope, mailbox: &Arc<Mailbox>) {
        let is_other = |other: &Arc<Mailbox>| !Arc::ptr_eq(other, mailbox);
        match scope {
            Scope::User { user, .. } => {
                let Some(followers) = self.by_user.get_mut(&user) else { return };
                followers.mailboxes.retain(is_other);
                if followers.mailboxes.is_empty() {
                    self.by_user.remove(&user);
                }
            }
            Scope::All => self.of_all.retain(is_other),
        }
    }

    fn is_empty(&self) -> bool {
        self.by_user.is_empty() && self.of_all.is_empty()
    }

    fn mailboxes(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.by_user.values().flat_map(|followers| &followers.mailboxes).chain(&self.of_all)
    }

    fn users(&self) -> Vec<(UserId, UserIndex)> {
        self.by_user.iter().map(|(&user, followers)| (user, followers.user)).collect()
    }

    /// Notes the changes for the users who see them, and adds each user with a first change to `marked`.
    fn mark(&mut self, changes: &[Change], marked: &mut Vec<UserId>) {
        for Change { chat, user } in changes {
            let Some(followers) = self.by_user.get_mut(user) else { continue };
            if followers.marked.is_empty() {
                marked.push(*user);
            }
            followers.marked.push(*chat);
        }
    }

    /// Sends the noted changes, up to this position, to the followers of these users.
    ///
    /// **Invariant:** each mailbox gets all of its changes at once, so that its `upto` holds.
    fn send(&mut self, users: &[UserId], upto: Position) {
        for user in users {
            let Some(followers) = self.by_user.get_mut(user) else { continue };
            let Followers { mailboxes, marked, .. } = followers;
            for mailbox in mailboxes.iter() {
                mailbox.add(marked, upto);
            }
            marked.clear();
        }
    }

    /// Sends the news that something has happened up to this position.
    fn send_to_followers_of_all(&self, upto: Position) {
        self.of_all.iter().for_each(|mailbox| mailbox.add(&[], upto));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, Record, Timestamp};

    fn chats(count: u64) -> Vec<ChatIndex> {
        let mut model = Model::default();
        let added = (1..=count).map(|number| {
            let id = Uuid::from_u128(number.into()).into();
            let event = Event::ChatAdded { id, name: format!("chat {number}").into(), users: Vec::new() };
            let time = Timestamp::from_micros(number).expect("in range");
            model.apply(&Record { time, by: Actor::Unknown, key: None, event });
            model.chat(id).expect("it was added")
        });
        added.collect()
    }

    #[test]
    fn a_mailbox_that_nobody_reads_keeps_little() {
        let mailbox = Mailbox::default();
        let chats = chats(2_000);
        for (number, chat) in chats.iter().enumerate() {
            mailbox.add(&[*chat], Position(number as u64 + 1));
        }
        let MailboxState::News(News { changed, upto }) = mailbox.take() else { panic!("there are news") };
        assert!(matches!(changed, Changed::Any));
        assert_eq!(upto, Position(2_000));
        // News that came before the mailbox was closed is found first.
        mailbox.add(&chats[..2], Position(2_001));
        mailbox.update(|contents| contents.closed = true);
        let MailboxState::News(News { changed, .. }) = mailbox.take() else { panic!("there are news") };
        assert!(matches!(changed, Changed::These(these) if these.len() == 2));
        assert!(matches!(mailbox.take(), MailboxState::Closed));
    }

    #[test]
    fn only_events_are_news_and_only_to_followers() {
        let user = Event::UserAdded { id: Uuid::from_u128(1).into(), username: "ann".into() };
        let live = Live::default();
        assert!(!live.note([&user].into_iter()));
        live.changed.lock().get_or_insert_with(ChangedChats::default);
        assert!(live.note([&user].into_iter()));
        assert!(!live.note([].into_iter()));
    }
}
