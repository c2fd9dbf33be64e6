//! Answers to writes.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::Position;

/// Tells at which position of the log a write stands.
const POSITION: HeaderName = HeaderName::from_static("chinwag-position");

/// 201: something was made, at this position of the log.
pub(super) struct Created<T> {
    pub(super) position: Position,
    pub(super) body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let headers = [(POSITION, self.position.to_string())];
        (StatusCode::CREATED, headers, json(&self.body)).into_response()
    }
}

/// A body of JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers hold nothing that JSON cannot");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
