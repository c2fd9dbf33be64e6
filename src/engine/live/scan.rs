//! Scans all events between two positions, in the order of the log and in bounded memory.

use std::collections::VecDeque;

use super::feed::FeedEntry;
use crate::domain::Position;
use crate::model::{Model, Subject};

/// A scan of all events. It goes from position to position, and needs no knowledge of members.
#[derive(Debug)]
pub(super) struct Scan {
    /// The events up to here were looked at.
    looked: Position,
    upto: Position,
    /// The events that were found and are not popped yet.
    found: VecDeque<(Position, FeedEntry)>,
}

/// Maximum number of found events that are held. They take about 3 KiB.
const FOUND_MAX: usize = 64;

impl Scan {
    /// Returns the scan of all events after position `after` and up to position `upto`.
    pub(super) fn new(after: Position, upto: Position) -> Self {
        Self { looked: after, upto, found: VecDeque::new() }
    }

    /// Looks at some of the positions that were not looked at. Returns whether it has to go on, because nothing
    /// is found yet and more positions are left.
    pub(super) fn look(&mut self, model: &Model) -> bool {
        /// Maximum positions that are looked at while the lock is held once.
        const LOOKS_MAX: usize = 256;
        for _ in 0..LOOKS_MAX {
            if self.looked == self.upto || self.found.len() == FOUND_MAX {
                break;
            }
            self.looked = self.looked.next();
            self.found.extend(entry_at(model, self.looked).map(|entry| (self.looked, entry)));
        }
        self.found.is_empty() && self.looked < self.upto
    }

    /// Returns whether there are no more events. The scan must have [looked](Self::look) before.
    pub(super) fn is_done(&self) -> bool {
        self.found.is_empty()
    }

    /// Removes and returns the next event, or `None` if the scan must [look](Self::look) first.
    pub(super) fn pop(&mut self) -> Option<(Position, FeedEntry)> {
        self.found.pop_front()
    }
}

/// Returns the event at this position, or `None` if a feed does not have it: no feed shows some events, and a read
/// mark that was overtaken is no longer there.
fn entry_at(model: &Model, position: Position) -> Option<FeedEntry> {
    match model.index().subject_at(position)? {
        Subject::AddedUser(user) => Some(FeedEntry::UserAdded(user)),
        Subject::AddedChat(chat) => Some(FeedEntry::ChatAdded(chat)),
        Subject::InChat(chat) => {
            let event = model.event_at(chat, position)?;
            Some(FeedEntry::Happened { chat, event, reader: None })
        }
        // Only the last edit of a user is shown.
        Subject::ChangedUser(user) => {
            model.is_last_change(user, position).then_some(FeedEntry::UserChanged(user))
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, ChatId, Event, Record, Seq, Timestamp, UserId};
    use crate::model::{Histories, Index};

    /// A model that keeps subjects, and the positions of the events that a scan must find.
    struct Scenario {
        model: Model,
        expected: Vec<u64>,
    }

    impl Scenario {
        fn new() -> Self {
            let model = Model::from_parts(Index::keeping_subjects(), Histories::default());
            Self { model, expected: Vec::new() }
        }

        fn apply(&mut self, event: Event<'_>, is_found: bool) {
            let time = Timestamp::from_micros(self.model.position().0 + 1).expect("in range");
            let position = self.model.apply(&Record { time, by: Actor::Unknown, key: None, event }).position;
            self.expected.extend(is_found.then_some(position.0));
        }

        fn scan_after(&self, after: u64) -> Vec<u64> {
            let mut scan = Scan::new(Position(after), self.model.position());
            let mut found = Vec::new();
            loop {
                while scan.look(&self.model) {}
                assert!(scan.found.len() <= FOUND_MAX);
                if scan.is_done() {
                    return found;
                }
                found.extend(std::iter::from_fn(|| scan.pop()).map(|(position, _)| position.0));
            }
        }
    }

    #[test]
    fn a_scan_finds_each_event_once_and_in_order() {
        // Given every kind of event, runs of events that are not shown, and runs that are.
        let mut scenario = Scenario::new();
        let user: UserId = Uuid::from_u128(1).into();
        let chat: ChatId = Uuid::from_u128(2).into();
        scenario.apply(Event::UserAdded { id: user, username: "ann".into() }, true);
        scenario.apply(Event::ChatAdded { id: chat, name: "tea".into(), users: vec![user] }, true);
        for run in [1_u32, 63, 64, 65, 255, 256, 257, 600] {
            for number in 0..run {
                let id = Uuid::from_u128(u128::from(1_000 * run + number)).into();
                scenario.apply(Event::MessageAdded { id, chat, author: user, text: "hi".into() }, true);
            }
            (0..run).for_each(|_| scenario.apply(Event::NothingChanged, false));
        }
        scenario.apply(Event::MemberRemoved { chat, user }, true);
        scenario.apply(Event::MemberAdded { chat, user }, true);
        // And read marks, of which only the last one is not overtaken.
        for seq in 1..=600 {
            scenario.apply(Event::ReadMarked { chat, user, seq: Seq(seq) }, seq == 600);
        }
        // Then a scan from anywhere finds what comes after.
        for after in (0..=scenario.model.position().0).step_by(17) {
            let expected = scenario.expected.iter().copied().filter(|position| *position > after);
            assert!(scenario.scan_after(after).into_iter().eq(expected), "after {after}");
        }
    }

    #[test]
    fn a_scan_gives_the_lock_back_soon() {
        // Given very many events that are not shown, and then one that is.
        let mut scenario = Scenario::new();
        (0..10_000).for_each(|_| scenario.apply(Event::NothingChanged, false));
        scenario.apply(Event::UserAdded { id: Uuid::from_u128(1).into(), username: "ann".into() }, true);
        // Then the scan looks at some hundred of them at a time.
        let mut scan = Scan::new(Position(0), scenario.model.position());
        let mut looked = scan.looked;
        while scan.look(&scenario.model) {
            assert!((1..=500).contains(&(scan.looked.0 - looked.0)));
            looked = scan.looked;
        }
        assert_eq!(scan.pop().map(|(position, _)| position), Some(Position(10_001)));
    }
}
