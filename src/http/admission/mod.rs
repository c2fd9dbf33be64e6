//! Who calls, and whether the caller may: credentials, what they are good for, and rates.
//!
//! | module | contents |
//! | --- | --- |
//! | `rule` | who may make a call; each rule stands beside its route |
//! | `presented` | the credentials that a request presents |
//! | `keyed` | credentials and rates are checked, and a caller is admitted |
//! | `caller` | the caller, as calls see it |
//! | `session` | how long credentials let their caller in |
//! | `head` | what admission looks at |
//!
//! A server without keys admits everyone, and looks at nothing.

mod caller;
mod head;
mod keyed;
mod presented;
mod rule;
mod session;

pub(crate) use caller::Caller;
pub(crate) use head::{Head, Peer};
pub use keyed::Keyed;
pub(crate) use keyed::{Cost, UserStream};
pub(crate) use presented::TOKEN;
pub(crate) use rule::{KeyNeed, Rule, UserNeed};
pub(crate) use session::Session;
