//! The header and the claims of a token (RFC 7515, RFC 7519), with the types that they must have.
//!
//! A name that is listed here occurs at most once, and is of its type. Others are ignored.

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::Scopes;
use super::json::{absent, present};
use crate::domain::Timestamp;

/// The header of a token.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    #[serde(default, deserialize_with = "present")]
    pub(super) kid: Option<String>,
    #[serde(default, deserialize_with = "present", rename = "typ")]
    _typ: Option<String>,
    // These would change which key verifies the token, or what is signed.
    #[serde(default, deserialize_with = "absent", rename = "jku")]
    _jku: (),
    #[serde(default, deserialize_with = "absent", rename = "jwk")]
    _jwk: (),
    #[serde(default, deserialize_with = "absent", rename = "x5u")]
    _x5u: (),
    #[serde(default, deserialize_with = "absent", rename = "x5c")]
    _x5c: (),
    #[serde(default, deserialize_with = "absent", rename = "crit")]
    _crit: (),
    #[serde(default, deserialize_with = "absent", rename = "b64")]
    _b64: (),
    #[serde(default, deserialize_with = "absent", rename = "zip")]
    _zip: (),
}

/// The claims of a token.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) aud: Audience,
    pub(super) iat: NumericDate,
    pub(super) exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    pub(super) nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    pub(super) scope: Option<Scopes>,
}

/// A time in seconds since 1970, perhaps with a fraction, up to the year 9999.
#[derive(Clone, Copy)]
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        from_seconds(seconds).map(Self).ok_or_else(|| D::Error::custom("a time out of range"))
    }
}

fn from_seconds(seconds: f64) -> Option<Timestamp> {
    const SECONDS_END: f64 = 253_402_300_800.0;
    if !(0.0..SECONDS_END).contains(&seconds) {
        return None;
    }
    // Seconds without a fraction are exact.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are in range")]
    let (whole, micros) = (seconds.trunc() as u64, (seconds.fract() * 1e6) as u64);
    Timestamp::from_micros(whole * 1_000_000 + micros)
}

/// The audience of a token: a string, or a list of strings.
pub(super) struct Audience(Vec<String>);

impl Audience {
    pub(super) fn holds(&self, audience: &str) -> bool {
        self.0.iter().any(|name| name == audience)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audience;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Audience, E> {
                Ok(Audience(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Audience(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// Words separated by spaces (RFC 8693, section 4.2). Words of others are ignored.
impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = String::deserialize(deserializer)?;
        Ok(words.split(' ').filter_map(|word| word.parse().ok()).collect())
    }
}
