//! The domain of a chat server: ids, values, commands, events, and the rules from a command to an event.
//!
//! **Invariant:** nothing in this module knows a clock, a file, a lock, a socket or a source of randomness.
//! Times and ids come in with the command, so that two replays of one log give equal models.

mod actor;
mod command;
mod decide;
mod eraser;
mod erasures;
mod event;
mod facts;
mod idempotency;
mod ids;
mod metadata;
mod refusal;
mod values;

pub use actor::{Actor, InvalidKeyName};
pub use command::{Command, MessageEdit, MessageExtras, NewMessage, Reaction, Stamp, in_order};
pub use decide::{Decision, EMOJI_MAX, REACTIONS_OF_USER_MAX, decide};
pub use eraser::Eraser;
pub use erasures::Erasures;
pub use event::{ErasedMessages, Event, Record};
pub use facts::{Deletion, Facts, MessageFacts, ReactionFacts};
pub use idempotency::{Fingerprint, IdempotencyKey, InvalidKey, KeyDigest};
pub use ids::{ChatId, Epoch, InvalidId, MessageId, Position, Seq, Timestamp, UserId};
pub use metadata::{InvalidMetadata, Metadata};
pub use refusal::{MessageField, Refusal, UserField};
pub use values::{ChatName, Emoji, InvalidValue, Text, Username};
