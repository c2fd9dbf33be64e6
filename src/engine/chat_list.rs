//! Lists a user's chats without stalling the writer, even if there are very many.

use super::Engine;
use crate::model::{ListedChat, Model, Rank, UserIndex, highest};

/// Maximum chats that are looked at while the lock is held once. That takes some hundred microseconds.
const LOOKS_MAX: usize = 4096;

impl Engine {
    /// Lists the user's chats that rank below `below`, highest rank first, at most `limit`.
    ///
    /// **Invariant:** a reader never stalls the writer. If the user is in too many chats to look at while the
    /// lock is held once, they are looked at part by part, and sorted without the lock. Each chat is then
    /// listed as it was when its part was looked at.
    #[must_use]
    pub fn list_chats(&self, user: UserIndex, below: Option<Rank>, limit: usize) -> Vec<ListedChat> {
        let at_once = |model: &Model| {
            model.top_chats(user, below, limit, LOOKS_MAX).ok_or_else(|| model.chats_of(user))
        };
        self.read(at_once).unwrap_or_else(|chats| {
            let mut listed = Vec::with_capacity(chats.len());
            for part in chats.chunks(LOOKS_MAX) {
                self.read(|model| listed.extend(part.iter().map(|&chat| model.listed(chat))));
            }
            highest(listed, below, limit)
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::{Actor, ChatId, Event, Position, Record, Timestamp, UserId};
    use crate::engine::{Engine, EngineSettings, ReplayProgress};
    use crate::log::{EventLog, Frame, MemoryLog};

    /// Returns a log with this many chats of one user, each with a message, and then as many of another user.
    fn log(chats: u64) -> MemoryLog {
        let id = |number: u64| Uuid::from_u128(number.into());
        let mut frame = Frame::new(Position(1));
        let mut add = |event| {
            let time = Timestamp::from_micros(frame.last().0 + 1).unwrap();
            frame.push(&Record { time, by: Actor::Unknown, key: None, event });
        };
        for user in [1, 2] {
            add(Event::UserAdded { id: id(user).into(), username: format!("user {user}").into() });
        }
        for number in 0..2 * chats {
            let author: UserId = id(1 + number / chats).into();
            let chat: ChatId = id(10 + number).into();
            add(Event::ChatAdded { id: chat, name: format!("chat {number}").into(), users: vec![author] });
            add(Event::MessageAdded { id: id(number).into(), chat, author, text: "hello".into() });
        }
        let mut log = MemoryLog::default();
        log.append(&mut frame).unwrap();
        log
    }

    #[test]
    fn very_many_quiet_chats_are_listed_in_order() {
        const CHATS: u64 = 10_000;
        let settings = EngineSettings { queue_max: 1, can_follow_all: false, scrub: None };
        let (engine, _end) =
            Engine::start(Box::new(log(CHATS)), settings, &ReplayProgress::default()).unwrap();
        for number in [1, 2] {
            let user = engine.read(|model| model.user(Uuid::from_u128(number).into())).unwrap();
            let whole = engine.list_chats(user, None, usize::MAX);
            assert_eq!(whole.len() as u64, CHATS);
            assert!(whole.is_sorted_by(|one, next| one.rank > next.rank));
            let page = engine.list_chats(user, Some(whole[99].rank), 20);
            assert_eq!(page, whole[100..120]);
        }
    }
}
