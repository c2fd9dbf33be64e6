//! Answers: the results of calls, as bytes.

pub(crate) mod bodies;
pub(crate) mod codes;
pub(crate) mod event_cache;
pub(crate) mod events;
pub(crate) mod lines;
pub(crate) mod list;
pub(crate) mod message_json;
pub(crate) mod problem;
pub(crate) mod receipt;
mod refusals;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use crate::domain::Position;
use crate::http::headers::POSITION;

/// Marks, among the extensions of an answer, one that has no end: it goes on until its client disconnects.
#[derive(Clone, Copy)]
pub(crate) struct Endless;

/// Adds the position of the log to an answer: that of a write's event, or that up to which a read shows everything.
pub(crate) fn at(position: Position, mut response: Response) -> Response {
    response.headers_mut().insert(POSITION, position.0.into());
    response
}

/// Returns an answer of JSON.
pub(crate) fn json(value: &impl Serialize) -> Response {
    of_json(to_json(value))
}

/// Returns an answer with this JSON.
// Axum would first set `application/octet-stream`, and then replace it.
fn of_json(json: impl Into<Body>) -> Response {
    let mut response = Response::new(json.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("answers hold nothing that JSON cannot")
}
