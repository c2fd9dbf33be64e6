//! Schemas of the domain's values, for the API's document. The domain itself does not know the document.
//!
//! A description states what JSON Schema cannot express.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{
    AdditionalProperties, Array, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{Number, PartialSchema, ToSchema};

use crate::domain::{
    ChatId, ChatName, Emoji, ErasedMessages, MessageId, Metadata, Position, Seq, Text, Timestamp, UserId,
    Username,
};
use crate::http::cursor::{ChatCursor, ReactionCursor, UserCursor};
use crate::http::limits::{FOUND_LIMIT, FOUND_LIMIT_DEFAULT, LIST_LIMIT};

/// A name without control characters, and without white space at an end. The classes are spelled out: what
/// `\s` matches differs between dialects.
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
    Text: string("The text of a message: 1 to 16,384 bytes of UTF-8, any characters.")
        .min_length(Some(1))
        .max_length(Some(Text::BYTES_MAX))
        .examples([json!("Kettle is on.")])
        .build();
    Emoji: string("An emoji: 1 to 64 bytes of UTF-8, no control characters. The server does not ask whether it is one.")
        .min_length(Some(1))
        .max_length(Some(Emoji::BYTES_MAX))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"))
        .examples([json!("👍")])
        .build();
    Metadata: ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "Data of the application's own, which the server keeps as it is written and does not interpret: an object \
             of at most 4,096 bytes and 8 levels, each of whose names is there once. `{}` stands for none.",
        ))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([json!({ "order": 4711 })])
        .build();
    ErasedMessages: ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What becomes of the messages of a user who is erased: they are deleted, and leave the disk, or stay."))
        .enum_values(Some(["erase", "keep"]))
        .build();
    Seq: number("The place of a message in its chat: 1, 2, 3, … without gaps; 0 is the place before the first.", 3);
    Position: number(
        "The place of an event in the log: 1, 2, 3, … without gaps; 0 is the place before the first.",
        7,
    );
    Timestamp: string("RFC 3339, UTC, with six fractional digits. The server sets it; it increases strictly in the order of the log.")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"))
        .examples([json!("2026-11-23T15:04:05.123456Z")])
        .build();
    ReactionCursor: cursor("reaction", "0000000000000001bc6de3bd");
    ChatCursor: cursor("chat", "800000000000000633c8d336");
    UserCursor: cursor("user", "000660889b3d0ac0ee6e8a2f");
}

/// A field of a call's body.
pub(crate) struct FieldSchema {
    pub(crate) name: &'static str,
    pub(crate) schema: RefOr<Schema>,
    pub(crate) is_required: bool,
}

/// A rule over optional fields.
#[derive(Clone, Copy)]
#[expect(clippy::enum_variant_names, reason = "so are the rules called")]
pub(crate) enum Exclusive {
    /// One of them must be given, and no other.
    ExactlyOneOf(&'static [&'static str]),
    /// At most one of them may be given.
    AtMostOneOf(&'static [&'static str]),
    /// One of them must be given, or several.
    AtLeastOneOf(&'static [&'static str]),
}

impl Exclusive {
    /// Adds the rule to the schema of an object with these fields. A field that is `null` is not given.
    ///
    /// The rule stands beside the fields, as a condition on each that is there. Generators of clients ignore it, and
    /// make one class of the object; from alternatives they would make a class of each, and types that do not compile.
    fn added_to(self, object: ObjectBuilder) -> ObjectBuilder {
        let (names, how, fields_min) = match self {
            Self::AtLeastOneOf(_) => unreachable!("it hangs on another field"),
            // If no field is given, every way is open, and not exactly one.
            Self::ExactlyOneOf(names) => (names, "oneOf", Some(1)),
            Self::AtMostOneOf(names) => (names, "anyOf", None),
        };
        let way = |given: &&str| {
            let others = names.iter().filter(|name| *name != given);
            let null = |name: &&str| ((*name).to_owned(), json!({ "type": "null" }));
            json!({ "properties": others.map(null).collect::<Map<_, _>>() })
        };
        let rule = json!({ how: names.iter().map(way).collect::<Vec<_>>() });
        let of_each: Map<_, _> = names.iter().map(|&name| (name.to_owned(), rule.clone())).collect();
        object.min_properties(fields_min).extensions(Some(keyword("dependentSchemas", of_each.into())))
    }
}

/// Adds the rule that one of these fields must be given. As the other rules, it is a condition on a field: on one that is
/// always there.
fn at_least_one_of(object: ObjectBuilder, names: &[&str], always: &str) -> ObjectBuilder {
    let given =
        |name: &&str| json!({ "required": [name], "properties": { (*name): { "not": { "type": "null" } } } });
    let rule: Vec<_> = names.iter().map(given).collect();
    object.extensions(Some(keyword("dependentSchemas", json!({ always: { "anyOf": rule } }))))
}

/// Returns the schema of a call's body: an object with these fields.
pub(crate) fn request(
    description: &str,
    fields: &[FieldSchema],
    exclusive: Option<Exclusive>,
) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new()
        .description(Some(description))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for &FieldSchema { name, ref schema, is_required } in fields {
        object = object.property(name, schema.clone());
        if is_required {
            object = object.required(name);
        }
    }
    match exclusive {
        Some(Exclusive::AtLeastOneOf(names)) => {
            let always = fields.iter().find(|field| field.is_required).expect("it changes something");
            at_least_one_of(object, names, always.name).into()
        }
        Some(rule) => rule.added_to(object).into(),
        None => object.into(),
    }
}

/// Returns a reference to a schema among the document's components.
pub(crate) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Returns a keyword that the types of the document do not know: they write an extension as it is. It has to be the only
/// one of its schema, because extensions are written in any order.
pub(super) fn keyword(name: &str, value: Value) -> Extensions {
    Extensions::from_iter([(name, value)])
}

/// Returns the schema with this description, if it is not empty.
pub(crate) fn described(mut schema: RefOr<Schema>, description: &str) -> RefOr<Schema> {
    if !description.is_empty() {
        let description_of_schema = match &mut schema {
            RefOr::Ref(reference) => {
                description.clone_into(&mut reference.description);
                return schema;
            }
            RefOr::T(Schema::Object(object)) => &mut object.description,
            RefOr::T(Schema::Array(array)) => &mut array.description,
            RefOr::T(Schema::OneOf(one_of)) => &mut one_of.description,
            RefOr::T(_) => unreachable!("no field has another schema"),
        };
        *description_of_schema = Some(description.to_owned());
    }
    schema
}

/// Description of the user whom a call acts for. Where a field has it, a user's token may leave the field out.
pub(super) const ACTING_USER: &str = "The user whom the call acts for.";

/// Returns the schema of the user whom a call acts for.
pub(crate) fn acting_user(description: &str) -> RefOr<Schema> {
    debug_assert!(description.is_empty(), "a field of this type has no description of its own");
    described(reference::<UserId>(), ACTING_USER)
}

/// Returns the schema of a value that may be `null`.
pub(crate) fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Type(one) = object.schema_type {
                object.schema_type = SchemaType::from_iter([one, Type::Null]);
            }
            object.into()
        }
        RefOr::T(_) | RefOr::Ref(_) => OneOfBuilder::new().item(schema).item(null()).into(),
    }
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// Returns the schema of a list of values among the components, with bounds of its length.
pub(crate) fn list<T: ToSchema>(items_min: usize, items_max: Option<usize>) -> Array {
    ArrayBuilder::new().items(reference::<T>()).min_items(Some(items_min)).max_items(items_max).build()
}

/// Returns the schema of a list of two elements that differ.
pub(crate) fn two_different<T: ToSchema>() -> Array {
    ArrayBuilder::new()
        .items(reference::<T>())
        .min_items(Some(2))
        .max_items(Some(2))
        .unique_items(true)
        .build()
}

/// Returns the schema of the maximum length of a list's answer.
pub(crate) fn limit() -> Object {
    let description = "Maximum number of elements in the answer. Without it, the answer holds all.";
    limit_within(&LIST_LIMIT, description, 50)
}

/// Returns the schema of the maximum number of users that are found.
pub(crate) fn found_limit() -> Object {
    let description =
        format!("Maximum number of users in the answer; {FOUND_LIMIT_DEFAULT} if it is missing.");
    limit_within(&FOUND_LIMIT, &description, 10)
}

fn limit_within(range: &RangeInclusive<u64>, description: &str, example: u64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some(description))
        .minimum(Some(whole(*range.start())))
        .maximum(Some(whole(*range.end())))
        .examples([json!(example)])
        .build()
}

/// Returns the schema of the beginning of a username.
pub(crate) fn name_prefix() -> Object {
    string("The beginning of a username. Upper and lower case are the same.")
        .min_length(Some(1))
        .max_length(Some(Username::CHARS_MAX))
        .examples([json!("an")])
        .build()
}

fn cursor(item: &str, example: &str) -> Object {
    let description = format!(
        "The place after which a list of {item}s goes on: the `cursor` of the last {item} of the previous page. It is \
         opaque."
    );
    string(&description)
        .min_length(Some(24))
        .max_length(Some(24))
        .pattern(Some("^[0-9a-f]{24}$"))
        .examples([json!(example)])
        .build()
}

/// Returns the schema of a position, or the id of an event.
pub(crate) fn position_or_event_id() -> RefOr<Schema> {
    OneOfBuilder::new().item(reference::<Position>()).item(event_id()).into()
}

/// Returns the schema of the place at which a stream of events begins.
pub(crate) fn event_id() -> RefOr<Schema> {
    string("The `id` of an event, or the position of one.")
        .pattern(Some("^[0-9]{1,19}(-(0|[0-9a-f]{16}))?$"))
        .examples([json!("6-8f3c2a917b5de604")])
        .build()
        .into()
}

fn id(description: &str, example: &str) -> Object {
    let description = format!(
        "{description} A UUID in the hyphenated form, either case; version 7 if the server generated it. A UUID that \
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
        // Without it, many generators of clients take 32 bits. They know no format of unsigned numbers.
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some(description))
        .minimum(Some(whole(0)))
        .maximum(Some(whole(u64::MAX)))
        .examples([json!(example)])
        .build()
}

fn whole(number: u64) -> Number {
    Number::UInt(usize::try_from(number).unwrap_or(usize::MAX))
}
