//! Metadata: data of an application's own, which the server keeps and does not interpret.

use std::collections::HashSet;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Data of an application's own: a JSON object of at most 4,096 bytes and 8 levels, each of whose names is there once.
///
/// It is kept as it was written, on one line: JSON has line breaks only between its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Metadata(Box<str>);

/// The reason why a text is not metadata. The message completes the sentence "`metadata` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// It is something else than a JSON object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// It is too long.
    #[error("must have at most {} bytes of UTF-8", Metadata::BYTES_MAX)]
    TooLong,
    /// Objects and lists are nested too deeply.
    #[error("must have at most {} levels", Metadata::LEVELS_MAX)]
    TooDeep,
    /// An object has a name twice.
    #[error("must have each name once")]
    NameTwice,
}

impl Metadata {
    /// Maximum length, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 4_096;
    /// Maximum number of objects and lists that are within each other; the outermost object is the first.
    pub const LEVELS_MAX: usize = 8;

    /// Returns the JSON, on one line.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Returns this JSON, or `None` if it is an object without members, or was erased from the log.
    #[must_use]
    pub fn present(json: &str) -> Option<&str> {
        let members = json.strip_prefix('{')?;
        (!members.trim_start().starts_with('}')).then_some(json)
    }

    /// Returns a text that is the same for equal values. The order of names, white space and escapes do not count;
    /// numbers are equal if they are written alike.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&self.0)
    }

    /// Returns whether the value is that of another JSON text, if there is one. No text is as an object without members.
    #[must_use]
    pub fn is_same_as(&self, other: Option<&str>) -> bool {
        other.map_or_else(
            || Self::present(&self.0).is_none(),
            |other| *self.0 == *other || self.canonical() == canonical(other),
        )
    }
}

fn canonical(json: &str) -> String {
    let value: Value = serde_json::from_str(json).expect("it was checked");
    value.to_string()
}

impl TryFrom<String> for Metadata {
    type Error = InvalidMetadata;

    fn try_from(json: String) -> Result<Self, InvalidMetadata> {
        if json.len() > Self::BYTES_MAX {
            return Err(InvalidMetadata::TooLong);
        }
        let value: Value = serde_json::from_str(&json).map_err(|_| InvalidMetadata::NotAnObject)?;
        if !value.is_object() {
            return Err(InvalidMetadata::NotAnObject);
        }
        check_levels(&value, Self::LEVELS_MAX)?;
        if !has_each_name_once(&json) {
            return Err(InvalidMetadata::NameTwice);
        }
        let line = json.trim().replace(['\n', '\r'], "");
        Ok(Self(line.into_boxed_str()))
    }
}

fn check_levels(value: &Value, levels: usize) -> Result<(), InvalidMetadata> {
    let inner = || levels.checked_sub(1).ok_or(InvalidMetadata::TooDeep);
    match value {
        Value::Object(members) => {
            let inner = inner()?;
            members.values().try_for_each(|value| check_levels(value, inner))
        }
        Value::Array(items) => {
            let inner = inner()?;
            items.iter().try_for_each(|value| check_levels(value, inner))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Returns whether no object of this JSON has a name twice. Of a name that is there twice, a [`Value`] has the last
/// member only.
fn has_each_name_once(json: &str) -> bool {
    let all = |values: Vec<&RawValue>| values.iter().all(|value| has_each_name_once(value.get()));
    match json.trim_start().as_bytes().first() {
        Some(b'{') => {
            let Members { names, values } = serde_json::from_str(json).expect("it was parsed before");
            names.len() == values.len() && all(values)
        }
        Some(b'[') => all(serde_json::from_str(json).expect("it was parsed before")),
        _ => true,
    }
}

/// The members of a JSON object.
struct Members<'j> {
    names: HashSet<String>,
    values: Vec<&'j RawValue>,
}

impl<'j> Deserialize<'j> for Members<'j> {
    fn deserialize<D: Deserializer<'j>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'j> Visitor<'j> for MembersVisitor {
            type Value = Members<'j>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Members<'j>, A::Error> {
                let mut members = Members { names: HashSet::new(), values: Vec::new() };
                while let Some((name, value)) = map.next_entry()? {
                    members.names.insert(name);
                    members.values.push(value);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Result<Metadata, InvalidMetadata> {
        Metadata::try_from(json.to_owned())
    }

    #[test]
    fn metadata_is_kept_as_it_was_written_on_one_line() {
        for (written, kept) in [
            (r#"{"order": 7, "tags":["a"]}"#, r#"{"order": 7, "tags":["a"]}"#),
            (" {\"a\":1.0,\r\n\t\"b\":\"\\n\"}\n", "{\"a\":1.0,\t\"b\":\"\\n\"}"),
            (
                r#"{"big":123456789012345678901234567890,"e":1e400}"#,
                r#"{"big":123456789012345678901234567890,"e":1e400}"#,
            ),
            ("{}", "{}"),
        ] {
            assert_eq!(metadata(written).expect("metadata").json(), kept);
        }
    }

    #[test]
    fn metadata_is_one_object_within_its_limits() {
        use InvalidMetadata::*;
        for refused in ["", "[]", "null", "1", r#""a""#, "{", "{} {}", r#"{"a":"\ud800"}"#] {
            assert_eq!(metadata(refused), Err(NotAnObject), "{refused}");
        }
        let of_bytes = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        assert!(metadata(&of_bytes(4_096)).is_ok());
        assert_eq!(metadata(&of_bytes(4_097)), Err(TooLong));
        let of_levels = |levels: usize| {
            let (lists, ends) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            format!(r#"{{"a":{lists}{ends}}}"#)
        };
        assert!(metadata(&of_levels(8)).is_ok());
        assert_eq!(metadata(&of_levels(9)), Err(TooDeep));
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":[{"a":{"c":1,"c":2}}]}"#] {
            assert_eq!(metadata(twice), Err(NameTwice), "{twice}");
        }
        assert!(metadata(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    #[test]
    fn metadata_is_compared_by_value() {
        let one = metadata(r#"{"a":1,"b":["x"]}"#).expect("metadata");
        assert!(one.is_same_as(Some(r#"{ "b": ["\u0078"], "a": 1 }"#)));
        for other in [r#"{"a":1.0,"b":["x"]}"#, r#"{"a":1}"#, r#"{"a":1,"b":["x"],"c":null}"#] {
            assert!(!one.is_same_as(Some(other)), "{other}");
        }
        assert!(!one.is_same_as(None));
        assert!(metadata("{ }").expect("metadata").is_same_as(None));
    }
}
