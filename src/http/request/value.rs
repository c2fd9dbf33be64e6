//! The types of fields: each type parses a value from JSON and has a schema.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::Request;
use super::object::{BorrowedText, FieldPath, Object, invalid_json, parse_item};
use crate::domain::{
    ChatId, ChatName, Emoji, Epoch, ErasedMessages, Metadata, Position, Seq, Text, UserId, Username,
};
use crate::http::admission::Caller;
use crate::http::answer::problem::Problem;
use crate::http::cursor::{Cursor, Place};
use crate::http::limits::{BATCH_MESSAGES, FOUND_LIMIT, LIST_LIMIT, LOOKED_UP_MESSAGES, LOOKED_UP_USERS};
use crate::http::openapi::schema;

/// A field of a call. It must be present, unless it is an `Option`, which may be missing or `null`.
pub(crate) trait Field: Sized {
    /// Whether the field must be there.
    const IS_REQUIRED: bool;

    /// Parses the field of this name.
    fn take(object: &Object<'_>, name: &str) -> Result<Self, Problem>;

    /// Returns the field's schema.
    fn schema(description: &str) -> RefOr<Schema>;
}

impl<T: FieldValue> Field for T {
    const IS_REQUIRED: bool = true;

    fn take(object: &Object<'_>, name: &str) -> Result<Self, Problem> {
        object.required(name)
    }

    fn schema(description: &str) -> RefOr<Schema> {
        schema::described(T::schema(), description)
    }
}

impl<T: FieldValue> Field for Option<T> {
    const IS_REQUIRED: bool = false;

    fn take(object: &Object<'_>, name: &str) -> Result<Self, Problem> {
        object.optional(name)
    }

    fn schema(description: &str) -> RefOr<Schema> {
        schema::or_null(schema::described(T::schema(), description))
    }
}

/// The user whom a call acts for. A user's token may leave the field out, and then acts for its own user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActingUser(Option<UserId>);

impl ActingUser {
    /// Returns the user, whom the caller must be allowed to act for.
    pub(crate) fn of(self, caller: &Caller, field: &'static str) -> Result<UserId, Problem> {
        caller.acting_for(self.0, field)
    }
}

impl Field for ActingUser {
    const IS_REQUIRED: bool = true;

    fn take(object: &Object<'_>, name: &str) -> Result<Self, Problem> {
        object.optional(name).map(Self)
    }

    fn schema(description: &str) -> RefOr<Schema> {
        schema::acting_user(description)
    }
}

/// A value of a field.
pub(crate) trait FieldValue: Sized {
    /// Parses the value of the field at this path.
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem>;

    /// Returns the schema of the value.
    fn schema() -> RefOr<Schema>;
}

/// Parses a JSON string.
fn string<'b>(raw: &'b RawValue, path: FieldPath<'_>) -> Result<Cow<'b, str>, Problem> {
    let Some(text) = raw.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return Err(Problem::invalid_field(path, "must be a string", Some(raw.get())));
    };
    // The body is known to be JSON, so without an escape the string is what stands between its quotes.
    if !text.contains('\\') {
        return Ok(text.into());
    }
    serde_json::from_str(raw.get()).map(|BorrowedText(text)| text).map_err(|error| invalid_json(&error))
}

macro_rules! checked_strings {
    ($($value:ident),*) => { $(
        impl FieldValue for $value {
            fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
                let text = string(raw, path)?;
                $value::try_from(text.into_owned())
                    .map_err(|invalid| Problem::invalid_field(path, &invalid.to_string(), Some(raw.get())))
            }

            fn schema() -> RefOr<Schema> {
                schema::reference::<Self>()
            }
        }
    )* };
}
checked_strings!(Username, ChatName, Text, Emoji);

macro_rules! ids {
    ($($id:ident),*) => { $(
        impl FieldValue for $id {
            fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
                string(raw, path)?.parse().map_err(|_| {
                    Problem::invalid_field(path, "must be a UUID in the hyphenated form", Some(raw.get()))
                })
            }

            fn schema() -> RefOr<Schema> {
                schema::reference::<Self>()
            }
        }
    )* };
}
ids!(UserId, ChatId);

/// Parses a whole number within this range.
fn number(raw: &RawValue, path: FieldPath<'_>, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let number = raw.get().parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let problem = format!("must be a whole number from {} to {}", range.start(), range.end());
        Problem::invalid_field(path, &problem, Some(raw.get()))
    })
}

impl FieldValue for Seq {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        number(raw, path, 0..=u64::MAX).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        schema::reference::<Self>()
    }
}

/// The seqs of messages to look up, in ascending order, each once.
pub(crate) struct Seqs(pub(crate) Vec<Seq>);

impl FieldValue for Seqs {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let seq = |(index, raw)| Seq::from_json(raw, path.item(index));
        let seqs = counted(raw, path, LOOKED_UP_MESSAGES)?.enumerate().map(seq);
        seqs.collect::<Result<BTreeSet<_>, _>>().map(|seqs| Self(seqs.into_iter().collect()))
    }

    fn schema() -> RefOr<Schema> {
        schema::list::<Seq>(*LOOKED_UP_MESSAGES.start(), Some(*LOOKED_UP_MESSAGES.end())).into()
    }
}

/// A position, with or without the epoch of its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangedAfter {
    pub(crate) position: Position,
    pub(crate) epoch: Option<Epoch>,
}

impl FieldValue for ChangedAfter {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let text = if raw.get().starts_with('"') { string(raw, path)? } else { raw.get().into() };
        let parsed = match text.split_once('-') {
            None => position(&text).map(|position| Self { position, epoch: None }),
            Some((before, after)) => position(before)
                .zip(epoch(after))
                .map(|(position, epoch)| Self { position, epoch: Some(epoch) }),
        };
        parsed.ok_or_else(|| {
            Problem::invalid_field(path, "must be a position, or the id of an event", Some(raw.get()))
        })
    }

    fn schema() -> RefOr<Schema> {
        schema::position_or_event_id()
    }
}

/// Returns the epoch that these digits are, as it is written.
pub(crate) fn epoch(text: &str) -> Option<Epoch> {
    let epoch = u64::from_str_radix(text, 16).ok().map(Epoch)?;
    (epoch.to_string() == text).then_some(epoch)
}

impl FieldValue for Metadata {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let refused =
            |problem: &dyn fmt::Display| Problem::invalid_field(path, &problem.to_string(), Some(raw.get()));
        Self::try_from(raw.get().to_owned()).map_err(|invalid| refused(&invalid))
    }

    fn schema() -> RefOr<Schema> {
        schema::reference::<Self>()
    }
}

impl FieldValue for bool {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let refused = |_| Problem::invalid_field(path, "must be true or false", Some(raw.get()));
        raw.get().parse().map_err(refused)
    }

    fn schema() -> RefOr<Schema> {
        <Self as PartialSchema>::schema()
    }
}

impl FieldValue for ErasedMessages {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let refused = |_| Problem::invalid_field(path, "must be \"erase\" or \"keep\"", Some(raw.get()));
        serde_json::from_str(raw.get()).map_err(refused)
    }

    fn schema() -> RefOr<Schema> {
        schema::reference::<Self>()
    }
}

/// The two users of a direct chat.
pub(crate) struct TwoUsers(pub(crate) [UserId; 2]);

impl FieldValue for TwoUsers {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let id = |(index, raw)| UserId::from_json(raw, path.item(index));
        let ids: Vec<_> = counted(raw, path, 2..=2)?.enumerate().map(id).collect::<Result<_, _>>()?;
        let users = [ids[0], ids[1]];
        if users[0] == users[1] {
            return Err(Problem::invalid_field(path, "must be two different users", Some(raw.get())));
        }
        Ok(Self(users))
    }

    fn schema() -> RefOr<Schema> {
        schema::two_different::<UserId>().into()
    }
}

/// Maximum number of elements in the answer of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) u64);

impl FieldValue for Limit {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        number(raw, path, LIST_LIMIT).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        schema::limit().into()
    }
}

/// Maximum number of users that a look-up by the beginning of a name answers with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundLimit(pub(crate) u64);

impl FieldValue for FoundLimit {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        number(raw, path, FOUND_LIMIT).map(Self)
    }

    fn schema() -> RefOr<Schema> {
        schema::found_limit().into()
    }
}

/// The beginning of a username.
pub(crate) struct NamePrefix(pub(crate) String);

impl FieldValue for NamePrefix {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let text = string(raw, path)?;
        let chars = text.chars().count();
        if !(1..=Username::CHARS_MAX).contains(&chars) {
            let problem = format!("must have 1 to {} characters; it has {chars}", Username::CHARS_MAX);
            return Err(Problem::invalid_field(path, &problem, Some(raw.get())));
        }
        Ok(Self(text.into_owned()))
    }

    fn schema() -> RefOr<Schema> {
        schema::name_prefix().into()
    }
}

impl<P: Place> FieldValue for Cursor<P>
where
    Self: ToSchema,
{
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        Self::parse(&string(raw, path)?).ok_or_else(|| foreign_cursor(raw.get()))
    }

    fn schema() -> RefOr<Schema> {
        schema::reference::<Self>()
    }
}

/// Returns the refusal of a cursor that this server did not make.
pub(crate) fn foreign_cursor(value: &str) -> Problem {
    Problem::invalid_field(
        "cursor",
        "must be one that this server gave with an item of the same list",
        Some(value),
    )
}

/// Returns the position that these digits are.
pub(crate) fn position(text: &str) -> Option<Position> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Position) } else { None }
}

/// At least one id. Only the length of the body limits their number.
impl FieldValue for Vec<UserId> {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let ids = items(raw, path, usize::MAX)?.first;
        if ids.is_empty() {
            return Err(Problem::invalid_field(path, "must hold at least one id", Some(raw.get())));
        }
        let id = |(index, raw)| UserId::from_json(raw, path.item(index));
        ids.into_iter().enumerate().map(id).collect()
    }

    fn schema() -> RefOr<Schema> {
        schema::list::<UserId>(1, None).into()
    }
}

/// The ids of users to look up.
pub(crate) struct UserIds(pub(crate) Vec<UserId>);

impl FieldValue for UserIds {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let id = |(index, raw)| UserId::from_json(raw, path.item(index));
        counted(raw, path, LOOKED_UP_USERS)?.enumerate().map(id).collect::<Result<_, _>>().map(Self)
    }

    fn schema() -> RefOr<Schema> {
        schema::list::<UserId>(*LOOKED_UP_USERS.start(), Some(*LOOKED_UP_USERS.end())).into()
    }
}

/// Objects that are sent together.
pub(crate) struct Batch<T>(pub(crate) Vec<T>);

impl<T: Request + ToSchema> FieldValue for Batch<T> {
    fn from_json(raw: &RawValue, path: FieldPath<'_>) -> Result<Self, Problem> {
        let object = |(index, raw)| parse_item(raw, path, index);
        counted(raw, path, BATCH_MESSAGES)?.enumerate().map(object).collect::<Result<_, _>>().map(Self)
    }

    fn schema() -> RefOr<Schema> {
        schema::list::<T>(*BATCH_MESSAGES.start(), Some(*BATCH_MESSAGES.end())).into()
    }
}

/// Returns the items of an array whose length must be within this range.
fn counted<'b>(
    raw: &'b RawValue,
    path: FieldPath<'_>,
    range: RangeInclusive<usize>,
) -> Result<std::vec::IntoIter<&'b RawValue>, Problem> {
    let Items { first, count } = items(raw, path, *range.end())?;
    if !range.contains(&count) {
        let (min, max) = (range.start(), range.end());
        let wanted = if min == max { format!("exactly {min}") } else { format!("{min} to {max}") };
        let problem = format!("must hold {wanted} items; it holds {count}");
        return Err(Problem::invalid_field(path, &problem, None));
    }
    Ok(first.into_iter())
}

/// The items of an array.
struct Items<'b> {
    /// The first items, up to the maximum that is kept.
    first: Vec<&'b RawValue>,
    /// Number of all items.
    count: usize,
}

fn items<'b>(raw: &'b RawValue, path: FieldPath<'_>, kept_max: usize) -> Result<Items<'b>, Problem> {
    if !raw.get().starts_with('[') {
        return Err(Problem::invalid_field(path, "must be an array", Some(raw.get())));
    }
    let empty = Items { first: Vec::new(), count: 0 };
    let mut json = serde_json::Deserializer::from_str(raw.get());
    KeepingItems { items: empty, kept_max }.deserialize(&mut json).map_err(|error| invalid_json(&error))
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
