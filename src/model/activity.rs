//! Which chat spoke last: all chats in one order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;

use super::directory::ChatIndex;
use crate::domain::{Position, Seq};

/// A chat's place among all chats; the greater comes first in a list.
///
/// Chats with messages rank by the position of the last one, above chats without, which rank by the position at
/// which they were made. No two chats have the same rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u64);

impl Rank {
    const HAS_MESSAGES: u64 = 1 << 63;

    fn of_new_chat(created: Position) -> Self {
        Self(created.0)
    }

    fn of_last_message(message: Position) -> Self {
        Self(message.0 | Self::HAS_MESSAGES)
    }

    /// The position of the event that it comes from.
    #[must_use]
    pub fn position(self) -> Position {
        Position(self.0 & !Self::HAS_MESSAGES)
    }

    /// As one number, for a cursor.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The rank of that number.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Activity {
    chats: Vec<ChatActivity>,
    messages: u64,
    /// None while a log is replayed: made once, at its end, it costs less than kept for every message.
    by_rank: Option<BTreeMap<Rank, ChatIndex>>,
}

#[derive(Debug, PartialEq)]
struct ChatActivity {
    rank: Rank,
    last: Seq,
}

impl Activity {
    pub(super) fn add_chat(&mut self, chat: ChatIndex, created: Position) {
        debug_assert_eq!(chat.as_usize(), self.chats.len(), "chats come in the order of their indexes");
        let rank = Rank::of_new_chat(created);
        self.chats.push(ChatActivity { rank, last: Seq(0) });
        if let Some(by_rank) = &mut self.by_rank {
            by_rank.insert(rank, chat);
        }
    }

    /// The message's place in its chat.
    pub(super) fn message_added(&mut self, chat: ChatIndex, message: Position) -> Seq {
        let rank = Rank::of_last_message(message);
        let activity = &mut self.chats[chat.as_usize()];
        let before = std::mem::replace(&mut activity.rank, rank);
        activity.last.0 += 1;
        if let Some(by_rank) = &mut self.by_rank {
            by_rank.remove(&before);
            by_rank.insert(rank, chat);
        }
        self.messages += 1;
        activity.last
    }

    /// The chat's last message; 0 if it has none.
    pub(super) fn last_seq(&self, chat: ChatIndex) -> Seq {
        self.chats[chat.as_usize()].last
    }

    /// How many messages there are in all chats.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Puts all chats in order, and keeps them so from now on.
    pub(super) fn put_in_order(&mut self) {
        let indexes = (0..self.chats.len()).map(ChatIndex::from_len);
        self.by_rank = Some(self.chats.iter().map(|chat| chat.rank).zip(indexes).collect());
    }

    pub(super) fn rank(&self, chat: ChatIndex) -> Rank {
        self.chats[chat.as_usize()].rank
    }

    /// The highest-ranking of these chats below `below`, at most `limit`, in order. None if that takes looking at more
    /// chats than `looks_max`.
    ///
    /// Walking all chats from the top is cheap for whoever is in many of them; sorting one's own is cheap for
    /// whoever is in few. Who is in many but quiet ones is told from the first only by trying: so walk, but no
    /// longer than sorting would take.
    pub(super) fn top<S: BuildHasher>(
        &self,
        chats: &HashSet<ChatIndex, S>,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<(Rank, ChatIndex)>> {
        let walk_may_end_early = limit < chats.len();
        let walked = if walk_may_end_early { self.walked(chats, below, limit, looks_max) } else { None };
        walked.or_else(|| {
            let few = chats.len() <= looks_max;
            let ranked = || chats.iter().map(|&chat| (self.rank(chat), chat)).collect();
            few.then(|| highest(ranked(), |(rank, _)| *rank, below, limit))
        })
    }

    /// None if the walk takes more steps than there are chats to sort, or than it may.
    fn walked<S: BuildHasher>(
        &self,
        chats: &HashSet<ChatIndex, S>,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<(Rank, ChatIndex)>> {
        let by_rank = self.by_rank.as_ref().expect("put in order after the replay");
        let mut found = Vec::with_capacity(limit);
        let mut ranked = match below {
            Some(below) => by_rank.range(..below),
            None => by_rank.range(..),
        };
        for _ in 0..chats.len().min(looks_max) {
            match ranked.next_back() {
                Some((&rank, &chat)) if chats.contains(&chat) => found.push((rank, chat)),
                Some(_) => {}
                None => return Some(found),
            }
            if found.len() == limit {
                return Some(found);
            }
        }
        None
    }
}

/// The highest-ranking below `below`, at most `limit`, in order.
pub(super) fn highest<T>(
    mut items: Vec<T>,
    rank: impl Fn(&T) -> Rank,
    below: Option<Rank>,
    limit: usize,
) -> Vec<T> {
    items.retain(|item| below.is_none_or(|below| rank(item) < below));
    if limit < items.len() {
        items.select_nth_unstable_by_key(limit, |item| Reverse(rank(item)));
        items.truncate(limit);
    }
    items.sort_unstable_by_key(|item| Reverse(rank(item)));
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::tests::chat_index;

    /// Chats 0 to 9, made in that order at the positions 1 to 10; then messages in these chats.
    fn activity(messages: &[u32]) -> Activity {
        let mut activity = Activity::default();
        (0..5).for_each(|chat| activity.add_chat(chat_index(chat), Position(u64::from(chat) + 1)));
        activity.put_in_order();
        (5..10).for_each(|chat| activity.add_chat(chat_index(chat), Position(u64::from(chat) + 1)));
        for (index, &chat) in messages.iter().enumerate() {
            activity.message_added(chat_index(chat), Position(index as u64 + 11));
        }
        activity
    }

    fn chats(chats: &[u32]) -> HashSet<ChatIndex> {
        chats.iter().copied().map(chat_index).collect()
    }

    fn check(activity: &Activity, of: &[u32], limit: usize, expected: &[u32]) {
        let (of, expected) = (chats(of), expected.iter().copied().map(chat_index).collect::<Vec<_>>());
        let top = activity.top(&of, None, limit, usize::MAX).expect("no bound");
        assert_eq!(top.iter().map(|(_, chat)| *chat).collect::<Vec<_>>(), expected);
        let ranked = of.iter().map(|&chat| (activity.rank(chat), chat)).collect();
        assert_eq!(top, highest(ranked, |(rank, _)| *rank, None, limit), "walking and sorting agree");
        for looks_max in 0..12 {
            let bounded = activity.top(&of, None, limit, looks_max);
            assert!(bounded.is_none_or(|bounded| bounded == top), "what ends within a bound is right");
        }
        assert!(activity.top(&of, None, limit, of.len()).is_some(), "sorting is within this bound");
    }

    #[test]
    fn the_latest_message_first_then_the_newest_chat() {
        let activity = activity(&[4, 2, 4, 7, 2]);
        check(&activity, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 10, &[2, 7, 4, 9, 8, 6, 5, 3, 1, 0]);
        check(&activity, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4, &[2, 7, 4, 9]);
        check(&activity, &[4, 5, 9], 10, &[4, 9, 5]);
        check(&activity, &[4, 5, 9], 2, &[4, 9]);
        check(&activity, &[], 5, &[]);
    }

    #[test]
    fn whoever_is_in_quiet_chats_only_gets_them_all_the_same() {
        let activity = activity(&[5, 6, 7, 8, 9]);
        check(&activity, &[0, 1, 2], 2, &[2, 1]);
    }

    #[test]
    fn a_page_goes_on_below_the_rank_where_the_one_before_ended() {
        let activity = activity(&[4, 2, 4, 7, 2]);
        let all = chats(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let whole = activity.top(&all, None, 10, 10).expect("few");
        for limit in 1..=10 {
            let mut paged = Vec::new();
            loop {
                let below = paged.last().map(|(rank, _)| *rank);
                let page = activity.top(&all, below, limit, 10).expect("few");
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= limit);
                paged.extend(page);
            }
            assert_eq!(paged, whole, "limit {limit}");
        }
    }
}
