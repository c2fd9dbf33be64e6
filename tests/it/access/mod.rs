//! Access: who may call, and how much.

mod by;
mod event_tokens;
mod files;
mod fixture;
mod limits;
mod reload;
mod revocations;
mod streams;
