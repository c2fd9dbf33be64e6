//! Names of the headers that the API reads and writes besides those of HTTP itself.

use axum::http::HeaderName;

/// Names a write, so that it can be sent again safely (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Says at which position of the log a write stands.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("chinwag-position");
/// Says that the answer is that to an earlier request with the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Says where a client that was disconnected from a stream goes on. It wins over the parameter `after`.
pub(crate) const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Names a request in its answer and in what the server logs of it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
