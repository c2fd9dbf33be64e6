//! Actors: those who cause events.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::UserId;

/// The text is not the name of a server key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 characters of a-z, 0-9, \"_\", \".\" and \"-\"")]
pub struct InvalidKeyName;

impl InvalidKeyName {
    /// Checks the name of a server key.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not such a name.
    pub fn check(name: &str) -> Result<(), Self> {
        const CHARS_MAX: usize = 32;
        let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        let is_name = name.bytes().all(is_allowed) && (1..=CHARS_MAX).contains(&name.len());
        if is_name { Ok(()) } else { Err(Self) }
    }
}

/// The one who caused an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor<'a> {
    /// Somebody whom the server did not ask for credentials.
    #[default]
    Unknown,
    /// A server key, by its name.
    Key(Cow<'a, str>),
    /// A user.
    User(UserId),
}

impl Actor<'static> {
    /// Returns the server key of this name.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not the name of a server key.
    pub fn key(name: String) -> Result<Self, InvalidKeyName> {
        InvalidKeyName::check(&name)?;
        Ok(Self::Key(Cow::Owned(name)))
    }
}

impl Actor<'_> {
    /// Returns whether the actor is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Returns the same actor with a name of its own.
    #[must_use]
    pub fn into_owned(self) -> Actor<'static> {
        match self {
            Self::Unknown => Actor::Unknown,
            Self::Key(name) => Actor::Key(Cow::Owned(name.into_owned())),
            Self::User(user) => Actor::User(user),
        }
    }

    /// Returns the same actor without a copy of the name.
    #[must_use]
    pub fn borrowed(&self) -> Actor<'_> {
        match self {
            Self::Unknown => Actor::Unknown,
            Self::Key(name) => Actor::Key(Cow::Borrowed(name)),
            Self::User(user) => Actor::User(*user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_name_is_1_to_32_plain_characters() {
        for fine in ["a", "back-end_2.eu", &"k".repeat(32)] {
            assert_eq!(Actor::key(fine.to_owned()), Ok(Actor::Key(fine.into())), "{fine}");
        }
        for refused in ["", "A", "a b", "é", "a/b", "a\n", &"k".repeat(33)] {
            assert_eq!(Actor::key(refused.to_owned()), Err(InvalidKeyName), "{refused}");
        }
    }
}
