//! The idempotency keys that were used, each with its request and with the result of that request.
//!
//! A key costs 36 bytes here and 5.7 to 11.5 bytes in the table that finds it. Its text stays in the log.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::directory::{ChatIndex, UserIndex};
use super::pieces::Pieces;
use super::table::Table;
use crate::domain::{Fingerprint, IdempotencyKey, KeyDigest, Position, Seq, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Keys {
    records: Pieces<KeyRecord>,
    /// The numbers of the records, found by digest.
    by_digest: Table<u32>,
    /// The hash of the digests. It has a secret key, because clients choose what is hashed.
    digest_hash: RandomState,
}

/// The result of a request that had a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recalled {
    pub(super) position: Position,
    pub(super) created: Created,
}

/// The place in the model of the thing that a request created, or what else its answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    Nothing,
    User(UserIndex),
    Chat(ChatIndex),
    Message {
        chat: ChatIndex,
        seq: Seq,
    },
    /// Nothing, but tokens issued before this time were revoked. It is in Unix seconds, and never 0.
    TokensFrom(u64),
    /// Nothing, but a message was edited at this time.
    EditedAt(Timestamp),
}

/// The error for a key that was used for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyReused;

/// The record of a key. It is packed by hand, because a log may hold as many keys as messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyRecord {
    digest: KeyDigest,
    fingerprint: [u32; 2],
    /// The position (lower 62 bits), and the kind of the created thing (upper two bits).
    position_and_kind: [u32; 2],
    /// The index of the created thing. Where nothing was created, it is one half of a time, and `seq` the other.
    index: u32,
    seq: u32,
}

const KIND_SHIFT: u32 = 62;
/// Bit that marks the time of an edit, in microseconds. No time, and no revocation, in seconds, has it.
const EDITED: u64 = 1 << 63;

impl Keys {
    pub(super) fn add(&mut self, key: &IdempotencyKey<'_>, recalled: Recalled) {
        let record = KeyRecord::new(key.digest(), key.fingerprint(), recalled);
        let number = u32::try_from(self.records.len()).expect("memory ends before 2^32 keys");
        self.records.push(record);
        let (records, digest_hash) = (&self.records, &self.digest_hash);
        let hash_of = |number: &u32| digest_hash.hash_one(records[*number as usize].digest);
        self.by_digest.insert(hash_of(&number), number, hash_of);
    }

    /// Forgets the fingerprint of the request with the key of this digest.
    pub(super) fn forget_fingerprint(&mut self, digest: KeyDigest) {
        let is_it = |number: &u32| self.records[*number as usize].digest == digest;
        if let Some(&number) = self.by_digest.find(self.digest_hash.hash_one(digest), is_it) {
            self.records[number as usize].fingerprint = shortened(Fingerprint::ERASED);
        }
    }

    /// Returns what the request with this key created, or `None` if the key was never used.
    pub(super) fn recall(&self, key: &IdempotencyKey<'_>) -> Option<Result<Recalled, KeyReused>> {
        let digest = key.digest();
        let is_it = |number: &u32| self.records[*number as usize].digest == digest;
        let number = *self.by_digest.find(self.digest_hash.hash_one(digest), is_it)?;
        let record = &self.records[number as usize];
        Some(if record.fingerprint == shortened(key.fingerprint()) {
            Ok(record.recalled())
        } else {
            Err(KeyReused)
        })
    }
}

/// Returns the half of a fingerprint. It is enough, because it is compared only if the same key comes again.
fn shortened(Fingerprint(bytes): Fingerprint) -> [u32; 2] {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4)]
}

impl KeyRecord {
    fn new(digest: KeyDigest, fingerprint: Fingerprint, Recalled { position, created }: Recalled) -> Self {
        let (kind, index, seq) = match created {
            Created::Nothing => (0, 0, 0),
            Created::TokensFrom(from) => {
                let [low, high] = halves(from);
                (0, low, high)
            }
            Created::EditedAt(time) => {
                let [low, high] = halves(time.as_micros() | EDITED);
                (0, low, high)
            }
            Created::User(user) => (1, user.to_u32(), 0),
            Created::Chat(chat) => (2, chat.to_u32(), 0),
            Created::Message { chat, seq: Seq(seq) } => {
                (3, chat.to_u32(), u32::try_from(seq).expect("memory ends before 2^32 messages"))
            }
        };
        assert!(position.0 < 1 << KIND_SHIFT, "no log has 2^62 events");
        let [low, high] = halves(position.0 | kind << KIND_SHIFT);
        Self { digest, fingerprint: shortened(fingerprint), position_and_kind: [low, high], index, seq }
    }

    fn recalled(&self) -> Recalled {
        let position_and_kind = whole(self.position_and_kind);
        let created = match position_and_kind >> KIND_SHIFT {
            0 => match whole([self.index, self.seq]) {
                0 => Created::Nothing,
                time if time & EDITED != 0 => Created::EditedAt(
                    Timestamp::from_micros(time & !EDITED).expect("it was packed from a time"),
                ),
                from => Created::TokensFrom(from),
            },
            1 => Created::User(UserIndex::from_u32(self.index)),
            2 => Created::Chat(ChatIndex::from_u32(self.index)),
            _ => Created::Message { chat: ChatIndex::from_u32(self.index), seq: Seq(self.seq.into()) },
        };
        Recalled { position: Position(position_and_kind & ((1 << KIND_SHIFT) - 1)), created }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves make the whole")]
fn halves(whole: u64) -> [u32; 2] {
    [whole as u32, (whole >> 32) as u32]
}

fn whole([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Only the records are compared, because equal records may lie in tables of different layouts.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Actor;

    fn key(number: u32, fingerprint: u8) -> IdempotencyKey<'static> {
        let text = format!("key {number}").into();
        IdempotencyKey::recorded(text, Fingerprint([fingerprint; 16]), &Actor::Unknown)
    }

    fn recalled(number: u32) -> Recalled {
        let (user, chat) = (UserIndex::from_u32(number), ChatIndex::from_u32(number));
        let message = Created::Message { chat, seq: Seq(u64::from(number)) };
        let tokens_from = Created::TokensFrom((u64::from(number) << 30) + 1);
        let edited_at = Created::EditedAt(Timestamp::from_micros(u64::from(number) << 30).expect("in range"));
        let kinds =
            [Created::Nothing, Created::User(user), Created::Chat(chat), message, tokens_from, edited_at];
        Recalled {
            position: Position(u64::from(number) << 20),
            created: kinds[number as usize % kinds.len()],
        }
    }

    #[test]
    fn each_key_recalls_what_it_created() {
        let mut keys = Keys::default();
        for number in 0..20_000 {
            assert_eq!(keys.recall(&key(number, 1)), None);
            keys.add(&key(number, 1), recalled(number));
        }
        for number in 0..20_000 {
            assert_eq!(keys.recall(&key(number, 1)), Some(Ok(recalled(number))));
            assert_eq!(keys.recall(&key(number, 2)), Some(Err(KeyReused)));
        }
    }

    #[test]
    fn a_key_costs_less_than_48_bytes() {
        let mut keys = Keys::default();
        for number in 0..300_000 {
            keys.add(&key(number, 1), recalled(number));
            // A piece that is half empty, and the shards themselves, cost the same at any number of keys.
            if number > 30_000 && number % 256 == 0 {
                let bytes = keys.records.allocated_bytes() + keys.by_digest.allocated_bytes();
                let fixed = 4096 * (size_of::<KeyRecord>() + 60);
                assert!(bytes < 48 * (number as usize + 1) + fixed, "{bytes} for {number}");
            }
        }
        assert_eq!(size_of::<KeyRecord>(), 36);
    }
}
