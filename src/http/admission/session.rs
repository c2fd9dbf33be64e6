//! The lifetime of a caller's credentials. A stream ends with it.

use crate::access::{Credentials, SourceId};
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::http::answer::codes::Code;
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
    /// Checks that the credentials still let their caller in.
    pub(super) fn check(
        &self,
        engine: &Engine,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<(), Code> {
        if !credentials.contain(self.source) {
            return Err(Code::CredentialsInvalid);
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(Code::TokenExpired);
        }
        if self.token.is_some_and(|token| token.is_revoked(engine)) {
            return Err(Code::TokenRevoked);
        }
        Ok(())
    }
}

impl UserToken {
    /// Returns whether the user's tokens were revoked after this one was issued.
    pub(super) fn is_revoked(&self, engine: &Engine) -> bool {
        self.is_before(engine.read(|model| model.tokens_from(self.user)))
    }

    /// Returns whether the token was issued before this time, in Unix seconds.
    pub(super) fn is_before(&self, tokens_from_s: u64) -> bool {
        self.issued_at.as_micros() < tokens_from_s.saturating_mul(1_000_000)
    }
}
