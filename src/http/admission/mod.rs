//! Admission: identifies the caller, and refuses a caller who may not call, or calls too often.
//!
//! | module | contents |
//! | --- | --- |
//! | `rule` | the callers that a call admits; each rule stands beside its route |
//! | `presented` | the credentials that a request presents |
//! | `quota` | the quotas of users |
//! | `keyed` | a caller is admitted, or refused in the order of the API |
//! | `identity` | from credentials to the caller |
//! | `caller` | the caller, as calls see it |
//! | `session` | the lifetime of a caller's credentials |
//! | `streams` | streams of users: their number, their end, tokens for their URLs |
//! | `head` | the head of a request and its connection |
//!
//! A server without keys admits everyone, and looks at nothing.

mod caller;
mod head;
mod identity;
mod keyed;
mod presented;
mod quota;
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
