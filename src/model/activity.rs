//! All chats in one order: the chat with the latest message comes first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::directory::{ChatIndex, StaysByChat};
use super::pieces::Pieces;
use crate::domain::{Position, Seq};

/// The place of a chat among all chats. The chat with the greatest rank comes first in a list.
///
/// A chat with messages ranks by the position of its last message. Below those, a chat without messages ranks
/// by the position at which it was added. No two chats have the same rank.
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

    /// Returns the position of the last message, or of the chat's addition.
    #[must_use]
    pub fn position(self) -> Position {
        Position(self.0 & !Self::HAS_MESSAGES)
    }

    /// Returns the rank as one number, for a cursor.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the rank that [`to_bits`](Self::to_bits) gave this number.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A chat in a list, as it was when it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedChat {
    pub(super) chat: ChatIndex,
    /// The seq of the last message, in 32 bits, because a list may hold very many chats.
    last: u32,
    /// The chat's place among all chats.
    pub rank: Rank,
}

impl ListedChat {
    /// Returns the seq of the chat's last message, or 0 if it has no messages.
    pub(super) fn last(self) -> Seq {
        Seq(self.last.into())
    }
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Activity {
    chats: Pieces<ChatActivity>,
    messages: u64,
    /// `None` until [`rank_all`](Self::rank_all): during a replay, ranking once at the end costs less than
    /// ranking at every message.
    by_rank: Option<BTreeMap<Rank, ChatIndex>>,
}

#[derive(Debug, PartialEq)]
struct ChatActivity {
    rank: Rank,
    last: Seq,
}

impl Activity {
    pub(super) fn add_chat(&mut self, chat: ChatIndex, added: Position) {
        debug_assert_eq!(chat.as_usize(), self.chats.len(), "chats come in the order of their indexes");
        let rank = Rank::of_new_chat(added);
        self.chats.push(ChatActivity { rank, last: Seq(0) });
        if let Some(by_rank) = &mut self.by_rank {
            by_rank.insert(rank, chat);
        }
    }

    /// Counts a message, and returns its place in its chat.
    pub(super) fn add_message(&mut self, chat: ChatIndex, message: Position) -> Seq {
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

    /// Ranks all chats, and keeps them ranked from then on.
    pub(super) fn rank_all(&mut self) {
        let indexes = (0..self.chats.len()).map(ChatIndex::from_len);
        self.by_rank = Some(self.chats.iter().map(|chat| chat.rank).zip(indexes).collect());
    }

    /// Returns the number of messages in all chats.
    pub(super) fn message_count(&self) -> u64 {
        self.messages
    }

    /// Returns the seq of the chat's last message, or 0 if it has no messages.
    pub(super) fn newest_seq(&self, chat: ChatIndex) -> Seq {
        self.chats[chat.as_usize()].last
    }

    pub(super) fn listed(&self, chat: ChatIndex) -> ListedChat {
        let ChatActivity { rank, last } = self.chats[chat.as_usize()];
        let last = u32::try_from(last.0).expect("memory ends before 2^32 messages");
        ListedChat { chat, last, rank }
    }

    /// Returns the highest-ranking of these chats that rank below `below`, at most `limit`, in order. Returns
    /// `None` if that takes looking at more than `looks_max` chats.
    ///
    /// Walking down the ranks of all chats is cheap for a user who is in many of them. Sorting the user's own
    /// chats is cheap for a user who is in few. A walk is slow if the user's chats are many but quiet, and
    /// only a try shows that. So this method tries a walk first, with at most as many steps as there are
    /// chats to sort.
    pub(super) fn top(
        &self,
        chats: &StaysByChat,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<ListedChat>> {
        let walk_may_end_early = limit < chats.len();
        let walked = if walk_may_end_early { self.walked(chats, below, limit, looks_max) } else { None };
        walked.or_else(|| {
            let few = chats.len() <= looks_max;
            few.then(|| highest(chats.keys().map(|&chat| self.listed(chat)).collect(), below, limit))
        })
    }

    /// Does what [`top`](Self::top) does by a walk. Returns `None` if that takes more than `looks_max` steps,
    /// or more steps than there are chats to sort.
    fn walked(
        &self,
        chats: &StaysByChat,
        below: Option<Rank>,
        limit: usize,
        looks_max: usize,
    ) -> Option<Vec<ListedChat>> {
        let by_rank = self.by_rank.as_ref().expect("a model has ranked its chats");
        let mut found = Vec::with_capacity(limit);
        let mut ranked = match below {
            Some(below) => by_rank.range(..below),
            None => by_rank.range(..),
        };
        for _ in 0..chats.len().min(looks_max) {
            match ranked.next_back() {
                Some((_, chat)) if chats.contains_key(chat) => found.push(self.listed(*chat)),
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

/// Returns the highest-ranking of these chats that rank below `below`, at most `limit`, in order.
#[must_use]
pub fn highest(mut chats: Vec<ListedChat>, below: Option<Rank>, limit: usize) -> Vec<ListedChat> {
    chats.retain(|chat| below.is_none_or(|below| chat.rank < below));
    if limit < chats.len() {
        chats.select_nth_unstable_by_key(limit, |chat| Reverse(chat.rank));
        chats.truncate(limit);
    }
    chats.sort_unstable_by_key(|chat| Reverse(chat.rank));
    chats
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::tests::chat_index;

    /// Chats 0 to 9, added at the positions 1 to 10, and then messages in the given chats.
    fn activity(messages: &[u32]) -> Activity {
        let mut activity = Activity::default();
        (0..5).for_each(|chat| activity.add_chat(chat_index(chat), Position(u64::from(chat) + 1)));
        activity.rank_all();
        (5..10).for_each(|chat| activity.add_chat(chat_index(chat), Position(u64::from(chat) + 1)));
        for (index, &chat) in messages.iter().enumerate() {
            activity.add_message(chat_index(chat), Position(index as u64 + 11));
        }
        activity
    }

    fn chats(chats: &[u32]) -> StaysByChat {
        chats.iter().map(|&chat| (chat_index(chat), 0)).collect()
    }

    fn check(activity: &Activity, of: &[u32], limit: usize, expected: &[u32]) {
        let (of, expected) = (chats(of), expected.iter().copied().map(chat_index).collect::<Vec<_>>());
        let top = activity.top(&of, None, limit, usize::MAX).expect("no bound");
        assert_eq!(top.iter().map(|listed| listed.chat).collect::<Vec<_>>(), expected);
        let listed = of.keys().map(|&chat| activity.listed(chat)).collect();
        assert_eq!(top, highest(listed, None, limit), "walking and sorting agree");
        for looks_max in 0..12 {
            let bounded = activity.top(&of, None, limit, looks_max);
            assert!(bounded.is_none_or(|bounded| bounded == top), "a list within the bound is right");
        }
        assert!(activity.top(&of, None, limit, of.len()).is_some(), "sorting is within this bound");
    }

    #[test]
    fn the_latest_message_ranks_first_then_the_newest_chat() {
        let activity = activity(&[4, 2, 4, 7, 2]);
        check(&activity, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 10, &[2, 7, 4, 9, 8, 6, 5, 3, 1, 0]);
        check(&activity, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4, &[2, 7, 4, 9]);
        check(&activity, &[4, 5, 9], 10, &[4, 9, 5]);
        check(&activity, &[4, 5, 9], 2, &[4, 9]);
        check(&activity, &[], 5, &[]);
    }

    #[test]
    fn quiet_chats_are_also_listed() {
        let activity = activity(&[5, 6, 7, 8, 9]);
        check(&activity, &[0, 1, 2], 2, &[2, 1]);
    }

    #[test]
    fn a_page_continues_where_the_last_one_ended() {
        let activity = activity(&[4, 2, 4, 7, 2]);
        let all = chats(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let whole = activity.top(&all, None, 10, 10).expect("few");
        for limit in 1..=10 {
            let mut paged = Vec::new();
            loop {
                let below = paged.last().map(|listed: &ListedChat| listed.rank);
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
