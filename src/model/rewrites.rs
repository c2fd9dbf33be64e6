//! The events that a scrub of the log may have to act on.

use std::collections::BTreeMap;

use crate::domain::{Event, Timestamp};

/// The changes that a scrub of the log may find due.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rewrites {
    /// The first and the last time at which something was edited or deleted, of each hour since the Unix epoch.
    hours: BTreeMap<u64, (Timestamp, Timestamp)>,
    /// Number of events that made something due at once.
    pub(super) erasures: u64,
}

impl Rewrites {
    /// Notes an event of this time.
    pub(super) fn note(&mut self, at: Timestamp, event: &Event<'_>) {
        match event {
            Event::UserErased { .. } | Event::MessageDeleted { erase: true, .. } => self.erasures += 1,
            Event::MessageEdited { .. }
            | Event::MessageDeleted { erase: false, .. }
            | Event::ChatEdited { .. }
            | Event::UserEdited { .. } => {
                self.hours.entry(hour_of(at)).or_insert((at, at)).1 = at;
            }
            Event::UserAdded { .. }
            | Event::ChatAdded { .. }
            | Event::NamelessChatAdded { .. }
            | Event::DirectChatAdded { .. }
            | Event::MessageAdded { .. }
            | Event::MessageAddedWith { .. }
            | Event::MemberAdded { .. }
            | Event::MemberRemoved { .. }
            | Event::ReadMarked { .. }
            | Event::ReactionAdded { .. }
            | Event::ReactionRemoved { .. }
            | Event::NothingChanged
            | Event::AlreadySo { .. }
            | Event::TokensRevoked { .. } => {}
        }
    }

    /// See [`Index::was_rewritten_within`](super::Index::was_rewritten_within).
    pub(super) fn any_within(&self, after: Timestamp, until: Timestamp) -> bool {
        let is_within = |(first, last): &(Timestamp, Timestamp)| after < *last && *first <= until;
        after < until && self.hours.range(hour_of(after)..=hour_of(until)).any(|(_, hour)| is_within(hour))
    }
}

fn hour_of(time: Timestamp) -> u64 {
    time.as_micros() / (3_600 * 1_000_000)
}
