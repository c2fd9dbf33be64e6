//! Which idempotency keys were used, for what, and to what end.
//!
//! A key costs 36 bytes, and 5.7 to 11.5 in the table that finds it: its text stays in the log.

use hashbrown::HashTable;

use super::directory::{ChatIndex, UserIndex};
use crate::domain::{Fingerprint, IdempotencyKey, KeyDigest, Position, Seq};

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// In pieces, so that growing moves none and leaves little unused.
    entries: Vec<Vec<Entry>>,
    /// The numbers of the entries.
    by_digest: HashTable<u32>,
}

/// What the model recalls of a request that had a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recalled {
    pub(super) position: Position,
    pub(super) made: Made,
}

/// Where to find what a request made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Nothing,
    User(UserIndex),
    Chat(ChatIndex),
    Message(ChatIndex, Seq),
}

/// Packed by hand: there are as many as there were keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    digest: KeyDigest,
    fingerprint: [u32; 2],
    /// The position in the lower 62 bits, the kind of what was made in the upper two.
    position_and_kind: [u32; 2],
    index: u32,
    seq: u32,
}

const ENTRIES_PER_PIECE: usize = 4096;
const KIND_SHIFT: u32 = 62;

impl Keys {
    pub(super) fn add(&mut self, key: &IdempotencyKey<'_>, recalled: Recalled) {
        if self.entries.last().is_none_or(|piece| piece.len() == ENTRIES_PER_PIECE) {
            self.entries.push(Vec::with_capacity(ENTRIES_PER_PIECE));
        }
        let entry = Entry::new(key.digest(), key.fingerprint(), recalled);
        let full_pieces = self.entries.len() - 1;
        let piece = self.entries.last_mut().expect("pushed if there was none");
        let number = full_pieces * ENTRIES_PER_PIECE + piece.len();
        piece.push(entry);
        let number = u32::try_from(number).expect("memory ends before 2^32 keys");
        let entries = &self.entries;
        self.by_digest.insert_unique(hash(entry.digest), number, |&number| hash(at(entries, number).digest));
    }

    /// What was made under the key: none if it was never used, an error if it was used for another request.
    pub(super) fn recall(&self, key: &IdempotencyKey<'_>) -> Option<Result<Recalled, KeyMismatch>> {
        let digest = key.digest();
        let number =
            self.by_digest.find(hash(digest), |&number| at(&self.entries, number).digest == digest)?;
        let entry = at(&self.entries, *number);
        Some(if entry.fingerprint == shortened(key.fingerprint()) {
            Ok(entry.recalled())
        } else {
            Err(KeyMismatch)
        })
    }
}

/// The key was used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyMismatch;

fn at(entries: &[Vec<Entry>], number: u32) -> &Entry {
    let number = number as usize;
    &entries[number / ENTRIES_PER_PIECE][number % ENTRIES_PER_PIECE]
}

/// A digest is as random as a hash needs to be.
fn hash(KeyDigest([a, b, _]): KeyDigest) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

/// Half of it tells two requests apart well enough.
fn shortened(Fingerprint(bytes): Fingerprint) -> [u32; 2] {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4)]
}

impl Entry {
    fn new(digest: KeyDigest, fingerprint: Fingerprint, Recalled { position, made }: Recalled) -> Self {
        let (kind, index, seq) = match made {
            Made::Nothing => (0, 0, 0),
            Made::User(user) => (1, user.to_u32(), 0),
            Made::Chat(chat) => (2, chat.to_u32(), 0),
            Made::Message(chat, Seq(seq)) => {
                (3, chat.to_u32(), u32::try_from(seq).expect("memory ends before 2^32 messages"))
            }
        };
        assert!(position.0 < 1 << KIND_SHIFT, "no log grows so long");
        let [low, high] = halves(position.0 | kind << KIND_SHIFT);
        Self { digest, fingerprint: shortened(fingerprint), position_and_kind: [low, high], index, seq }
    }

    fn recalled(&self) -> Recalled {
        let [low, high] = self.position_and_kind;
        let whole = u64::from(high) << 32 | u64::from(low);
        let made = match whole >> KIND_SHIFT {
            0 => Made::Nothing,
            1 => Made::User(UserIndex::from_u32(self.index)),
            2 => Made::Chat(ChatIndex::from_u32(self.index)),
            _ => Made::Message(ChatIndex::from_u32(self.index), Seq(self.seq.into())),
        };
        Recalled { position: Position(whole & ((1 << KIND_SHIFT) - 1)), made }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves make the whole")]
fn halves(whole: u64) -> [u32; 2] {
    [whole as u32, (whole >> 32) as u32]
}

/// Two indexes of the same entries are equal, however their tables came to lie in memory.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, fingerprint: u8) -> IdempotencyKey<'static> {
        IdempotencyKey::recorded(format!("key {number}").into(), Fingerprint([fingerprint; 16]))
    }

    fn recalled(number: u32) -> Recalled {
        let (user, chat) = (UserIndex::from_u32(number), ChatIndex::from_u32(number));
        let kinds =
            [Made::Nothing, Made::User(user), Made::Chat(chat), Made::Message(chat, Seq(u64::from(number)))];
        Recalled { position: Position(u64::from(number) << 20), made: kinds[number as usize % 4] }
    }

    #[test]
    fn each_key_is_recalled_with_what_it_made() {
        let mut keys = Keys::default();
        for number in 0..20_000 {
            assert_eq!(keys.recall(&key(number, 1)), None);
            keys.add(&key(number, 1), recalled(number));
        }
        for number in 0..20_000 {
            assert_eq!(keys.recall(&key(number, 1)), Some(Ok(recalled(number))));
            assert_eq!(keys.recall(&key(number, 2)), Some(Err(KeyMismatch)));
        }
    }

    #[test]
    fn a_key_costs_less_than_48_bytes() {
        let mut keys = Keys::default();
        for number in 0..300_000 {
            keys.add(&key(number, 1), recalled(number));
            let of_many = keys.entries.len() > 8;
            let entries =
                keys.entries.len() * (ENTRIES_PER_PIECE * size_of::<Entry>() + size_of::<Vec<Entry>>());
            let bytes = entries + keys.by_digest.allocation_size();
            assert!(!of_many || bytes < 48 * (number as usize + 1) + 4096 * 48, "{bytes} for {number}");
        }
        assert_eq!(size_of::<Entry>(), 36);
    }
}
