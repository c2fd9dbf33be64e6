//! Idempotency keys: a key names one request for the life of the log, so that a retry is recognised.
//!
//! The header is that of draft-ietf-httpapi-idempotency-key-header.

use std::borrow::Cow;

use bincode::enc::Encoder;
use bincode::error::EncodeError;
use bincode::{BorrowDecode, Encode};
use sha2::{Digest, Sha256};

use super::Command;

/// The text is not 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

/// The key of a request, and a digest of the request. It is stored with the record of the request's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey<'a> {
    text: Cow<'a, str>,
    fingerprint: Fingerprint,
    digest: KeyDigest,
}

/// A digest of a command: the first 16 bytes of a SHA-256 over the path of its call and its values as parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Fingerprint(pub [u8; 16]);

/// A digest of a key's text, by which the key is found: the first 12 bytes of a SHA-256. At that length no
/// two keys collide in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u32; 3]);

/// Computes a [`Fingerprint`]. Each text is fed behind its length, so that two lists of values never feed the
/// same bytes.
#[derive(Default)]
pub(super) struct FingerprintHasher(Sha256);

impl IdempotencyKey<'static> {
    /// Maximum characters of a key; the minimum is 1.
    pub const CHARS_MAX: usize = 255;

    /// Returns the key of a request for this command.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a valid key.
    pub fn new(text: String, command: &Command) -> Result<Self, InvalidKey> {
        Self::from_parts(text, command.fingerprint())
    }

    /// Returns the key of a request whose fingerprint is known.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a valid key.
    pub fn from_parts(text: String, fingerprint: Fingerprint) -> Result<Self, InvalidKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(1..=Self::CHARS_MAX).contains(&text.len()) {
            return Err(InvalidKey);
        }
        Ok(Self::recorded(Cow::Owned(text), fingerprint))
    }
}

impl<'a> IdempotencyKey<'a> {
    /// Returns the key of an accepted request, whose text was checked when it was accepted.
    #[must_use]
    pub fn recorded(text: Cow<'a, str>, fingerprint: Fingerprint) -> Self {
        let digest = KeyDigest::of(&text);
        Self { text, fingerprint, digest }
    }

    /// Returns the same key without a copy of the text.
    #[must_use]
    pub fn borrowed(&self) -> IdempotencyKey<'_> {
        IdempotencyKey { text: Cow::Borrowed(&self.text), ..*self }
    }

    /// Returns the text, as the client sent it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the digest of the request that had the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the digest by which the key is found.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }
}

/// The digest is not encoded: it follows from the text. [`Record::decode`](super::Record::decode) is the way back.
impl Encode for IdempotencyKey<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.text.encode(encoder)?;
        self.fingerprint.encode(encoder)
    }
}

impl KeyDigest {
    fn of(text: &str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let word = |at: usize| u32::from_le_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
        Self([word(0), word(4), word(8)])
    }
}

impl FingerprintHasher {
    /// Feeds the path of the API's call, which tells commands with the same values apart.
    pub(super) fn path(&mut self, path: &str) -> &mut Self {
        self.text(path)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
        self
    }

    pub(super) fn id(&mut self, id: impl Into<uuid::Uuid>) -> &mut Self {
        self.0.update(id.into().as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_le_bytes());
        self
    }

    pub(super) fn finish(self) -> Fingerprint {
        let digest = self.0.finalize();
        Fingerprint(digest[..16].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_1_to_255_visible_ascii_characters() {
        let key = |text: &str| IdempotencyKey::from_parts(text.to_owned(), Fingerprint([0; 16])).map(|_| ());
        for fine in ["x", "!~", &"k".repeat(255)] {
            assert_eq!(key(fine), Ok(()), "{fine}");
        }
        for refused in ["", "a b", " a", "é", "a\tb", "\u{7f}", &"k".repeat(256)] {
            assert_eq!(key(refused), Err(InvalidKey), "{refused}");
        }
    }
}
