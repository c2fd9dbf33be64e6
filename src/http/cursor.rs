//! Cursors into a list of chats: a rank and a check value, in hexadecimal.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::fields::{Field, FromJson};
use super::problem::Problem;
use crate::model::Rank;

/// Where a list goes on.
pub(super) struct Cursor(pub(super) Rank);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        write!(f, "{bits:016x}{:08x}", check_value(bits))
    }
}

impl Cursor {
    /// None if it is not one of ours.
    fn parse(text: &str) -> Option<Self> {
        let bits = u64::from_str_radix(text.get(..16)?, 16).ok()?;
        let cursor = Self(Rank::from_bits(bits));
        (cursor.to_string() == text).then_some(cursor)
    }
}

/// Tells our cursors from typing errors; it keeps nobody out.
fn check_value(bits: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(b"chinwag cursor"), &bits.to_be_bytes())
}

/// The refusal of a cursor that we did not make.
pub(super) fn not_ours(value: &str) -> Problem {
    Problem::invalid_field("cursor", "must be one that this server gave with a chat", Some(value))
}

impl FromJson<'_> for Cursor {
    fn from_json(raw: &RawValue, field: Field<'_>) -> Result<Self, Problem> {
        Self::parse(&Cow::<str>::from_json(raw, field)?).ok_or_else(|| not_ours(raw.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        let bits = 0x8000_0000_0000_0011;
        let text = Cursor(Rank::from_bits(bits)).to_string();
        assert_eq!(Cursor::parse(&text).map(|cursor| cursor.0.to_bits()), Some(bits));
        for index in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[index] = if altered[index] == b'0' { b'1' } else { b'0' };
            assert!(Cursor::parse(std::str::from_utf8(&altered).expect("digits")).is_none(), "digit {index}");
            assert!(Cursor::parse(&text[..index]).is_none());
        }
        for foreign in ["", "é", &text.to_uppercase(), &format!("{text}0"), &format!("+{}", &text[1..])] {
            assert!(Cursor::parse(foreign).is_none(), "{foreign}");
        }
    }
}
