//! The calls, one function each: what it asks of the engine, and the answer it chooses.

pub(crate) mod chats;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod users;
