//! The members of a JSON object. They are found first and then parsed one by one, so that a refusal can name
//! the field at fault.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Request;
use super::value::FieldValue;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::openapi::schema::Exclusive;

/// The place of a value in a body: `text`, `users[1]`, `messages[37].text`.
#[derive(Clone, Copy)]
pub(crate) struct FieldPath<'f> {
    /// The item of a list that the field is in, or is.
    item: Option<Item<'f>>,
    name: &'f str,
}

#[derive(Clone, Copy)]
struct Item<'f> {
    list: &'f str,
    index: usize,
}

impl FieldPath<'_> {
    /// Returns the path of an item of this list.
    pub(super) fn item(self, index: usize) -> Self {
        Self { item: Some(Item { list: self.name, index }), name: "" }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            None => f.write_str(self.name),
            Some(Item { list, index }) if self.name.is_empty() => write!(f, "{list}[{index}]"),
            Some(Item { list, index }) => write!(f, "{list}[{index}].{}", self.name),
        }
    }
}

/// Parses a call's fields from a body.
///
/// # Errors
///
/// Returns `invalid_json` if the body is not a JSON object, and `invalid_field` if a field is invalid.
pub(crate) fn parse<T: Request>(bytes: &[u8]) -> Result<T, Problem> {
    let body = std::str::from_utf8(bytes).map_err(|error| not_json(bytes, &error))?;
    let object = Object::parse(body, T::NAMES, None).map_err(|error| match error.classify() {
        Category::Data => Problem::new(Code::InvalidJson, "the body must be a JSON object"),
        Category::Syntax | Category::Eof | Category::Io => not_json(bytes, &error),
    })?;
    // Members are found without parsing their strings completely. So a body with a refused field is looked at
    // again: if it has half a surrogate pair anywhere, it is not JSON, and that refusal comes first.
    object.take().map_err(|problem| match check_surrogates(body) {
        Ok(()) => problem,
        Err(error) => invalid_json(&error),
    })
}

/// Returns the refusal of a body that is not JSON. A byte order mark is named, because no editor shows it.
fn not_json(body: &[u8], error: &dyn fmt::Display) -> Problem {
    const BYTE_ORDER_MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe"];
    if BYTE_ORDER_MARKS.iter().any(|mark| body.starts_with(mark)) {
        return invalid_json(&"it begins with a byte order mark, and must be UTF-8 without one");
    }
    invalid_json(error)
}

pub(super) fn invalid_json(error: &dyn fmt::Display) -> Problem {
    Problem::new(Code::InvalidJson, format!("the body is not JSON: {error}"))
}

/// The members of a JSON object, found but not yet parsed.
pub(crate) struct Object<'b> {
    names: &'static [&'static str],
    /// The list that the object is an item of.
    item: Option<Item<'b>>,
    /// A value for each of the names.
    values: Vec<Option<&'b RawValue>>,
    /// The first member that should not be there.
    unexpected: Option<Unexpected>,
}

struct Unexpected {
    name: String,
    problem: &'static str,
}

impl<'b> Object<'b> {
    fn parse(
        json: &'b str,
        names: &'static [&'static str],
        item: Option<Item<'b>>,
    ) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let object = Members { names, item }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(object)
    }

    fn take<T: Request>(&self) -> Result<T, Problem> {
        if let Some(Unexpected { name, problem }) = &self.unexpected {
            return Err(Problem::invalid_field(self.path(name), problem, None));
        }
        let request = T::take(self)?;
        match T::EXCLUSIVE {
            Some(Exclusive::ExactlyOneOf(names)) => self.check_exclusive(names, true)?,
            Some(Exclusive::AtMostOneOf(names)) => self.check_exclusive(names, false)?,
            Some(Exclusive::AtLeastOneOf(names)) => self.check_given(names)?,
            None => {}
        }
        Ok(request)
    }

    fn check_given(&self, names: &[&str]) -> Result<(), Problem> {
        if names.iter().any(|name| self.value(name).is_some()) {
            return Ok(());
        }
        let problem = format!("or {} must be given", names[1..].join(" or "));
        Err(Problem::invalid_field(self.path(names[0]), &problem, None))
    }

    fn check_exclusive(&self, names: &[&str], is_required: bool) -> Result<(), Problem> {
        let mut given = names.iter().filter(|name| self.value(name).is_some());
        match (given.next(), given.next()) {
            (Some(first), Some(second)) => {
                let problem = format!("and {first} cannot be given together");
                Err(Problem::invalid_field(self.path(second), &problem, None))
            }
            (None, _) if is_required => self.check_given(names),
            (Some(_) | None, None) | (None, Some(_)) => Ok(()),
        }
    }

    fn path<'f>(&'f self, name: &'f str) -> FieldPath<'f> {
        FieldPath { item: self.item, name }
    }

    /// Returns the value of a field, or `None` if the field is missing or `null`.
    fn value(&self, name: &str) -> Option<&'b RawValue> {
        let index = self.names.iter().position(|known| *known == name).expect("a field of NAMES");
        self.values[index].filter(|raw| raw.get() != "null")
    }

    /// Parses a field that must be there; `null` counts as missing.
    pub(super) fn required<T: FieldValue>(&self, name: &str) -> Result<T, Problem> {
        self.optional(name)?.ok_or_else(|| Problem::invalid_field(self.path(name), "is missing", None))
    }

    /// Parses a field that may be missing or `null`.
    pub(super) fn optional<T: FieldValue>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.value(name).map(|raw| T::from_json(raw, self.path(name))).transpose()
    }
}

/// Parses an item of a list as an object of its own.
pub(super) fn parse_item<T: Request>(
    raw: &RawValue,
    list: FieldPath<'_>,
    index: usize,
) -> Result<T, Problem> {
    let object = Object::parse(raw.get(), T::NAMES, Some(Item { list: list.name, index }));
    let object = object.map_err(|error| match error.classify() {
        Category::Data => Problem::invalid_field(list.item(index), "must be an object", Some(raw.get())),
        Category::Syntax | Category::Eof | Category::Io => invalid_json(&error),
    });
    object?.take()
}

/// Finds the members with these names.
struct Members<'de> {
    names: &'static [&'static str],
    item: Option<Item<'de>>,
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
        let mut object = Object { names, item, values: vec![None; names.len()], unexpected: None };
        while let Some(BorrowedText(name)) = members.next_key()? {
            let known = names.iter().position(|known| *known == name);
            let problem = match known {
                Some(index) if object.values[index].is_none() => {
                    object.values[index] = Some(members.next_value()?);
                    continue;
                }
                Some(_) => "is given twice",
                None => "is no field of this call",
            };
            members.next_value::<IgnoredAny>()?;
            object.unexpected.get_or_insert_with(|| Unexpected { name: name.into_owned(), problem });
        }
        Ok(object)
    }
}

/// A string that is borrowed if it has no escapes.
#[derive(Deserialize)]
pub(super) struct BorrowedText<'b>(#[serde(borrow)] pub(super) Cow<'b, str>);

/// Returns an error if a string holds half a surrogate pair. Apart from that, the body must be JSON.
///
/// It scans the body, because a parser would also refuse valid JSON that is nested deeper than its maximum.
fn check_surrogates(json: &str) -> Result<(), String> {
    // In JSON, a backslash can only be in a string.
    let mut escapes = json.match_indices('\\').map(|(index, _)| index);
    while let Some(index) = escapes.next() {
        let escape = &json.as_bytes()[index..];
        let halves_are_paired = match (code_unit(escape), escape.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => escapes.next().is_some(),
            (Some(0xD800..=0xDFFF), _) => false,
            // The escaped character may be a backslash itself.
            (None, _) if escape.get(1) == Some(&b'\\') => escapes.next().is_some(),
            (Some(_) | None, _) => true,
        };
        if !halves_are_paired {
            return Err(format!("a string holds half a surrogate pair at byte {index}"));
        }
    }
    Ok(())
}

/// Returns the UTF-16 code unit of an escape such as `\u00e9`, with which the text must begin.
fn code_unit(escape: &[u8]) -> Option<u16> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
