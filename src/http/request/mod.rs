//! Turns bytes into a typed call. The form of a request is checked completely before anything is decided.
//!
//! A call declares its fields once, with [`request!`]: parsing, refusals that name the field, and the schema
//! in the API's document follow from that. Each field is parsed by its own [type](value::FieldValue).

pub(crate) mod body;
pub(crate) mod follow;
pub(crate) mod min_position;
pub(crate) mod object;
pub(crate) mod value;
pub(crate) mod write;

use crate::http::answer::problem::Problem;
use crate::http::openapi::schema::Exclusive;
use object::Object;

/// The fields of a call's body.
pub(crate) trait Request: Sized + Send {
    /// The names of all its fields.
    const NAMES: &'static [&'static str];
    /// Fields that cannot be given together.
    const EXCLUSIVE: Option<Exclusive> = None;
    /// Maximum length of the body, as a multiple of that of other calls.
    const BODY_FACTOR: usize = 1;

    /// Takes each field's value out of the object, in the order of their declaration.
    ///
    /// # Errors
    ///
    /// Returns the refusal of the first invalid field.
    fn take(object: &Object<'_>) -> Result<Self, Problem>;
}

/// Declares the fields of a call's body: the struct, its [`Request`], and its schema. A field of the type
/// `Option` may be missing or `null`. Constants of [`Request`] that differ from their defaults follow the
/// struct.
macro_rules! request {
    (
        $(#[doc = $doc:literal])+
        pub(crate) struct $name:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)+
        }
        $(const $constant:ident: $constant_type:ty = $value:expr;)*
        // The type of the items of a list, which gets a schema of its own.
        $(items $item:ty;)?
    ) => {
        $(#[doc = $doc])+
        pub(crate) struct $name {
            $($(#[doc = $field_doc])* pub(crate) $field: $type,)+
        }

        impl $crate::http::request::Request for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
            $(const $constant: $constant_type = $value;)*

            fn take(
                object: &$crate::http::request::object::Object<'_>,
            ) -> Result<Self, $crate::http::answer::problem::Problem> {
                use $crate::http::request::value::Field;
                Ok(Self { $($field: Field::take(object, stringify!($field))?,)+ })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                use $crate::http::openapi::schema::{self, FieldSchema};
                use $crate::http::request::{Request, value::Field};
                let fields = [$(FieldSchema {
                    name: stringify!($field),
                    schema: <$type as Field>::schema(concat!($($field_doc),*).trim()),
                    is_required: <$type as Field>::IS_REQUIRED,
                }),+];
                schema::request(concat!($($doc),+).trim(), &fields, Self::EXCLUSIVE)
            }
        }

        impl utoipa::ToSchema for $name {
            $(fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
                let (name, schema) =
                    (<$item as utoipa::ToSchema>::name(), <$item as utoipa::PartialSchema>::schema());
                schemas.push((name.into_owned(), schema));
            })?
        }
    };
}
pub(crate) use request;
