//! The calls, one function each. A call asks the engine and chooses the answer.

pub(crate) mod chats;
pub(crate) mod edits;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod privacy;
pub(crate) mod reactions;
pub(crate) mod table;
pub(crate) mod users;
