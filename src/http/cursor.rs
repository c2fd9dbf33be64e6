//! Cursors into a list of chats: a rank and a check value, in hexadecimal.

use std::fmt;

use crate::model::Rank;

/// The rank below which a list goes on.
pub(crate) struct Cursor(pub(crate) Rank);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        write!(f, "{bits:016x}{:08x}", check_value(bits))
    }
}

impl Cursor {
    /// Returns `None` if the text is not a cursor that this server made.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bits = u64::from_str_radix(text.get(..16)?, 16).ok()?;
        let cursor = Self(Rank::from_bits(bits));
        (cursor.to_string() == text).then_some(cursor)
    }
}

/// Distinguishes cursors from typos. It is not a protection: anybody can compute it.
fn check_value(bits: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(b"chinwag cursor"), &bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_a_cursor_is_parsed_as_one() {
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
