//! The headers of the API, in its document.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Header, HeaderBuilder, Required};
use utoipa::{IntoParams, PartialSchema};

use crate::domain::{IdempotencyKey, Position};
use crate::http::headers::{IDEMPOTENCY_KEY, MIN_POSITION};
use crate::http::limits::REQUEST_ID_CHARS_MAX;

/// The header that every write may carry.
pub(crate) struct Key;

impl IntoParams for Key {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = visible_ascii(IdempotencyKey::CHARS_MAX);
        let description = "Visible ASCII characters of the client's choice, `7f3a-1` for example, given once. The same \
                           request under the same key is carried out once and answered as the first time, for the \
                           life of the log. Another request under that key is 422. A refused request does not use \
                           up its key.";
        vec![header(IDEMPOTENCY_KEY.shown, schema, description)]
    }
}

/// Returns the position that a request may ask for.
pub(super) fn min_position_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let description = "A position that the client has seen in `Chinwag-Position`, given once. The answer rests on the \
                       log up to it, or further. Where several servers share a log, one that does not have the \
                       position yet waits for it, and then answers 503 `behind`. Alone, a server refuses a position \
                       beyond its log.";
    header(MIN_POSITION.shown, schema, description)
}

pub(super) const POSITION: &str = "Chinwag-Position";

/// Returns the position that the answers to writes and reads carry.
pub(super) fn position() -> Header {
    let description = "A position in the log. After a write, it is the position of the write's event, or of the last event \
                       of a batch. If the write changed nothing, it is the position at which the server found that. After \
                       a read, the answer shows everything up to this position, so a stream of events after it misses \
                       nothing.";
    HeaderBuilder::new().schema(Some(Position::schema())).description(Some(description)).build()
}

pub(super) const REPLAYED: &str = "Idempotent-Replayed";

/// Returns the mark of an answer that is repeated.
pub(super) fn replayed() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
    let description = "Present if this answer repeats that to an earlier request under the same key. Nothing was done this \
                       time.";
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

pub(super) const REQUEST_ID: &str = "X-Request-Id";

/// Returns the request id that a request may carry. Any value may be sent: one that is not an id is ignored.
pub(super) fn request_id_parameter() -> Parameter {
    let description = "Identifies the request in its answer and in the server's log messages: 1 to 128 visible ASCII \
                       characters. If it is another value or missing, the server generates an id.";
    header(REQUEST_ID, ObjectBuilder::new().schema_type(Type::String), description)
}

/// Returns the request id that every answer carries.
pub(super) fn request_id() -> Header {
    let description = "The request's id: the client's own, or one that the server generated.";
    let schema = visible_ascii(REQUEST_ID_CHARS_MAX);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

fn header(name: &str, schema: ObjectBuilder, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn visible_ascii(chars_max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(chars_max))
        .pattern(Some("^[!-~]+$"))
}

pub(super) const RATE_LIMIT: &str = "RateLimit";

/// Returns what is left of a user's quota.
pub(super) fn rate_limit() -> Header {
    let description = "The rest of a user's quota (draft-ietf-httpapi-ratelimit-headers-10): `r` more reads or \
                       writes at once, and `t` seconds until all of them are there again. Answers to a server key do \
                       not have it.";
    quota(description, "\"writes\";r=99;t=1")
}

pub(super) const RATE_LIMIT_POLICY: &str = "RateLimit-Policy";

/// Returns a user's quota.
pub(super) fn rate_limit_policy() -> Header {
    let description = "A user's quota (draft-ietf-httpapi-ratelimit-headers-10): `q` reads or writes at once, all of \
                       which are there again after `w` seconds.";
    quota(description, "\"writes\";q=100;w=5")
}

fn quota(description: &str, example: &str) -> Header {
    let schema = Some(String::schema());
    HeaderBuilder::new().schema(schema).description(Some(description)).example(Some(json!(example))).build()
}
