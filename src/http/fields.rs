//! A request's fields, each parsed by its own type, so that a refusal can name the one to blame.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::problem::{Code, Problem};
use crate::domain::{ChatId, ChatName, Text, UserId, Username};

/// What a call takes.
pub(super) trait Fields: Sized {
    /// The names of all its fields.
    const NAMES: &'static [&'static str];

    /// Takes its values out of the object.
    fn take(object: &Object<'_>) -> Result<Self, Problem>;
}

/// Reads a call's fields from a body.
pub(super) fn parse<T: Fields>(body: &[u8]) -> Result<T, Problem> {
    let body = std::str::from_utf8(body).map_err(|error| invalid_json(&error))?;
    let object = Object::parse(body, T::NAMES)?;
    let taken = match &object.stranger {
        Some((field, what)) => Err(Problem::invalid_field(field, what, None)),
        None => T::take(&object),
    };
    // Only who refuses a field looks at the others: half a surrogate pair in one of them comes first.
    taken.map_err(|problem| match serde_json::from_str::<Checked>(body) {
        Ok(Checked) => problem,
        Err(error) => invalid_json(&error),
    })
}

fn invalid_json(error: &dyn fmt::Display) -> Problem {
    Problem::new(Code::InvalidJson, format!("the body is not JSON: {error}"))
}

/// The members of a JSON object, found but not yet parsed.
pub(super) struct Object<'b> {
    names: &'static [&'static str],
    values: Vec<Option<&'b RawValue>>,
    /// The first member that should not be there, and what is wrong with it.
    stranger: Option<(String, &'static str)>,
}

impl<'b> Object<'b> {
    fn parse(body: &'b str, names: &'static [&'static str]) -> Result<Self, Problem> {
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let object = Members(names).deserialize(&mut deserializer);
        object.and_then(|object| deserializer.end().map(|()| object)).map_err(|error| {
            match error.classify() {
                Category::Data => Problem::new(Code::InvalidJson, "the body must be a JSON object"),
                Category::Syntax | Category::Eof | Category::Io => invalid_json(&error),
            }
        })
    }

    /// A field that must be there; `null` is not.
    pub(super) fn required<T: FromJson<'b>>(&self, name: &str) -> Result<T, Problem> {
        self.optional(name)?.ok_or_else(|| Problem::invalid_field(name, "is missing", None))
    }

    /// A field that may be missing or `null`.
    pub(super) fn optional<T: FromJson<'b>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let index = self.names.iter().position(|known| *known == name).expect("a field of NAMES");
        match self.values[index] {
            Some(raw) if raw.get() != "null" => T::from_json(raw, name).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A whole number that must be there.
    pub(super) fn required_number(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
        self.optional_number(name, range)?.ok_or_else(|| Problem::invalid_field(name, "is missing", None))
    }

    /// A whole number that may be missing or `null`.
    pub(super) fn optional_number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(raw) = self.optional::<&RawValue>(name)? else { return Ok(None) };
        let number = raw.get().parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let what = format!("must be a whole number from {} to {}", range.start(), range.end());
            Problem::invalid_field(name, &what, Some(raw.get()))
        })
    }
}

/// Finds the members with these names.
struct Members(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object { names: self.0, values: vec![None; self.0.len()], stranger: None };
        while let Some(BorrowedText(name)) = members.next_key()? {
            let known = self.0.iter().position(|known| *known == name);
            let misfit = match known {
                Some(index) if object.values[index].is_none() => {
                    object.values[index] = Some(members.next_value()?);
                    continue;
                }
                Some(_) => "is given twice",
                None => "is no field of this call",
            };
            members.next_value::<IgnoredAny>()?;
            object.stranger.get_or_insert((name.into_owned(), misfit));
        }
        Ok(object)
    }
}

/// A string, without a copy where it holds no escapes.
#[derive(Deserialize)]
struct BorrowedText<'b>(#[serde(borrow)] Cow<'b, str>);

/// A value of a field.
pub(super) trait FromJson<'b>: Sized {
    /// Parses the value of the field of this name.
    fn from_json(raw: &'b RawValue, field: &str) -> Result<Self, Problem>;
}

impl<'b> FromJson<'b> for &'b RawValue {
    fn from_json(raw: &'b RawValue, _: &str) -> Result<Self, Problem> {
        Ok(raw)
    }
}

impl<'b> FromJson<'b> for Cow<'b, str> {
    fn from_json(raw: &'b RawValue, field: &str) -> Result<Self, Problem> {
        if !raw.get().starts_with('"') {
            return Err(Problem::invalid_field(field, "must be a string", Some(raw.get())));
        }
        serde_json::from_str(raw.get()).map(|BorrowedText(text)| text).map_err(|error| invalid_json(&error))
    }
}

macro_rules! from_json_string {
    ($($value:ident),*) => { $(
        impl FromJson<'_> for $value {
            fn from_json(raw: &RawValue, field: &str) -> Result<Self, Problem> {
                let text = Cow::<str>::from_json(raw, field)?;
                $value::try_from(text.into_owned())
                    .map_err(|invalid| Problem::invalid_field(field, &invalid.to_string(), Some(raw.get())))
            }
        }
    )* };
}
from_json_string!(Username, ChatName, Text);

macro_rules! from_json_id {
    ($($id:ident),*) => { $(
        impl FromJson<'_> for $id {
            fn from_json(raw: &RawValue, field: &str) -> Result<Self, Problem> {
                let text = Cow::<str>::from_json(raw, field)?;
                text.parse().map_err(|_| {
                    Problem::invalid_field(field, "must be a UUID in the hyphenated form", Some(raw.get()))
                })
            }
        }
    )* };
}
from_json_id!(UserId, ChatId);

impl FromJson<'_> for Vec<UserId> {
    fn from_json(raw: &RawValue, field: &str) -> Result<Self, Problem> {
        if !raw.get().starts_with('[') {
            return Err(Problem::invalid_field(field, "must be an array", Some(raw.get())));
        }
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| invalid_json(&error))?;
        if items.is_empty() {
            return Err(Problem::invalid_field(field, "must hold at least one id", Some(raw.get())));
        }
        let item = |(index, raw)| UserId::from_json(raw, &format!("{field}[{index}]"));
        items.into_iter().enumerate().map(item).collect()
    }
}

/// Any JSON value, looked at to its last character and thrown away.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
