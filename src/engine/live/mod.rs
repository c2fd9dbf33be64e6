//! Who follows what happens, and how they learn that something did.
//!
//! Nothing is sent to a follower but the word that some chats have something new for it, up to some position: it then
//! reads the model as one does who has been away for long. So there is no queue that could overflow, and no seam
//! between what was missed and what is new.

mod follower;
mod merge;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::domain::{ChatId, Event, Position, UserId};
use crate::model::{ChatIndex, Model};
pub use follower::{FollowError, Follower, Seen};

/// **Invariant:** locks are taken in this order: `followed`, the model's, `touched`, a mailbox's.
#[derive(Default)]
pub(super) struct Live {
    followed: Mutex<Followed>,
    /// What was written to since the last fan-out; none while nobody follows anything. It is written to under the
    /// model's write lock, so whoever holds the model's lock finds in it all that the model holds.
    touched: Mutex<Option<Touched>>,
}

#[derive(Default)]
struct Followed {
    by_user: HashMap<UserId, Followers>,
    closed: bool,
}

/// Those of one user.
#[derive(Default)]
struct Followers {
    mailboxes: Vec<Arc<Mailbox>>,
    /// What the fan-out under way has for them.
    marked: Vec<ChatIndex>,
}

#[derive(Default)]
struct Touched {
    chats: HashSet<ChatId>,
    /// Who is not a member any more, but was for what came before.
    left: HashSet<(ChatId, UserId)>,
}

/// What a follower is told.
#[derive(Default)]
struct Mailbox {
    news: Mutex<News>,
    arrived: Notify,
}

#[derive(Default)]
struct News {
    /// Where there may be something new,
    chats: HashSet<ChatIndex>,
    /// up to this position. **Invariant:** up to there, there is nothing new for the user in any other chat.
    upto: Position,
    closed: bool,
}

impl Mailbox {
    fn tell(&self, tell: impl FnOnce(&mut News)) {
        tell(&mut self.news.lock());
        self.arrived.notify_one();
    }
}

impl Touched {
    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::ChatAdded { id, .. } => {
                self.chats.insert(*id);
            }
            Event::MemberRemoved { chat, user } => {
                self.chats.insert(*chat);
                self.left.insert((*chat, *user));
            }
            Event::MessageAdded { chat, .. }
            | Event::MemberAdded { chat, .. }
            | Event::ReadMarked { chat, .. } => {
                self.chats.insert(*chat);
            }
            Event::UserAdded { .. } | Event::NothingChanged => {}
        }
    }
}

impl Live {
    /// Notes events that are being applied, under the model's write lock. Tells whether anybody may want to know.
    pub(super) fn note<'e>(&self, events: impl Iterator<Item = &'e Event<'e>>) -> bool {
        let mut touched = self.touched.lock();
        let Some(touched) = touched.as_mut() else { return false };
        events.for_each(|event| touched.note(event));
        true
    }

    /// Tells followers what was touched, whenever there is a wake-up, until nobody is left to send one.
    pub(super) fn fan_out_until_closed(&self, model: &RwLock<Model>, wake_ups: &Receiver<()>) {
        while wake_ups.recv().is_ok() {
            self.fan_out(model);
        }
    }

    fn fan_out(&self, model: &RwLock<Model>) {
        let (chats, left, upto) = {
            let model = model.read();
            let Some(touched) = self.touched.lock().as_mut().map(std::mem::take) else { return };
            let index = |id: ChatId| model.chat(id).expect("what was touched is there");
            let with_members = |id: ChatId| (index(id), Arc::clone(model.members(index(id))));
            let chats: Vec<_> = touched.chats.into_iter().map(with_members).collect();
            let left: Vec<_> = touched.left.into_iter().map(|(chat, user)| (index(chat), user)).collect();
            (chats, left, model.position())
        };
        let members = chats.iter().flat_map(|(chat, users)| users.iter().map(move |user| (*chat, *user)));
        self.followed.lock().tell(members.chain(left), upto);
    }

    /// How many follow.
    pub(super) fn followers(&self) -> usize {
        self.followed.lock().by_user.values().map(|followers| followers.mailboxes.len()).sum()
    }

    /// Ends all following; nobody can begin to.
    pub(super) fn close(&self) {
        let mut followed = self.followed.lock();
        followed.closed = true;
        for mailbox in followed.by_user.values().flat_map(|followers| &followers.mailboxes) {
            mailbox.tell(|news| news.closed = true);
        }
    }
}

impl Followed {
    /// **Invariant:** each mailbox gets all of this at once, so that its `upto` holds.
    fn tell(&mut self, touched: impl Iterator<Item = (ChatIndex, UserId)>, upto: Position) {
        let mut to_tell = Vec::new();
        for (chat, user) in touched {
            let Some(followers) = self.by_user.get_mut(&user) else { continue };
            if followers.marked.is_empty() {
                to_tell.push(user);
            }
            followers.marked.push(chat);
        }
        for user in to_tell {
            let Some(followers) = self.by_user.get_mut(&user) else { continue };
            for mailbox in &followers.mailboxes {
                mailbox.tell(|news| {
                    news.chats.extend(&followers.marked);
                    news.upto = upto;
                });
            }
            followers.marked.clear();
        }
    }
}
