//! Merges what a user sees between two positions, in several chats and of other users, in the order of the log and in
//! bounded memory.

use std::collections::BTreeMap;

use super::feed::FeedEntry;
use crate::domain::Position;
use crate::model::{ChatIndex, Model, Stay, UserIndex};

/// A merge of a user's [stays](Stay), and of the edits and erasures of users.
///
/// It looks at all stays in passes. A pass notes the next event of each stay, but keeps only the earliest of
/// them, so that the memory is bounded however many stays there are. When these events, and those that follow
/// them before the horizon, are seen, the next pass begins.
#[derive(Debug)]
pub(super) struct Merge {
    user: UserIndex,
    stays: Stays,
    /// Number of the stays that this pass has looked at.
    looked: usize,
    /// The position up to which this pass has looked at the changes of users.
    looked_users: Position,
    /// Everything up to here was seen when this pass began.
    after: Position,
    upto: Position,
    /// The positions of the next events. An event is of one source only.
    next: BTreeMap<Position, Source>,
    /// `next` has no event from this position on, but the stays may have some.
    horizon: Position,
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// The stay of this number.
    Stay(u32),
    /// This user was edited or erased.
    User(UserIndex),
}

/// The stays that may have events: all of the user's, or those with these numbers, in ascending order.
#[derive(Debug)]
enum Stays {
    All,
    These(Vec<u32>),
}

/// Maximum number of next events that are held. They take about 12 KiB.
const NEXT_MAX: usize = 512;
/// The horizon of a pass that has not left out any event.
const NO_HORIZON: Position = Position(u64::MAX);

impl Merge {
    /// Returns the merge of nothing.
    pub(super) fn of_nothing(user: UserIndex) -> Self {
        Self::new(user, Stays::These(Vec::new()), Position(0), Position(0))
    }

    /// Returns the merge of all that the user sees after position `after` and up to position `upto`.
    pub(super) fn of_all(user: UserIndex, after: Position, upto: Position) -> Self {
        if after == upto { Self::of_nothing(user) } else { Self::new(user, Stays::All, after, upto) }
    }

    /// Returns the merge of all that the user sees after position `after` and up to position `upto`, if only
    /// these chats and the user's own stays have changed.
    pub(super) fn of_changed(
        model: &Model,
        user: UserIndex,
        chats: impl IntoIterator<Item = ChatIndex>,
        after: Position,
        upto: Position,
    ) -> Self {
        // A stay that has ended since may also have events.
        if model.last_left(user) > after {
            return Self::of_all(user, after, upto);
        }
        let stays = model.stays(user);
        let begun_since = stays.partition_point(|stay| stay.joined <= after)..stays.len();
        let mut numbers: Vec<_> = chats.into_iter().filter_map(|chat| model.stay_in(user, chat)).collect();
        numbers.extend(begun_since.map(|number| u32::try_from(number).expect("stays have 32-bit numbers")));
        numbers.sort_unstable();
        numbers.dedup();
        Self::new(user, Stays::These(numbers), after, upto)
    }

    fn new(user: UserIndex, stays: Stays, after: Position, upto: Position) -> Self {
        let (looked, looked_users, next) = (0, after, BTreeMap::new());
        Self { user, stays, looked, looked_users, after, upto, next, horizon: NO_HORIZON }
    }

    /// Looks at some of the stays that this pass has not looked at. Returns whether more are left.
    pub(super) fn look(&mut self, model: &Model) -> bool {
        /// Maximum stays that are looked at while the lock is held once.
        const LOOKS_MAX: usize = 1024;
        if self.next.is_empty() && self.horizon != NO_HORIZON && !self.is_looking(model) {
            (self.after, self.horizon) = (Position(self.horizon.0 - 1), NO_HORIZON);
            (self.looked, self.looked_users) = (0, self.after);
        }
        for _ in 0..LOOKS_MAX {
            if let Some((position, user)) = self.next_changed_user(model) {
                self.looked_users = position;
                if model.sees_change_of(self.user, user) {
                    self.note(position, Source::User(user));
                }
                continue;
            }
            let Some(number) = self.next_stay(model) else { return false };
            self.looked += 1;
            let stay = model.stays(self.user)[number as usize];
            if stay.joined > self.after {
                self.note(stay.joined, Source::Stay(number));
            } else {
                self.go_on(model, stay, number, self.after);
            }
        }
        self.is_looking(model)
    }

    fn is_looking(&self, model: &Model) -> bool {
        self.next_changed_user(model).is_some() || self.next_stay(model).is_some()
    }

    /// Returns the next user to look at who was edited or erased, and the position of that.
    fn next_changed_user(&self, model: &Model) -> Option<(Position, UserIndex)> {
        let (position, user) = model.users_changed_after(self.looked_users).next()?;
        (position <= self.upto && position < self.horizon).then_some((position, user))
    }

    /// Returns the number of the next stay to look at. Later stays begin later, so the first one that begins
    /// beyond the horizon ends the pass.
    fn next_stay(&self, model: &Model) -> Option<u32> {
        let number = match &self.stays {
            Stays::All => u32::try_from(self.looked).ok()?,
            Stays::These(numbers) => *numbers.get(self.looked)?,
        };
        let stay = model.stays(self.user).get(number as usize)?;
        (stay.joined <= self.upto && stay.joined < self.horizon).then_some(number)
    }

    /// Returns whether the user has seen everything. All stays must have been [looked at](Self::look).
    pub(super) fn is_done(&self) -> bool {
        self.next.is_empty() && self.horizon == NO_HORIZON
    }

    /// Removes and returns the next event, or `None` if the stays must be [looked at](Self::look) first.
    pub(super) fn pop(&mut self, model: &Model) -> Option<(Position, FeedEntry)> {
        loop {
            let (position, source) = self.next.pop_first()?;
            let number = match source {
                Source::Stay(number) => number,
                // An edit that was overtaken since the pass is no longer there.
                Source::User(user) if model.is_last_change(user, position) => {
                    return Some((position, FeedEntry::UserChanged(user)));
                }
                Source::User(_) => continue,
            };
            let stay = model.stays(self.user)[number as usize];
            let entry = if position == stay.joined {
                Some(FeedEntry::Entered { chat: stay.chat, user: self.user, left: stay.left })
            } else {
                // A read mark that was overtaken since the pass is no longer there.
                let event = model.event_at(stay.chat, position);
                let event = event.filter(|event| model.is_as_it_was(stay, *event));
                event.map(|event| FeedEntry::Happened { chat: stay.chat, event, reader: Some(self.user) })
            };
            self.go_on(model, stay, number, position);
            if let Some(entry) = entry {
                return Some((position, entry));
            }
        }
    }

    /// Notes the next event of a stay after this position.
    fn go_on(&mut self, model: &Model, stay: Stay, number: u32, after: Position) {
        if after >= stay.left {
            return;
        }
        if let Some(entry) = model.first_after(stay.chat, after).filter(|entry| entry.position <= stay.left) {
            self.note(entry.position, Source::Stay(number));
        }
    }

    fn note(&mut self, position: Position, source: Source) {
        if position > self.upto || position >= self.horizon {
            return;
        }
        self.next.insert(position, source);
        if self.next.len() > NEXT_MAX
            && let Some((last, _)) = self.next.pop_last()
        {
            self.horizon = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Actor, ChatId, Event, Facts, Record, Timestamp, UserId};

    fn user(number: u64) -> UserId {
        Uuid::from_u128(number.into()).into()
    }

    fn chat(number: u64) -> ChatId {
        Uuid::from_u128((1_000_000 + number).into()).into()
    }

    /// A model of two users and many chats, and the events that user 1 must see.
    #[derive(Default)]
    struct Scenario {
        model: Model,
        events: Vec<Position>,
        /// Whether user 1 is a member of each chat.
        is_member: Vec<bool>,
        /// The last mark of user 2 in each chat.
        marks: Vec<Option<Position>>,
    }

    impl Scenario {
        fn apply(&mut self, event: Event<'_>, is_seen: bool) {
            let time = Timestamp::from_micros(self.model.position().0 + 1).expect("in range");
            let position = self.model.apply(&Record { time, by: Actor::Unknown, key: None, event }).position;
            self.events.extend(is_seen.then_some(position));
        }

        fn with(chats: u64) -> Self {
            let mut scenario = Self::default();
            for number in [1, 2] {
                let username = format!("user {number}").into();
                scenario.apply(Event::UserAdded { id: user(number), username }, false);
            }
            for number in 0..chats {
                let (id, name) = (chat(number), format!("chat {number}").into());
                scenario.apply(Event::ChatAdded { id, name, users: vec![user(1), user(2)] }, true);
                scenario.is_member.push(true);
                scenario.marks.push(None);
            }
            let mut random = 1_u64;
            for step in 0..3 * chats {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                scenario.step((random >> 33) % chats, step, (random >> 20) % 8);
            }
            scenario
        }

        fn step(&mut self, number: u64, step: u64, kind: u64) {
            let at = usize::try_from(number).expect("small");
            let (chat, is_member) = (chat(number), self.is_member[at]);
            let last = self.model.newest_seq(self.model.chat(chat).expect("it exists"));
            match kind {
                0 if is_member => {
                    self.apply(Event::MemberRemoved { chat, user: user(1) }, true);
                    self.is_member[at] = false;
                }
                0 | 1 if !is_member => {
                    self.apply(Event::MemberAdded { chat, user: user(1) }, true);
                    self.is_member[at] = true;
                }
                2 if last > self.model.read_mark(chat, user(2)) => {
                    self.apply(Event::ReadMarked { chat, user: user(2), seq: last }, is_member);
                    if let Some(overtaken) = self.marks[at].replace(self.model.position()) {
                        self.events.retain(|position| *position != overtaken);
                    }
                }
                _ => {
                    let id = Uuid::from_u128((2_000_000 + step).into()).into();
                    let text = "text".into();
                    self.apply(Event::MessageAdded { id, chat, author: user(2), text }, is_member);
                }
            }
        }
    }

    fn seen(model: &Model, mut merge: Merge) -> Vec<Position> {
        let mut seen = Vec::new();
        loop {
            while merge.look(model) {
                assert!(merge.next.len() <= NEXT_MAX);
            }
            if merge.is_done() {
                return seen;
            }
            seen.extend(std::iter::from_fn(|| merge.pop(model)).map(|(position, _)| position));
        }
    }

    #[test]
    fn each_event_is_seen_once_and_in_order() {
        for chats in [1, 10, 3 * NEXT_MAX as u64] {
            let scenario = Scenario::with(chats);
            let (model, last) = (&scenario.model, scenario.model.position());
            let index = model.user(user(1)).expect("it exists");
            for after in [0, last.0 / 3, last.0 / 2, last.0 - 1, last.0].map(Position) {
                for upto in [last.0 / 2, last.0].map(Position).into_iter().filter(|upto| *upto >= after) {
                    let expected = scenario.events.iter().copied().filter(|at| *at > after && *at <= upto);
                    let merge = Merge::of_all(index, after, upto);
                    assert!(seen(model, merge).into_iter().eq(expected), "{chats} chats, {after} to {upto}");
                }
            }
        }
    }

    #[test]
    fn what_changed_is_seen() {
        let scenario = Scenario::with(100);
        let (model, last) = (&scenario.model, scenario.model.position());
        let index = model.user(user(1)).expect("it exists");
        for after in (last.0 - 100..last.0).map(Position) {
            let all = (0..100).filter_map(|number| model.chat(chat(number)));
            let merge = Merge::of_changed(model, index, all, after, last);
            let expected = scenario.events.iter().copied().filter(|at| *at > after);
            assert!(seen(model, merge).into_iter().eq(expected), "after {after}");
        }
    }

    #[test]
    fn an_overtaken_mark_is_left_out() {
        // Given a merge that knows of a read mark.
        let mut scenario = Scenario::with(1);
        let after = scenario.model.position();
        scenario.step(0, 1_000, 1);
        scenario.step(0, 1_001, 7);
        scenario.step(0, 1_002, 2);
        let index = scenario.model.user(user(1)).expect("it exists");
        let upto = scenario.model.position();
        let mut merge = Merge::of_all(index, after, upto);
        assert!(!merge.look(&scenario.model));
        // When the mark moves on.
        scenario.step(0, 1_003, 7);
        scenario.step(0, 1_004, 2);
        // Then the events before the mark are seen, and the mark is not.
        let expected: Vec<_> =
            scenario.events.iter().copied().filter(|at| *at > after && *at <= upto).collect();
        assert_eq!(seen(&scenario.model, merge), expected);
        assert_eq!(expected.last(), Some(&Position(upto.0 - 1)));
    }
}
