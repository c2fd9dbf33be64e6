//! JSON objects, read strictly: a name that is read occurs once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// Parses an object.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    // Members that are ignored must also be UTF-8.
    let json = str::from_utf8(json).map_err(serde_json::Error::custom)?;
    // A struct of serde would also accept an array of its members' values.
    if json.trim_ascii_start().starts_with('[') {
        return Err(serde_json::Error::custom("not an object"));
    }
    serde_json::from_str(json)
}

/// Parses a member that, if it is there, must be of this type. An `Option` alone would also accept `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Refuses a member that must not be there.
pub(super) fn absent<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("must be absent"))
}

/// An object whose members are looked at one by one. No name occurs twice.
pub(super) struct Members(BTreeMap<String, Value>);

impl Members {
    /// Returns whether there is a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a member that, if it is there, must be a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let member = self.0.get(name);
        member.map(|value| value.as_str().ok_or_else(|| format!("`{name}` must be a string"))).transpose()
    }

    /// Returns a member that, if it is there, must be a list of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, String> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| format!("`{name}` must be a list of strings"))
    }

    /// Returns the bytes of a member that must be there, in base64url.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let text = self.text(name)?.ok_or_else(|| format!("`{name}` is missing"))?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("`{name}` must be base64url without padding"))
    }

    /// Returns the bytes of a member that must be there and have this length.
    pub(super) fn array<const N: usize>(&self, name: &str) -> Result<[u8; N], String> {
        self.bytes(name)?.try_into().map_err(|_| format!("`{name}` must have {N} bytes"))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key()? {
                    match members.entry(name) {
                        Entry::Vacant(place) => drop(place.insert(map.next_value()?)),
                        Entry::Occupied(_) => return Err(A::Error::custom("a name occurs twice")),
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
