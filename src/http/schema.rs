//! The domain's values as JSON Schema, for the API's document: the domain itself knows nothing of that.
//!
//! What JSON Schema cannot say, the descriptions do.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{Number, PartialSchema, ToSchema};

use super::cursor::Cursor;
use super::messages::LIMIT;
use crate::domain::{
    ChatId, ChatName, MessageId, NewMessage, Position, Seq, Text, Timestamp, UserId, Username,
};

/// No control character, and no white space at an end. The classes are spelled out: what `\s` holds differs between
/// dialects.
const NAME_PATTERN: &str = concat!(
    r"^[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"([^\u0000-\u001f\u007f-\u009f]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?$"
);

macro_rules! schemas {
    ($($type:ident: $schema:expr;)+) => { $(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let schema: Object = $schema;
                schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    )+ };
}

schemas! {
    UserId: id("Names a user.", "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43");
    ChatId: id("Names a chat.", "01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5");
    MessageId: id("Names a message.", "01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02");
    Username: name("A user's name", Username::CHARS_MAX, "ann");
    ChatName: name("A chat's name", ChatName::CHARS_MAX, "tea");
    Text: string("What a message says: 1 to 16,384 bytes of UTF-8, any characters.")
        .min_length(Some(1))
        .max_length(Some(Text::BYTES_MAX))
        .examples([json!("Kettle is on.")])
        .build();
    Seq: number("The place of a message in its chat: 1, 2, 3, … without gaps; 0 is the place before the first.", 3);
    Position: number(
        "The place of an event in the log: 1, 2, 3, … without gaps; 0 is the place before the first.",
        7,
    );
    Timestamp: string("RFC 3339, UTC, six fractional digits; set by the server, strictly increasing in the log's order.")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"))
        .examples([json!("2026-11-23T15:04:05.123456Z")])
        .build();
    Cursor: string("Where a list of chats goes on: the `cursor` of the last chat of the page before. Opaque.")
        .min_length(Some(24))
        .max_length(Some(24))
        .pattern(Some("^[0-9a-f]{24}$"))
        .examples([json!("800000000000000633c8d336")])
        .build();
    NewMessage: closed()
        .description(Some("Something to be said in a chat."))
        .property("chat", reference::<ChatId>())
        .property("author", reference::<UserId>())
        .property("text", reference::<Text>())
        .required("chat")
        .required("author")
        .required("text")
        .build();
}

/// An object that holds no other fields than those it is said to: a request.
pub(super) fn closed() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// A schema that stands among the document's components.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// What may be null.
pub(super) fn or_null<T: ToSchema>() -> OneOfBuilder {
    OneOfBuilder::new().item(reference::<T>()).item(null())
}

/// What must be null, or left out.
pub(super) fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// The most that a list may hold.
pub(super) fn limit() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("At most so many are answered. Without it, all are."))
        .minimum(Some(whole(*LIMIT.start())))
        .maximum(Some(whole(*LIMIT.end())))
        .examples([json!(50)])
        .build()
}

fn id(description: &str, example: &str) -> Object {
    let description = format!(
        "{description} A UUID in the hyphenated form, either case; version 7 where the server made it. A UUID that \
         names nothing is answered with 404, another form with 400."
    );
    string(&description)
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .examples([json!(example)])
        .build()
}

fn name(what: &str, chars_max: usize, example: &str) -> Object {
    let description = format!(
        "{what}: 1 to {chars_max} characters (Unicode scalar values), no control characters, no white space at \
         either end; unique byte for byte."
    );
    string(&description)
        .min_length(Some(1))
        .max_length(Some(chars_max))
        .pattern(Some(NAME_PATTERN))
        .examples([json!(example)])
        .build()
}

fn string(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn number(description: &str, example: u64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some(description))
        .minimum(Some(whole(0)))
        .maximum(Some(whole(u64::MAX)))
        .examples([json!(example)])
        .build()
}

fn whole(number: u64) -> Number {
    Number::UInt(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::chats::{AddChat, GetChats, MarkRead, Membership};
    use super::super::fields::Fields;
    use super::super::messages::{AddMessages, GetMessages};
    use super::super::users::{AddUser, GetUser};
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// The names of a schema's properties; of one with alternatives, those of each.
    fn properties(schema: &Value) -> Vec<BTreeSet<&str>> {
        if let Some(alternatives) = ["oneOf", "anyOf"].iter().find_map(|of| schema[of].as_array()) {
            return alternatives.iter().flat_map(properties).collect();
        }
        assert_eq!(schema["additionalProperties"], false, "{schema}");
        let properties = schema["properties"].as_object().expect("an object's schema");
        vec![properties.keys().map(String::as_str).collect()]
    }

    fn check<T: Fields + PartialSchema>() {
        let schema = serde_json::to_value(T::schema()).expect("JSON");
        for properties in properties(&schema) {
            assert_eq!(properties, T::NAMES.iter().copied().collect(), "{schema}");
        }
    }

    #[test]
    fn the_document_knows_the_fields_that_a_call_knows_and_no_others() {
        check::<AddUser>();
        check::<GetUser>();
        check::<AddChat>();
        check::<Membership>();
        check::<MarkRead>();
        check::<GetChats>();
        check::<NewMessage>();
        check::<AddMessages>();
        check::<GetMessages>();
    }
}
