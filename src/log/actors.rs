//! The actors of a frame: a number before each record, and the table of those who have no number of their own.
//!
//! The table is a byte with the number of its entries, and the encoded entries.

use bincode::de::BorrowDecoder;
use bincode::error::DecodeError;
use bincode::{BorrowDecode, Decode, Encode};

use super::codec;
use crate::domain::{Actor, Event, UserId};

/// Maximum entries of a table.
pub(super) const ENTRIES_MAX: usize = 254;

/// Number before a record whose actor is unknown.
pub(super) const UNKNOWN: u8 = 0;
/// Number before a record whose actor is the user whom the event names as its doer.
const DOER: u8 = 1;
/// Number of the table's first entry.
const FIRST_ENTRY: u8 = 2;

/// An entry of the table.
#[derive(Encode, BorrowDecode)]
enum Entry<'a> {
    /// A server key, by its name.
    Key(&'a str),
    /// A user other than the one whom the event names.
    User(UserId),
}

/// The table of a frame that is being written.
#[derive(Debug, Default)]
pub(super) struct WrittenActors {
    entries: Vec<Actor<'static>>,
    /// The encoded entries.
    bytes: Vec<u8>,
}

impl WrittenActors {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// Returns the number of entries.
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.entries.len()).expect("at most 254")
    }

    /// Returns the encoded entries.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of an event's actor, who is added to the table if that is necessary.
    ///
    /// # Panics
    ///
    /// Panics if the table is full.
    pub(super) fn number(&mut self, by: &Actor<'_>, event: &Event<'_>) -> u8 {
        let entry = match by {
            Actor::Unknown => return UNKNOWN,
            Actor::User(user) if event.doer() == Some(*user) => return DOER,
            Actor::User(user) => Entry::User(*user),
            Actor::Key(name) => Entry::Key(name),
        };
        let known = self.entries.iter().position(|other| other == by);
        let index = known.unwrap_or_else(|| {
            assert!(self.entries.len() < ENTRIES_MAX, "a batch has at most {ENTRIES_MAX} actors");
            codec::encode(&entry, &mut self.bytes);
            self.entries.push(by.clone().into_owned());
            self.entries.len() - 1
        });
        FIRST_ENTRY + u8::try_from(index).expect("below 254")
    }
}

/// The table of a frame that is being read.
pub(super) struct ReadActors<'a>(Vec<Actor<'a>>);

impl<'a> ReadActors<'a> {
    pub(super) fn decode<D: BorrowDecoder<'a>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u8::decode(decoder)?;
        if usize::from(count) > ENTRIES_MAX {
            return Err(DecodeError::Other("a table of over 254 actors"));
        }
        let entries = (0..count).map(|_| {
            Entry::borrow_decode(decoder).map(|entry| match entry {
                Entry::Key(name) => Actor::Key(name.into()),
                Entry::User(user) => Actor::User(user),
            })
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the actor of an event by the number before its record.
    pub(super) fn named(&self, number: u8, event: &Event<'_>) -> Result<Actor<'a>, DecodeError> {
        match number {
            UNKNOWN => Ok(Actor::Unknown),
            DOER => {
                let unnamed = DecodeError::Other("a record by its event's doer, whom it does not name");
                event.doer().map(Actor::User).ok_or(unnamed)
            }
            number => {
                let entry = self.0.get(usize::from(number - FIRST_ENTRY)).cloned();
                entry.ok_or(DecodeError::Other("a record of an actor who is not in the table"))
            }
        }
    }
}
