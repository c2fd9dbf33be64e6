//! Names and texts that are checked once, when they come in, and are valid from then on.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The reason why a value was refused. The message completes the sentence "`<field>` …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// The value is empty.
    #[error("must not be empty")]
    Empty,
    /// The value has more characters (Unicode scalar values) than the limit.
    #[error("must have at most {max} characters")]
    TooManyCharacters {
        /// The limit.
        max: usize,
    },
    /// The value has more bytes of UTF-8 than the limit.
    #[error("must have at most {max} bytes of UTF-8")]
    TooManyBytes {
        /// The limit.
        max: usize,
    },
    /// The value holds a character of Unicode's category Cc.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// The first or the last character has Unicode's property `White_Space`.
    #[error("must not begin or end with white space")]
    WhiteSpaceAtEnd,
}

macro_rules! value {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Box<str>);

        impl TryFrom<String> for $name {
            type Error = InvalidValue;

            fn try_from(value: String) -> Result<Self, InvalidValue> {
                $check(&value).map(|()| Self(value.into_boxed_str()))
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }
    };
}

value! {
    /// A user's name: 1 to 64 characters, no control characters, no white space at either end.
    Username, |name| check_name(name, Username::CHARS_MAX)
}
value! {
    /// A chat's name: 1 to 128 characters, no control characters, no white space at either end.
    ChatName, |name| check_name(name, ChatName::CHARS_MAX)
}
value! {
    /// A message's text: 1 to 16,384 bytes of UTF-8, any characters.
    Text, check_text
}

value! {
    /// An emoji of a reaction: 1 to 64 bytes of UTF-8, no control characters. The server does not ask whether it is one.
    Emoji, check_emoji
}

impl Username {
    /// Maximum characters of a username.
    pub const CHARS_MAX: usize = 64;
}

impl ChatName {
    /// Maximum characters of a chat's name.
    pub const CHARS_MAX: usize = 128;
}

impl Text {
    /// Maximum bytes of a text, in UTF-8.
    pub const BYTES_MAX: usize = 16_384;
}

impl Emoji {
    /// Maximum bytes of an emoji, in UTF-8.
    pub const BYTES_MAX: usize = 64;
}

fn check_name(name: &str, chars_max: usize) -> Result<(), InvalidValue> {
    if name.is_empty() {
        return Err(InvalidValue::Empty);
    }
    if name.chars().count() > chars_max {
        return Err(InvalidValue::TooManyCharacters { max: chars_max });
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidValue::ControlCharacter);
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Err(InvalidValue::WhiteSpaceAtEnd);
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), InvalidValue> {
    check_bytes(text, Text::BYTES_MAX)
}

fn check_emoji(emoji: &str) -> Result<(), InvalidValue> {
    check_bytes(emoji, Emoji::BYTES_MAX)?;
    if emoji.chars().any(char::is_control) { Err(InvalidValue::ControlCharacter) } else { Ok(()) }
}

fn check_bytes(text: &str, max: usize) -> Result<(), InvalidValue> {
    if text.is_empty() {
        Err(InvalidValue::Empty)
    } else if text.len() > max {
        Err(InvalidValue::TooManyBytes { max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn username(value: &str) -> Result<Username, InvalidValue> {
        Username::try_from(value.to_owned())
    }

    #[test]
    fn names_are_counted_in_characters() {
        assert_eq!(username(""), Err(InvalidValue::Empty));
        assert!(username("é").is_ok());
        assert!(username(&"🦀".repeat(64)).is_ok());
        assert_eq!(username(&"🦀".repeat(65)), Err(InvalidValue::TooManyCharacters { max: 64 }));
        assert!(ChatName::try_from("é".repeat(128)).is_ok());
        assert_eq!(ChatName::try_from("é".repeat(129)), Err(InvalidValue::TooManyCharacters { max: 128 }));
    }

    #[test]
    fn names_have_no_control_characters_nor_outer_white_space() {
        for inside in ["a\0b", "a\nb", "a\u{7f}b", "a\u{85}b", "\t"] {
            assert_eq!(username(inside), Err(InvalidValue::ControlCharacter), "{inside:?}");
        }
        for at_end in [" a", "a ", "\u{3000}a", "a\u{a0}", "\u{2028}", " "] {
            assert_eq!(username(at_end), Err(InvalidValue::WhiteSpaceAtEnd), "{at_end:?}");
        }
        for fine in ["a b", "a\u{a0}b", "\u{200b}a", "|trey|", "[x]^\\"] {
            assert!(username(fine).is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn texts_are_counted_in_bytes() {
        let text = |value: String| Text::try_from(value).map(|_| ());
        assert_eq!(text(String::new()), Err(InvalidValue::Empty));
        assert_eq!(text(" \0\u{1b}\n".to_owned()), Ok(()));
        assert_eq!(text("é".repeat(8_192)), Ok(()));
        assert_eq!(text("é".repeat(8_192) + "e"), Err(InvalidValue::TooManyBytes { max: 16_384 }));
    }

    #[test]
    fn an_emoji_is_short() {
        let emoji = |value: &str| Emoji::try_from(value.to_owned()).map(|_| ());
        for fine in ["👍", "👩‍👩‍👧‍👧", "+1", " ", &"x".repeat(64)] {
            assert_eq!(emoji(fine), Ok(()), "{fine}");
        }
        assert_eq!(emoji(""), Err(InvalidValue::Empty));
        assert_eq!(emoji(&"x".repeat(65)), Err(InvalidValue::TooManyBytes { max: 64 }));
        assert_eq!(emoji("a\n"), Err(InvalidValue::ControlCharacter));
    }
}
