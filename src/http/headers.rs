//! Names of the headers that the API reads and writes besides those of HTTP itself.

use axum::http::HeaderName;

/// Identifies a write, so that the client can retry it safely (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Holds the position of a write in the log, or the position up to which a read shows everything.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("chinwag-position");
/// Holds the position that a request's answer must rest on, or a later one.
pub(crate) const MIN_POSITION: &str = "Chinwag-Min-Position";
/// Marks an answer that repeats the answer to an earlier request with the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Holds the position after which a disconnected client resumes a stream. It takes precedence over the
/// parameters.
pub(crate) const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Identifies a request in its answer and in the server's log messages.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says how many reads or writes a user may make, and in what time.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Says how many of them are left (draft-ietf-httpapi-ratelimit-headers-10).
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
