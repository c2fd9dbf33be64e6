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
    /// Its body may be so many times as long as others.
    const BODY_FACTOR: usize = 1;

    /// Takes its values out of the object.
    fn take(object: &Object<'_>) -> Result<Self, Problem>;
}

/// Where a value stands in a body: `text`, `users[1]`, `messages[37].text`.
#[derive(Clone, Copy)]
pub(super) struct Field<'f> {
    item: Option<(&'f str, usize)>,
    name: &'f str,
}

impl<'f> Field<'f> {
    fn named(name: &'f str) -> Self {
        Self { item: None, name }
    }

    fn item(list: &'f str, index: usize) -> Self {
        Self { item: Some((list, index)), name: "" }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            None => f.write_str(self.name),
            Some((list, index)) if self.name.is_empty() => write!(f, "{list}[{index}]"),
            Some((list, index)) => write!(f, "{list}[{index}].{}", self.name),
        }
    }
}

/// Reads a call's fields from a body.
pub(super) fn parse<T: Fields>(body: &[u8]) -> Result<T, Problem> {
    let body = std::str::from_utf8(body).map_err(|error| invalid_json(&error))?;
    let object = Object::parse(body, T::NAMES, None).map_err(|error| match error.classify() {
        Category::Data => Problem::new(Code::InvalidJson, "the body must be a JSON object"),
        Category::Syntax | Category::Eof | Category::Io => invalid_json(&error),
    })?;
    let taken = object.take();
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
    /// The list that it is an item of, and its index there.
    item: Option<(&'b str, usize)>,
    values: Vec<Option<&'b RawValue>>,
    /// The first member that should not be there, and what is wrong with it.
    stranger: Option<(String, &'static str)>,
}

impl<'b> Object<'b> {
    fn parse(
        json: &'b str,
        names: &'static [&'static str],
        item: Option<(&'b str, usize)>,
    ) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let object = Members { names, item }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(object)
    }

    fn take<T: Fields>(&self) -> Result<T, Problem> {
        match &self.stranger {
            Some((field, what)) => Err(Problem::invalid_field(self.field(field), what, None)),
            None => T::take(self),
        }
    }

    fn field<'f>(&'f self, name: &'f str) -> Field<'f> {
        Field { item: self.item, name }
    }

    /// A field that must be there; `null` is not.
    pub(super) fn required<T: FromJson<'b>>(&self, name: &str) -> Result<T, Problem> {
        self.optional(name)?.ok_or_else(|| Problem::invalid_field(self.field(name), "is missing", None))
    }

    /// A field that may be missing or `null`.
    pub(super) fn optional<T: FromJson<'b>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let index = self.names.iter().position(|known| *known == name).expect("a field of NAMES");
        match self.values[index] {
            Some(raw) if raw.get() != "null" => T::from_json(raw, self.field(name)).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A list of so many objects that must be there.
    pub(super) fn required_objects<T: Fields>(
        &self,
        name: &'static str,
        count: RangeInclusive<usize>,
    ) -> Result<Vec<T>, Problem> {
        objects(self.required(name)?, name, count)
    }

    /// A whole number that must be there.
    pub(super) fn required_number(&self, name: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
        let number = self.optional_number(name, range)?;
        number.ok_or_else(|| Problem::invalid_field(self.field(name), "is missing", None))
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
            Problem::invalid_field(self.field(name), &what, Some(raw.get()))
        })
    }
}

/// Finds the members with these names.
struct Members<'de> {
    names: &'static [&'static str],
    item: Option<(&'de str, usize)>,
}

impl<'de> DeserializeSeed<'de> for Members<'de> {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object<'de>, A::Error> {
        let Self { names, item } = self;
        let mut object = Object { names, item, values: vec![None; names.len()], stranger: None };
        while let Some(BorrowedText(name)) = members.next_key()? {
            let known = names.iter().position(|known| *known == name);
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
    fn from_json(raw: &'b RawValue, field: Field<'_>) -> Result<Self, Problem>;
}

impl<'b> FromJson<'b> for &'b RawValue {
    fn from_json(raw: &'b RawValue, _: Field<'_>) -> Result<Self, Problem> {
        Ok(raw)
    }
}

impl<'b> FromJson<'b> for Cow<'b, str> {
    fn from_json(raw: &'b RawValue, field: Field<'_>) -> Result<Self, Problem> {
        if !raw.get().starts_with('"') {
            return Err(Problem::invalid_field(field, "must be a string", Some(raw.get())));
        }
        serde_json::from_str(raw.get()).map(|BorrowedText(text)| text).map_err(|error| invalid_json(&error))
    }
}

macro_rules! from_json_string {
    ($($value:ident),*) => { $(
        impl FromJson<'_> for $value {
            fn from_json(raw: &RawValue, field: Field<'_>) -> Result<Self, Problem> {
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
            fn from_json(raw: &RawValue, field: Field<'_>) -> Result<Self, Problem> {
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
    fn from_json(raw: &RawValue, field: Field<'_>) -> Result<Self, Problem> {
        let ids = array(raw, field)?;
        if ids.is_empty() {
            return Err(Problem::invalid_field(field, "must hold at least one id", Some(raw.get())));
        }
        let id = |(index, raw)| UserId::from_json(raw, Field::item(field.name, index));
        ids.into_iter().enumerate().map(id).collect()
    }
}

/// A list of objects, so many of them.
fn objects<T: Fields>(raw: &RawValue, list: &str, count: RangeInclusive<usize>) -> Result<Vec<T>, Problem> {
    let Items { first: items, count: found } = items(raw, Field::named(list), *count.end())?;
    if !count.contains(&found) {
        let what = format!("must hold {} to {} items; it holds {found}", count.start(), count.end());
        return Err(Problem::invalid_field(Field::named(list), &what, None));
    }
    let object = |(index, raw): (usize, &RawValue)| {
        let object = Object::parse(raw.get(), T::NAMES, Some((list, index)));
        let object = object.map_err(|error| match error.classify() {
            Category::Data => {
                Problem::invalid_field(Field::item(list, index), "must be an object", Some(raw.get()))
            }
            Category::Syntax | Category::Eof | Category::Io => invalid_json(&error),
        });
        object?.take()
    };
    items.into_iter().enumerate().map(object).collect()
}

fn array<'b>(raw: &'b RawValue, field: Field<'_>) -> Result<Vec<&'b RawValue>, Problem> {
    items(raw, field, usize::MAX).map(|items| items.first)
}

fn items<'b>(raw: &'b RawValue, field: Field<'_>, kept_max: usize) -> Result<Items<'b>, Problem> {
    if !raw.get().starts_with('[') {
        return Err(Problem::invalid_field(field, "must be an array", Some(raw.get())));
    }
    let none = Items { first: Vec::new(), count: 0 };
    let mut json = serde_json::Deserializer::from_str(raw.get());
    KeepingItems { items: none, kept_max }.deserialize(&mut json).map_err(|error| invalid_json(&error))
}

/// The items of an array.
struct Items<'b> {
    /// As many of them as may be kept.
    first: Vec<&'b RawValue>,
    /// How many there are.
    count: usize,
}

struct KeepingItems<'b> {
    items: Items<'b>,
    kept_max: usize,
}

impl<'de> DeserializeSeed<'de> for KeepingItems<'de> {
    type Value = Items<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for KeepingItems<'de> {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Self::Value, A::Error> {
        while let Some(item) = array.next_element()? {
            self.items.count += 1;
            if self.items.first.len() < self.kept_max {
                self.items.first.push(item);
            }
        }
        Ok(self.items)
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
