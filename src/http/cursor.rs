//! Cursors into a list: the place of an item and a check value, in hexadecimal.

use std::fmt;

use crate::domain::Timestamp;
use crate::model::{EmojiIndex, Rank, UserIndex};

/// The place of an item, after which a list goes on.
pub(crate) struct Cursor<P>(pub(crate) P);

/// Into a list of chats.
pub(crate) type ChatCursor = Cursor<Rank>;

/// Into a list of users, by the times at which they were added.
pub(crate) type UserCursor = Cursor<Timestamp>;

/// Into a list of reactions to a message.
pub(crate) type ReactionCursor = Cursor<(EmojiIndex, UserIndex)>;

/// The place of an item in a list, as one number.
pub(crate) trait Place: Copy + Sized {
    /// Keeps the cursors of one list from being taken for those of another.
    const LABEL: &'static [u8];

    fn to_bits(self) -> u64;

    /// Returns `None` if no item has this place.
    fn from_bits(bits: u64) -> Option<Self>;
}

impl Place for Rank {
    const LABEL: &'static [u8] = b"chinwag cursor";

    fn to_bits(self) -> u64 {
        self.to_bits()
    }

    fn from_bits(bits: u64) -> Option<Self> {
        Some(Self::from_bits(bits))
    }
}

impl Place for Timestamp {
    const LABEL: &'static [u8] = b"chinwag cursor of users";

    fn to_bits(self) -> u64 {
        self.as_micros()
    }

    fn from_bits(bits: u64) -> Option<Self> {
        Self::from_micros(bits)
    }
}

impl Place for (EmojiIndex, UserIndex) {
    const LABEL: &'static [u8] = b"chinwag cursor of reactions";

    fn to_bits(self) -> u64 {
        let (emoji, user) = self;
        u64::from(emoji.to_u32()) << 32 | u64::from(user.to_u32())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves make the whole")]
    fn from_bits(bits: u64) -> Option<Self> {
        Some((EmojiIndex::from_u32((bits >> 32) as u32), UserIndex::from_u32(bits as u32)))
    }
}

impl<P: Place> fmt::Display for Cursor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        write!(f, "{bits:016x}{:08x}", check_value::<P>(bits))
    }
}

impl<P: Place> Cursor<P> {
    /// Returns `None` if the text is not a cursor that this server made for this list.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bits = u64::from_str_radix(text.get(..16)?, 16).ok()?;
        let cursor = Self(P::from_bits(bits)?);
        (cursor.to_string() == text).then_some(cursor)
    }
}

/// Distinguishes cursors from typos. It is not a protection: anybody can compute it.
fn check_value<P: Place>(bits: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(P::LABEL), &bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_a_cursor_is_parsed_as_one() {
        let bits = 0x8000_0000_0000_0011;
        let text = Cursor(Rank::from_bits(bits)).to_string();
        assert_eq!(ChatCursor::parse(&text).map(|cursor| cursor.0.to_bits()), Some(bits));
        for index in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[index] = if altered[index] == b'0' { b'1' } else { b'0' };
            let altered = std::str::from_utf8(&altered).expect("digits");
            assert!(ChatCursor::parse(altered).is_none(), "digit {index}");
            assert!(ChatCursor::parse(&text[..index]).is_none());
        }
        for foreign in ["", "é", &text.to_uppercase(), &format!("{text}0"), &format!("+{}", &text[1..])] {
            assert!(ChatCursor::parse(foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let time = Timestamp::from_micros(1_795_000_000_000_000).expect("in range");
        let text = Cursor(time).to_string();
        assert_eq!(UserCursor::parse(&text).map(|cursor| cursor.0), Some(time));
        assert!(ChatCursor::parse(&text).is_none());
        assert!(UserCursor::parse(&Cursor(Rank::from_bits(17)).to_string()).is_none());
    }
}
