//! Safe retries (draft-ietf-httpapi-idempotency-key-header): a key names one request, for the life of the log.

use std::borrow::Cow;

use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Encode};
use sha2::{Digest, Sha256};

use super::{Command, NewMessage};

/// The text is not 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters")]
pub struct InvalidKey;

/// Ties a record to the request that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey<'a> {
    text: Cow<'a, str>,
    fingerprint: Fingerprint,
    digest: KeyDigest,
}

/// A digest of a call and its values, as parsed: the first 16 bytes of a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Fingerprint(pub [u8; 16]);

/// A digest of a key, to find it by: the first 12 bytes of its SHA-256. No two keys that anybody will ever send have
/// the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u32; 3]);

impl IdempotencyKey<'static> {
    /// It has at least one character, and at most so many.
    pub const CHARS_MAX: usize = 255;

    /// The key of a request for this command.
    ///
    /// # Errors
    ///
    /// The text is no key.
    pub fn new(text: String, command: &Command) -> Result<Self, InvalidKey> {
        Self::from_parts(text, Fingerprint::of(command))
    }

    /// The key of a request that was fingerprinted before.
    ///
    /// # Errors
    ///
    /// The text is no key.
    pub fn from_parts(text: String, fingerprint: Fingerprint) -> Result<Self, InvalidKey> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(1..=Self::CHARS_MAX).contains(&text.len()) {
            return Err(InvalidKey);
        }
        Ok(Self::recorded(Cow::Owned(text), fingerprint))
    }
}

impl<'a> IdempotencyKey<'a> {
    /// The key of a request that was accepted.
    #[must_use]
    pub fn recorded(text: Cow<'a, str>, fingerprint: Fingerprint) -> Self {
        let digest = KeyDigest::of(&text);
        Self { text, fingerprint, digest }
    }

    /// The same, without a copy of the text.
    #[must_use]
    pub fn borrowed(&self) -> IdempotencyKey<'_> {
        IdempotencyKey { text: Cow::Borrowed(&self.text), ..*self }
    }

    /// As the client sent it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the client asked for under it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What to find it by.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }
}

/// On disk: the text, then the fingerprint.
impl Encode for IdempotencyKey<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.text.encode(encoder)?;
        self.fingerprint.encode(encoder)
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for IdempotencyKey<'de> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let text = Cow::borrow_decode(decoder)?;
        Ok(Self::recorded(text, Fingerprint::borrow_decode(decoder)?))
    }
}

impl KeyDigest {
    fn of(text: &str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let word = |at: usize| u32::from_le_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]);
        Self([word(0), word(4), word(8)])
    }
}

impl Fingerprint {
    /// **Invariant:** fingerprints are in the log. What goes into one, and how, never changes.
    fn of(command: &Command) -> Self {
        let mut hash = Hash(Sha256::new());
        match command {
            Command::AddUser { username } => hash.call("/users/add").text(username),
            Command::AddChat { name, users } => {
                let hash = hash.call("/chats/add").text(name);
                users.iter().fold(hash, |hash, &user| hash.id(user))
            }
            Command::AddMessage(message) => hash.call("/messages/add").message(message),
            Command::AddMessages(messages) => {
                messages.iter().fold(hash.call("/messages/batch"), Hash::message)
            }
            Command::AddMember { chat, user } => hash.call("/chats/users/add").id(*chat).id(*user),
            Command::RemoveMember { chat, user } => hash.call("/chats/users/remove").id(*chat).id(*user),
            Command::MarkRead { chat, user, seq } => {
                hash.call("/chats/read").id(*chat).id(*user).number(seq.0)
            }
        };
        let digest = hash.0.finalize();
        Self(digest[..16].try_into().expect("a SHA-256 has 32 bytes"))
    }
}

/// Feeds values so that no two lists of values feed the same bytes: texts go with their lengths.
struct Hash(Sha256);

impl Hash {
    fn call(&mut self, path: &str) -> &mut Self {
        self.text(path)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
        self
    }

    fn id(&mut self, id: impl Into<uuid::Uuid>) -> &mut Self {
        self.0.update(id.into().as_bytes());
        self
    }

    fn message(&mut self, NewMessage { chat, author, text }: &NewMessage) -> &mut Self {
        self.id(*chat).id(*author).text(text)
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(number.to_le_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChatName, Seq, Text, Username};
    use uuid::Uuid;

    fn commands() -> Vec<Command> {
        let id = |number: u128| Uuid::from_u128(number);
        let (chat, user) = (id(1).into(), id(2).into());
        let (name, text) = (|name: &str| ChatName::try_from(name.to_owned()).unwrap(), "tea".to_owned());
        let message = |chat| {
            let text = Text::try_from(text.clone()).unwrap();
            NewMessage { chat: id(chat).into(), author: user, text }
        };
        vec![
            Command::AddUser { username: Username::try_from(text.clone()).unwrap() },
            Command::AddUser { username: Username::try_from("te".to_owned()).unwrap() },
            Command::AddChat { name: name("tea"), users: vec![user] },
            Command::AddChat { name: name("tea"), users: vec![user, id(3).into()] },
            Command::AddChat { name: name("tea"), users: vec![id(3).into(), user] },
            Command::AddMessage(message(1)),
            Command::AddMember { chat, user },
            Command::RemoveMember { chat, user },
            Command::MarkRead { chat, user, seq: Seq(1) },
            Command::MarkRead { chat, user, seq: Seq(2) },
            Command::AddMessages(vec![message(1)]),
            Command::AddMessages(vec![message(1), message(3)]),
        ]
    }

    #[test]
    fn fingerprints_tell_calls_and_values_apart() {
        let commands = commands();
        for (index, one) in commands.iter().enumerate() {
            assert_eq!(Fingerprint::of(one), Fingerprint::of(&one.clone()));
            for other in &commands[..index] {
                assert_ne!(Fingerprint::of(one), Fingerprint::of(other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn fingerprints_never_change() {
        let fingerprints = commands().into_iter().map(|command| {
            let Fingerprint(bytes) = Fingerprint::of(&command);
            Uuid::from_bytes(bytes).simple().to_string() + "\n"
        });
        insta::assert_snapshot!(fingerprints.collect::<String>());
    }

    #[test]
    fn a_key_is_1_to_255_visible_ascii_characters() {
        let key = |text: &str| IdempotencyKey::new(text.to_owned(), &commands()[0]).map(|_| ());
        for fine in ["x", "!~", &"k".repeat(255)] {
            assert_eq!(key(fine), Ok(()), "{fine}");
        }
        for refused in ["", "a b", " a", "é", "a\tb", "\u{7f}", &"k".repeat(256)] {
            assert_eq!(key(refused), Err(InvalidKey), "{refused}");
        }
    }
}
