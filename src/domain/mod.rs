//! The domain of a chat server: ids, values, commands, events, and the rules from a command to an event.
//!
//! **Invariant:** nothing in this module knows a clock, a file, a lock, a socket or a source of randomness.
//! Times and ids come in with the command, so that two replays of one log give equal models.

mod actor;
mod command;
mod decide;
mod event;
mod idempotency;
mod ids;
mod values;

pub use actor::{Actor, InvalidKeyName};
pub use command::{Command, NewMessage, Stamp};
pub use decide::{Decision, Facts, Refusal, UserField, decide};
pub use event::{Event, Record};
pub use idempotency::{Fingerprint, IdempotencyKey, InvalidKey, KeyDigest};
pub use ids::{ChatId, Epoch, InvalidId, MessageId, Position, Seq, Timestamp, UserId};
pub use values::{ChatName, InvalidValue, Text, Username};
