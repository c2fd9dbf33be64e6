//! The rule of a call: the credentials that let a caller make it. It stands beside the call's route.

use crate::access::{KeyScope, Scope, Scopes};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;

/// The callers that a call admits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// Everyone, without credentials.
    Everyone,
    /// Those with one of these credentials.
    Callers {
        /// Server keys.
        keys: KeyNeed,
        /// Tokens of users.
        users: UserNeed,
        /// Codes with which the call itself may refuse a user.
        refusals: &'static [Code],
    },
}

/// The use that a server key must be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyNeed {
    /// Reads. A key of the scope `read` or `all` is.
    Reads,
    /// Everything. Only a key of the scope `all` is.
    All,
    /// The metrics. A key of the scope `metrics` or `all` is.
    Metrics,
}

/// The scope that a user's token must have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum UserNeed {
    /// The call is not for users.
    NotForUsers,
    /// One of these scopes. If there are none here, every token will do.
    OneOf(&'static [Scope]),
}

impl Rule {
    /// Returns the rule of a call that only servers make.
    pub(crate) const fn servers(keys: KeyNeed) -> Self {
        Self::Callers { keys, users: UserNeed::NotForUsers, refusals: &[] }
    }

    /// Returns the rule of a call that users also make, with one of these scopes. The call itself may refuse a user
    /// with these codes.
    pub(crate) const fn users(keys: KeyNeed, scopes: &'static [Scope], refusals: &'static [Code]) -> Self {
        Self::Callers { keys, users: UserNeed::OneOf(scopes), refusals }
    }
}

impl KeyNeed {
    /// Refuses a key whose scope is too small.
    pub(super) fn check(self, scope: KeyScope) -> Result<(), Problem> {
        let is_enough = match scope {
            KeyScope::All => true,
            KeyScope::Read => self == Self::Reads,
            KeyScope::Metrics => self == Self::Metrics,
        };
        if is_enough { Ok(()) } else { Err(scope_missing(self.least_scope())) }
    }

    /// Returns the smallest scope of a server key that is enough.
    pub(crate) fn least_scope(self) -> &'static str {
        match self {
            Self::Reads => "read",
            Self::All => "all",
            Self::Metrics => "metrics",
        }
    }
}

impl UserNeed {
    /// Returns whether the call takes a token in its URL: a browser's `EventSource` sends no header.
    pub(super) fn takes_token_in_url(self) -> bool {
        matches!(self, Self::OneOf(scopes) if scopes.contains(&Scope::Events))
    }

    /// Refuses a token without the scope.
    pub(super) fn check(self, scopes: Scopes) -> Result<(), Problem> {
        match self {
            Self::NotForUsers => Err(Problem::usual(Code::ServerKeyRequired)),
            Self::OneOf([]) => Ok(()),
            Self::OneOf(these) if these.iter().any(|&scope| scopes.has(scope)) => Ok(()),
            Self::OneOf(these) => {
                let names: Vec<_> = these.iter().map(ToString::to_string).collect();
                Err(scope_missing(&names.join(" or ")))
            }
        }
    }
}

fn scope_missing(scopes: &str) -> Problem {
    Problem::new(Code::ScopeMissing, format!("this call needs the scope {scopes}"))
}
