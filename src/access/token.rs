//! Users' tokens: JSON Web Tokens (RFC 7519) that an application's server has signed.
//!
//! The library does the cryptography. What a token must look like is decided here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::claims::{Claims, Header};
use super::json::object;
use super::token_keys::TokenKey;
use super::{SourceId, TokenKeys, TokenSub};
use crate::domain::{Timestamp, UserId};

/// A server's demands on tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPolicy {
    /// The name that `aud` must hold.
    pub audience: String,
    /// Maximum seconds from `iat` to `exp`.
    pub ttl_max_s: u32,
    /// The meaning of `sub`.
    pub sub: TokenSub,
}

/// A token whose signature and claims are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The user. Whether there is such a user is not known here.
    pub subject: Subject,
    /// The claim `iat`.
    pub issued_at: Timestamp,
    /// The claim `exp`. The token is good for another [minute](Self::ends_at).
    pub expires_at: Timestamp,
    /// The calls that the token may be used for.
    pub scopes: Scopes,
    /// The key that signed the token.
    pub source: SourceId,
    not_before: Option<Timestamp>,
}

/// The user that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// By the user's id.
    Id(UserId),
    /// By the username. It may be any text.
    Username(Box<str>),
}

/// The reason why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The token is not one of this server's, or is not good yet. Nobody is told why.
    #[error("the token is not valid")]
    Invalid,
    /// The token was good, and has expired.
    #[error("the token has expired")]
    Expired,
}

/// Maximum bytes of a token.
const TOKEN_BYTES_MAX: usize = 4_096;
/// The time by which the clocks of issuer and server may differ, where `exp` and `nbf` are kept to.
const LEEWAY: Duration = Duration::from_mins(1);
/// Maximum seconds by which a token's `iat` may be ahead of the server's clock. A revocation holds for all tokens up to
/// then.
pub const TOKEN_AHEAD_S_MAX: u64 = 11;
const ISSUED_AHEAD_MAX: Duration = Duration::from_secs(TOKEN_AHEAD_S_MAX);

impl TokenKeys {
    /// Checks a token: its form, its signature, and then its claims.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal::Expired`] if everything else about the token is good. A token that [is ahead](is_ahead) is no error
    /// here.
    pub fn verify(&self, token: &str, policy: &TokenPolicy, now: Timestamp) -> Result<Token, TokenRefusal> {
        let checked = self.verified_claims(token).and_then(|(key, claims)| checked(claims, key, policy));
        let token = checked.map_err(|reason| {
            // For the operator. The client is not told, because it may be somebody who guesses.
            tracing::debug!(reason, "a token is not valid");
            TokenRefusal::Invalid
        })?;
        token.check_time(now)?;
        Ok(token)
    }

    /// Returns the claims of a token with a good signature, and the key that signed it; or the reason why it is not
    /// valid.
    fn verified_claims(&self, token: &str) -> Result<(&TokenKey, Claims), &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let parts = token.rsplit_once('.').and_then(|(message, signature)| {
            let (header, claims) = message.split_once('.')?;
            Some((message, signature, header, claims))
        });
        let (message, signature, header, claims) = parts.ok_or("it is not a JSON Web Token")?;
        let header: Header =
            decoded(header).ok_or("its header is malformed, or has a member that is refused")?;
        let key = self.find(header.kid.as_deref()).ok_or("no key has its `kid`")?;
        if !key.verifies(&header.alg, message, signature) {
            return Err("its `alg` is not the key's, or its signature is wrong");
        }
        let claims = decoded(claims).ok_or("a claim is missing, or is not of its type")?;
        Ok((key, claims))
    }
}

fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Checks the claims that do not depend on the time of the request. Returns the reason if the token is not valid.
fn checked(claims: Claims, key: &TokenKey, policy: &TokenPolicy) -> Result<Token, &'static str> {
    let subject = match policy.sub {
        TokenSub::Id => Subject::Id(claims.sub.parse().map_err(|_| "its `sub` is not an id")?),
        TokenSub::Username => Subject::Username(claims.sub.into()),
    };
    let (issued_at, expires_at) = (claims.iat.0, claims.exp.0);
    let ttl_max = Duration::from_secs(policy.ttl_max_s.into());
    if !claims.aud.holds(&policy.audience) {
        return Err("its `aud` does not hold the audience of this server");
    }
    if issued_at >= expires_at || expires_at.saturating_since(issued_at) > ttl_max {
        return Err("its `exp` is not after `iat`, or too long after it");
    }
    Ok(Token {
        subject,
        issued_at,
        expires_at,
        scopes: claims.scope.unwrap_or(Scopes::DEFAULT),
        source: key.source,
        not_before: claims.nbf.map(|nbf| nbf.0),
    })
}

/// Returns whether a token was issued too far ahead of now. One of the time from which the user's tokens are good, in
/// Unix seconds, is not too far ahead: it is good at once.
#[must_use]
pub fn is_ahead(issued_at: Timestamp, now: Timestamp, tokens_from_s: u64) -> bool {
    let is_good_at_once = issued_at.as_micros() <= tokens_from_s.saturating_mul(1_000_000);
    issued_at.saturating_since(now) > ISSUED_AHEAD_MAX && !is_good_at_once
}

impl Token {
    /// Checks the time again, for a connection that remembers the token.
    ///
    /// # Errors
    ///
    /// The token has expired, or the clock was set back to a time at which it is not good yet.
    pub fn check_time(&self, now: Timestamp) -> Result<(), TokenRefusal> {
        if self.not_before.is_some_and(|not_before| not_before.saturating_since(now) > LEEWAY) {
            return Err(TokenRefusal::Invalid);
        }
        if now >= self.ends_at() {
            return Err(TokenRefusal::Expired);
        }
        Ok(())
    }

    /// Returns the time from which on the token is refused: `exp` and the leeway.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        let micros = self.expires_at.as_micros() + LEEWAY.as_secs() * 1_000_000;
        // The last minute of the year 9999 has no leeway.
        Timestamp::from_micros(micros).unwrap_or(self.expires_at)
    }
}

/// A kind of calls that a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Reads, and streams of events.
    Read,
    /// Messages and read marks.
    Write,
    /// Chats are made, and members added.
    Chats,
    /// Members are removed, and others' messages deleted.
    Moderate,
    /// Streams of events only.
    Events,
}

impl Scope {
    const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Chats, Self::Moderate, Self::Events];

    /// Returns the name of the scope in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chats => "chats",
            Self::Moderate => "moderate",
            Self::Events => "events",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let scope = Self::ALL.into_iter().find(|scope| scope.name() == word);
        scope.ok_or("must be read, write, chats, moderate or events")
    }
}

/// A set of [scopes](Scope).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes of a token that names none: read and write.
    pub const DEFAULT: Self = Self(1 << Scope::Read as u8 | 1 << Scope::Write as u8);

    /// Returns whether the set holds this scope.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }
}
