//! Idempotency keys: a key names one request for the life of the log, so that a retry is recognised.
//!
//! The header is that of draft-ietf-httpapi-idempotency-key-header.

use std::borrow::Cow;

use bincode::enc::Encoder;
use bincode::error::EncodeError;
use bincode::{BorrowDecode, Encode};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Actor, Command, Metadata};

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

/// A digest of a key's text and of the user whose key it is, by which the key is found: the first 12 bytes of a
/// SHA-256. At that length no two keys collide in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u32; 3]);

/// Computes a [`Fingerprint`]. Each text is fed behind its length, so that two lists of values never feed the
/// same bytes.
#[derive(Default)]
pub(super) struct FingerprintHasher(Sha256);

impl Fingerprint {
    /// What is left of a fingerprint whose request is erased. A retry has another one, and is refused.
    pub const ERASED: Self = Self([0; 16]);
}

impl IdempotencyKey<'static> {
    /// Maximum characters of a key; the minimum is 1.
    pub const CHARS_MAX: usize = 255;

    /// Returns the key of a request for this command, by this actor.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a valid key.
    pub fn new(text: String, command: &Command, by: &Actor<'_>) -> Result<Self, InvalidKey> {
        Self::from_parts(text, command.fingerprint(), by)
    }

    /// Returns the key of a request by this actor whose fingerprint is known.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a valid key.
    pub fn from_parts(text: String, fingerprint: Fingerprint, by: &Actor<'_>) -> Result<Self, InvalidKey> {
        Self::check(&text)?;
        Ok(Self::recorded(Cow::Owned(text), fingerprint, by))
    }

    /// Checks the text of a key.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a valid key.
    pub fn check(text: &str) -> Result<(), InvalidKey> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible && (1..=Self::CHARS_MAX).contains(&text.len()) { Ok(()) } else { Err(InvalidKey) }
    }
}

impl<'a> IdempotencyKey<'a> {
    /// Returns the key of an accepted request by this actor, whose text was checked when it was accepted.
    #[must_use]
    pub fn recorded(text: Cow<'a, str>, fingerprint: Fingerprint, by: &Actor<'_>) -> Self {
        let digest = KeyDigest::of(&text, by);
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

    /// Puts the fingerprint of no request in the place of this one's: what it is a digest of is erased.
    pub(super) fn erase_fingerprint(&mut self) {
        self.fingerprint = Fingerprint::ERASED;
    }

    /// Returns whether this is a key of this actor.
    #[must_use]
    pub fn is_of(&self, by: &Actor<'_>) -> bool {
        self.digest == KeyDigest::of(&self.text, by)
    }

    /// Returns the digest by which the key is found.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }
}

/// The digest is not encoded: it follows from the text and the actor. [`Record::decode`](super::Record::decode) is the way back.
impl Encode for IdempotencyKey<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.text.encode(encoder)?;
        self.fingerprint.encode(encoder)
    }
}

impl KeyDigest {
    /// Each user's keys are their own. All other actors share theirs.
    ///
    /// **Invariant:** no key of a user is that of another actor. The bytes of a user begin with a zero byte, which
    /// no text does.
    fn of(text: &str, by: &Actor<'_>) -> Self {
        let mut hasher = Sha256::new();
        if let Actor::User(user) = by {
            hasher.update([0]);
            hasher.update(Uuid::from(*user).as_bytes());
        }
        hasher.update(text.as_bytes());
        let hash = hasher.finalize();
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

    pub(super) fn id(&mut self, id: impl Into<Uuid>) -> &mut Self {
        self.0.update(id.into().as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_le_bytes());
        self
    }

    /// Feeds whether there is a value, and the value.
    pub(super) fn option<T>(
        &mut self,
        value: Option<T>,
        feed: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        let hasher = self.number(value.is_some().into());
        match value {
            None => hasher,
            Some(value) => feed(hasher, value),
        }
    }

    pub(super) fn value(&mut self, text: Option<&str>) -> &mut Self {
        self.option(text, Self::text)
    }

    /// Feeds metadata, which are compared by value.
    pub(super) fn metadata(&mut self, metadata: Option<&Metadata>) -> &mut Self {
        self.option(metadata, |hasher, metadata| hasher.text(&metadata.canonical()))
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
        let key = |text: &str| {
            let key = IdempotencyKey::from_parts(text.to_owned(), Fingerprint([0; 16]), &Actor::Unknown);
            key.map(|_| ())
        };
        for fine in ["x", "!~", &"k".repeat(255)] {
            assert_eq!(key(fine), Ok(()), "{fine}");
        }
        for refused in ["", "a b", " a", "é", "a\tb", "\u{7f}", &"k".repeat(256)] {
            assert_eq!(key(refused), Err(InvalidKey), "{refused}");
        }
    }
    #[test]
    fn only_users_have_keys_of_their_own() {
        let digest = |text: &str, by: &Actor<'_>| KeyDigest::of(text, by);
        let (ann, bob) = (Actor::User(Uuid::from_u128(1).into()), Actor::User(Uuid::from_u128(2).into()));
        let server = Actor::Key("backend".into());
        assert_eq!(digest("k", &server), digest("k", &Actor::Unknown));
        assert_eq!(digest("k", &server), digest("k", &Actor::Key("other".into())));
        let digests = [digest("k", &server), digest("k", &ann), digest("k", &bob), digest("l", &ann)];
        for (index, one) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(one), "{index}");
        }
    }
}
