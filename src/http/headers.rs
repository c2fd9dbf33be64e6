//! The headers that the API reads and writes besides those of HTTP itself.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};

use super::answer::problem::Problem;

/// A header of requests.
pub(crate) struct RequestHeader {
    pub(crate) name: HeaderName,
    /// The name as refusals and the API's document write it.
    pub(crate) shown: &'static str,
}

impl RequestHeader {
    /// Returns the header's value in a request, which may have it once.
    pub(crate) fn only_value<'h>(&self, headers: &'h HeaderMap) -> Result<Option<Cow<'h, str>>, Problem> {
        let mut values = headers.get_all(&self.name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(String::from_utf8_lossy(value.as_bytes()))),
            (Some(_), Some(_)) => Err(Problem::invalid_field(self.shown, "is given twice", None)),
        }
    }
}

/// Identifies a write, so that the client can retry it safely (draft-ietf-httpapi-idempotency-key-header).
pub(crate) static IDEMPOTENCY_KEY: RequestHeader =
    RequestHeader { name: HeaderName::from_static("idempotency-key"), shown: "Idempotency-Key" };
/// Holds the position of a write in the log, or the position up to which a read shows everything.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("chinwag-position");
/// Holds the position that a request's answer must rest on, or a later one.
pub(crate) static MIN_POSITION: RequestHeader =
    RequestHeader { name: HeaderName::from_static("chinwag-min-position"), shown: "Chinwag-Min-Position" };
/// Marks an answer that repeats the answer to an earlier request with the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Holds the position after which a disconnected client resumes a stream. It takes precedence over the
/// parameters.
pub(crate) static LAST_EVENT_ID: RequestHeader =
    RequestHeader { name: HeaderName::from_static("last-event-id"), shown: "Last-Event-ID" };
/// Identifies a request in its answer and in the server's log messages.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says how many reads or writes a user may make, and in what time.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Says how many of them are left (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
