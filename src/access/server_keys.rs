//! Server keys: the credentials of an application's servers.
//!
//! The file holds a hash of each key, so that a copy of the file lets nobody in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::{BadFile, SourceId};
use crate::domain::Timestamp;

/// The server keys of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServerKeys {
    by_hash: HashMap<KeyHash, ServerKey>,
}

/// A server key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKey {
    /// The key's name. A key and its successor have the same.
    pub name: KeyName,
    /// The calls that the key may be used for.
    pub scope: KeyScope,
    /// The time from which on the key is refused.
    pub expires: Option<Timestamp>,
    /// The name of this line of the file.
    pub source: SourceId,
}

/// The calls that a server key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyScope {
    /// Every call
    All,
    /// Reads and /events
    Read,
    /// /metrics
    Metrics,
}

/// The name of a server key: 1 to 32 characters of `a-z0-9_.-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

pub use crate::domain::InvalidKeyName;

impl ServerKeys {
    /// The beginning of every key, by which scanners of secrets recognize one.
    pub const PREFIX: &str = "cw_";
    /// Maximum keys of a file.
    pub const MAX: usize = 64;

    /// Parses a file: a line `NAME SCOPE SHA256HEX [EXPIRES]` for each key, empty lines, and comments from `#` on.
    ///
    /// # Errors
    ///
    /// A line is none of these, a hash occurs twice, there are more than [`MAX`](Self::MAX) keys, or the file has no
    /// byte: such a file is being written.
    pub fn parse(text: &[u8]) -> Result<Self, BadFile> {
        if text.is_empty() {
            return Err(BadFile::whole("the file is empty; a file with a comment only has no keys"));
        }
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut keys = Self::default();
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let added = parse_line(line).and_then(|key| match key {
                Some((hash, key)) => keys.add(hash, key),
                None => Ok(()),
            });
            added.map_err(|what| BadFile::at(format_args!("line {}", index + 1), what))?;
        }
        Ok(keys)
    }

    fn add(&mut self, hash: KeyHash, key: ServerKey) -> Result<(), String> {
        if self.by_hash.len() == Self::MAX {
            return Err(format!("more than {} keys", Self::MAX));
        }
        match self.by_hash.entry(hash) {
            Entry::Vacant(place) => drop(place.insert(key)),
            Entry::Occupied(_) => return Err("the same SHA256HEX as in an earlier line".to_owned()),
        }
        Ok(())
    }

    /// Returns the key that a caller presents.
    ///
    /// Hashes are compared, so the time that it takes reveals nothing about a key.
    #[must_use]
    pub fn find(&self, presented: &str) -> Option<&ServerKey> {
        if !has_form_of_key(presented) {
            return None;
        }
        self.by_hash.get(&KeyHash::of(presented))
    }

    /// Returns whether this key is still in the file, with the same rights.
    #[must_use]
    pub fn contains(&self, source: SourceId) -> bool {
        self.by_hash.values().any(|key| key.source == source)
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}

impl ServerKey {
    /// Returns whether the key is refused since it has expired.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

fn parse_line(line: &[u8]) -> Result<Option<(KeyHash, ServerKey)>, String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
    let without_comment = line.split('#').next().unwrap_or_default();
    let fields: Vec<_> = without_comment.split_ascii_whitespace().collect();
    let (name, scope, hash, expires) = match fields[..] {
        [] => return Ok(None),
        [name, scope, hash] => (name, scope, hash, None),
        [name, scope, hash, expires] => (name, scope, hash, Some(expires)),
        _ => return Err("must be NAME SCOPE SHA256HEX [EXPIRES]".to_owned()),
    };
    let name: KeyName = name.parse().map_err(|error| format!("NAME {error}"))?;
    let scope: KeyScope = scope.parse().map_err(|error| format!("SCOPE {error}"))?;
    let hash: KeyHash = hash.parse().map_err(|error| format!("SHA256HEX {error}"))?;
    let expires =
        expires.map(str::parse::<Expiry>).transpose().map_err(|error| format!("EXPIRES {error}"))?;
    let expires = expires.map(|expiry| expiry.0);
    let expires_micros = expires.map_or(u64::MAX, Timestamp::as_micros).to_be_bytes();
    let source = SourceId::of(&[b"server key", &hash.0, scope.name().as_bytes(), &expires_micros]);
    Ok(Some((hash, ServerKey { name, scope, expires, source })))
}

/// The time from which on a key is refused. As text, a date, which begins in UTC, or a time of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(pub Timestamp);

/// The error for a text that is not an [`Expiry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a date or a time of RFC 3339, such as 2027-01-31 or 2027-01-31T12:00:00Z")]
pub struct InvalidExpiry;

impl FromStr for Expiry {
    type Err = InvalidExpiry;

    fn from_str(text: &str) -> Result<Self, InvalidExpiry> {
        const DATE_LEN: usize = "2027-01-31".len();
        let time = if text.len() == DATE_LEN {
            text.parse::<Date>().and_then(|date| Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)))
        } else {
            text.parse()
        };
        let micros = time.ok().and_then(|time| u64::try_from(time.as_microsecond()).ok());
        micros.and_then(Timestamp::from_micros).map(Self).ok_or(InvalidExpiry)
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The SHA-256 of a whole key.
#[derive(PartialEq, Eq, Hash)]
struct KeyHash([u8; 32]);

impl KeyHash {
    fn of(key: &str) -> Self {
        Self(digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// Shows nothing: a hash of a key is no secret, but belongs into no log.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const REFUSED: &str = "must be 64 hexadecimal digits";
        if has_form_of_key(text) {
            return Err("must be the hash of the key; the key itself must not be in this file");
        }
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| REFUSED)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(REFUSED) };
            *byte = high << 4 | low;
        }
        Ok(Self(hash))
    }
}

/// Number of random bytes of a key.
const KEY_BYTES: usize = 32;

/// Returns whether the text is `cw_` and 43 characters of base64url.
fn has_form_of_key(text: &str) -> bool {
    const RANDOM_LEN: usize = (KEY_BYTES * 4).div_ceil(3);
    let is_of_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.strip_prefix(ServerKeys::PREFIX)
        .is_some_and(|random| random.len() == RANDOM_LEN && random.bytes().all(is_of_base64url))
}

/// A key that was made a moment ago. It is shown once, and then nobody but its user has it.
pub struct NewKey(String);

impl NewKey {
    /// Draws a key.
    ///
    /// # Panics
    ///
    /// The system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut random = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut random).expect("the system has random numbers");
        Self(format!("{}{}", ServerKeys::PREFIX, URL_SAFE_NO_PAD.encode(random)))
    }

    /// Returns the key itself, which its user presents.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the line of the key for the server's file, without a line end.
    #[must_use]
    pub fn line(&self, name: &KeyName, scope: KeyScope, expires: Option<Expiry>) -> String {
        let expires = expires.map(|expiry| format!(" {expiry}")).unwrap_or_default();
        format!("{name} {scope} {}{expires}", KeyHash::of(&self.0))
    }
}

/// Shows nothing of the key.
impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

impl KeyScope {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Read => "read",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scope = [Self::All, Self::Read, Self::Metrics].into_iter().find(|scope| scope.name() == text);
        scope.ok_or("must be all, read or metrics")
    }
}

impl KeyName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, InvalidKeyName> {
        InvalidKeyName::check(text).map(|()| Self(text.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
