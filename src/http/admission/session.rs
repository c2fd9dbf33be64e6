//! The lifetime of a caller's credentials. A stream ends with it.

use crate::access::{Credentials, SourceId};
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::model::UserIndex;

/// The lifetime of a caller's credentials.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    /// The server key, or the key that signed the token. The session ends when the key is removed.
    pub(crate) source: SourceId,
    /// The time at which the credentials expire, if they do.
    pub(crate) ends_at: Option<Timestamp>,
    /// The user's token. It ends when the user's tokens are revoked.
    pub(crate) token: Option<UserToken>,
}

/// A token of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserToken {
    pub(crate) user: UserIndex,
    pub(crate) issued_at: Timestamp,
    /// The time at which it expires, without leeway.
    pub(crate) expires_at: Timestamp,
}

impl Session {
    /// Returns whether the credentials no longer let their caller in.
    pub(super) fn is_over(&self, engine: &Engine, credentials: &Credentials, now: Timestamp) -> bool {
        let is_revoked = || self.token.is_some_and(|token| token.is_revoked(engine));
        self.ends_at.is_some_and(|end| now >= end) || !credentials.contain(self.source) || is_revoked()
    }
}

impl UserToken {
    /// Returns whether the user's tokens were revoked after this one was issued.
    pub(super) fn is_revoked(&self, engine: &Engine) -> bool {
        let from_s = engine.read(|model| model.tokens_from(self.user));
        self.issued_at.as_micros() < from_s.saturating_mul(1_000_000)
    }
}
