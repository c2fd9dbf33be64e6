//! Tokens for `GET /events?token=`, for clients such as `EventSource` that cannot send a header.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{BadFile, SourceId};
use crate::domain::{Timestamp, UserId};

/// The secret that seals tokens for streams.
pub struct Secret(hmac::Key);

/// A token that is good for streams of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventToken {
    /// The user whose events are streamed.
    pub user: UserId,
    /// The server key or the JWK of the credential that bought the token.
    pub source: SourceId,
    /// The time of issue of the credential that bought the token, so that a revocation of that one ends this one, too.
    pub issued_at: Timestamp,
    /// The time from which on the token is refused.
    pub expires_at: Timestamp,
}

/// The beginning of every token, by which scanners of secrets recognize one.
const PREFIX: &str = "cwe_";
const VERSION: u8 = 1;
/// The version, the user, the source and two times.
const PAYLOAD_BYTES: usize = 1 + 16 + SourceId::BYTES + 8 + 8;
/// Beginning of everything that is sealed, so that the secret can serve other purposes.
const PURPOSE: &[u8] = b"chinwag events token\0";

impl Secret {
    /// Minimum bytes of a secret.
    pub const BYTES_MIN: usize = 32;

    /// Parses a file: its bytes are the secret, without the line end that may be at their end.
    ///
    /// # Errors
    ///
    /// The secret is too short.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadFile> {
        let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
        if bytes.len() < Self::BYTES_MIN {
            return Err(BadFile::whole(&format!("the secret must have at least {} bytes", Self::BYTES_MIN)));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Draws a secret.
    ///
    /// # Panics
    ///
    /// The system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; Self::BYTES_MIN];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// Returns the text of a token. It can be read by everyone, and made with the secret only.
    #[must_use]
    pub fn seal(&self, token: &EventToken) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD_BYTES + 32);
        bytes.push(VERSION);
        bytes.extend(Uuid::from(token.user).as_bytes());
        bytes.extend(token.source.as_bytes());
        bytes.extend(token.issued_at.as_micros().to_be_bytes());
        bytes.extend(token.expires_at.as_micros().to_be_bytes());
        let tag = hmac::sign(&self.0, &[PURPOSE, &bytes].concat());
        bytes.extend(tag.as_ref());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the token of a text that this secret has sealed. Whether it has expired is for the caller to check.
    #[must_use]
    pub fn open(&self, text: &str) -> Option<EventToken> {
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (payload, tag) = sealed.split_first_chunk::<PAYLOAD_BYTES>()?;
        hmac::verify(&self.0, &[PURPOSE, payload].concat(), tag).ok()?;
        let (&[version], rest) = payload.split_first_chunk()?;
        let (user, rest) = rest.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (expires_at, _) = rest.split_first_chunk()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_micros(u64::from_be_bytes(*bytes));
        Some(EventToken {
            user: Uuid::from_bytes(*user).into(),
            source: SourceId::from_bytes(*source),
            issued_at: time(issued_at)?,
            expires_at: time(expires_at)?,
        })
        .filter(|_| version == VERSION)
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
