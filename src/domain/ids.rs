//! Ids (UUIDs), and the numbers and times that order things.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The error for a text that is not a UUID in the hyphenated form of RFC 9562.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in the hyphenated form")]
pub struct InvalidId;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It is a UUID, of version 7 if the server made it. On disk it takes 16 bytes, in network order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid.as_u128())
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                Self::from_u128(id.0)
            }
        }

        /// Accepts only the hyphenated form, in either case.
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hyphenated(text).map(Self::from)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_u128(self.0).hyphenated().fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Uuid::from(*self).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Uuid::deserialize(deserializer).map(Self::from)
            }
        }

        impl Encode for $name {
            fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
                self.0.to_be_bytes().encode(encoder)
            }
        }

        impl<Context> Decode<Context> for $name {
            fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
                <[u8; 16]>::decode(decoder).map(|bytes| Self(u128::from_be_bytes(bytes)))
            }
        }

        bincode::impl_borrow_decode!($name);
    };
}

uuid_id! {
    /// The id of a user.
    UserId
}
uuid_id! {
    /// The id of a chat.
    ChatId
}
uuid_id! {
    /// The id of a message.
    MessageId
}

fn parse_hyphenated(text: &str) -> Result<Uuid, InvalidId> {
    const HYPHENATED_LEN: usize = 36;
    if text.len() != HYPHENATED_LEN {
        return Err(InvalidId);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId)
}

/// The place of a message in its chat: 1, 2, 3, … without gaps. 0 stands for the place before the first
/// message.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    BorrowDecode,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The place of an event in the log: 1, 2, 3, … without gaps. 0 stands for the place before the first event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Returns the position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The time from one start of a writer to its end, named by a random number that is in every frame it writes.
/// If a copy of a log goes on, the copy and the log have different epochs at the positions at which they
/// differ.
///
/// Its text form is 16 lower-case hexadecimal digits, or `0` if it is [unknown](Self::UNKNOWN).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of events whose frames hold no epoch, and of the place before the first event.
    pub const UNKNOWN: Self = Self(0);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNKNOWN => f.write_str("0"),
            Self(number) => write!(f, "{number:016x}"),
        }
    }
}

/// The time of a decision, in microseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// Its JSON form is RFC 3339 in UTC with six fractional digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// 9999-01-01T00:00:00Z, the latest time that a clock or an import gives an event. It leaves a year for
    /// later events, which are one microsecond apart if the clock shows no later time.
    pub const CLOCK_MAX: Self = Self(253_370_764_800_000_000);

    /// Returns the time that lies `micros` after the Unix epoch, or `None` if that is beyond the year 9999.
    #[must_use]
    pub fn from_micros(micros: u64) -> Option<Self> {
        let micros = i64::try_from(micros).ok()?;
        (micros <= jiff::Timestamp::MAX.as_microsecond()).then_some(Self(micros))
    }

    /// Returns the microseconds since the Unix epoch.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Returns the time one microsecond later.
    ///
    /// # Panics
    ///
    /// Panics at the end of the year 9999.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_micros(self.as_micros() + 1)
            .expect("a log has fewer events than CLOCK_MAX leaves times for")
    }

    /// Returns the time that is earlier by this duration, or 1970 if that is later.
    #[must_use]
    pub fn saturating_sub(self, time: Duration) -> Self {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(0))
    }

    /// Returns the time since an earlier one, or zero if that is not earlier.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let instant = jiff::Timestamp::from_microsecond(self.0).expect("a Timestamp is in range");
        PRINTER.print_timestamp(&instant, StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        let micros = u64::try_from(time.as_microsecond()).ok();
        micros.and_then(Self::from_micros).ok_or_else(|| de::Error::custom("a time before 1970"))
    }
}

impl Encode for Timestamp {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_micros().encode(encoder)
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for Timestamp {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let micros = u64::decode(decoder)?;
        Self::from_micros(micros).ok_or(DecodeError::Other("a time beyond the year 9999"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphenated_ids_are_accepted() {
        let lower = "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        let id: UserId = lower.parse().expect("hyphenated");
        assert_eq!(id.to_string(), lower);
        assert_eq!(lower.to_uppercase().parse(), Ok(id));

        let simple = lower.replace('-', "");
        let braced = format!("{{{lower}}}");
        let urn = format!("urn:uuid:{lower}");
        let shifted = "0193a1b2c-3d4-7e5f-8a9b-0c1d2e3f4a5b";
        for refused in ["", "x", &simple, &braced, &urn, shifted, &lower[1..]] {
            assert_eq!(refused.parse::<UserId>(), Err(InvalidId), "{refused}");
        }
    }

    #[test]
    fn a_time_has_six_fractional_digits() {
        let at = |micros| Timestamp::from_micros(micros).expect("in range").to_string();
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(1_763_910_245_123_456), "2025-11-23T15:04:05.123456Z");
        assert_eq!(at(1_763_910_245_100_000), "2025-11-23T15:04:05.100000Z");
        assert_eq!(Timestamp::CLOCK_MAX.to_string(), "9999-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::from_micros(u64::MAX), None);
        assert_eq!(Timestamp::from_micros(253_402_300_800_000_000), None, "the year 10000");
    }
}
