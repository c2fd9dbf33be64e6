//! Who may call, shown on the real server: the whole table, the order of refusals, known attacks, and no secret
//! anywhere that it does not belong. And how much, for how long, and what the log says of it.

mod by;
mod event_tokens;
mod files;
mod fixture;
mod limits;
mod reload;
mod revocations;
mod streams;
