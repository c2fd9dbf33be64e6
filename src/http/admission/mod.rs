//! Who calls, and whether the caller may: credentials, what they are good for, and rates.
//!
//! | module | contents |
//! | --- | --- |
//! | `rule` | who may make a call; each rule stands beside its route |
//! | `presented` | the credentials that a request presents |
//! | `keyed` | a caller is admitted, or refused in the order of the API |
//! | `identity` | who it is that presents these credentials |
//! | `caller` | the caller, as calls see it |
//! | `session` | how long credentials let their caller in |
//! | `streams` | streams of users: their number, their end, tokens for their URLs |
//! | `head` | what admission looks at |
//!
//! A server without keys admits everyone, and looks at nothing.

mod caller;
mod head;
mod identity;
mod keyed;
mod presented;
mod rule;
mod session;
mod streams;

pub(crate) use caller::Caller;
pub(crate) use head::{Head, Peer};
pub(crate) use keyed::Cost;
pub use keyed::Keyed;
pub(crate) use presented::TOKEN;
pub(crate) use rule::{KeyNeed, Rule, UserNeed};
pub(crate) use session::Session;
pub(crate) use streams::UserStream;
