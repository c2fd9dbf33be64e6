//! The answer to a write: what it created, and its position in the log.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::bodies::{AddedBody, SentBody};
use crate::engine::Accepted;
use crate::http::headers::REPLAYED;
use crate::model::Outcome;

/// Answers an accepted write with its receipt.
pub(crate) fn respond(Accepted { receipt, replayed }: &Accepted) -> Response {
    let mut response = match &receipt.outcome {
        Outcome::User(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Chat(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Message(sent) => created(&SentBody::from(sent)),
        Outcome::Messages(sent) => created(&sent.iter().map(SentBody::from).collect::<Vec<_>>()),
        Outcome::Done => StatusCode::NO_CONTENT.into_response(),
    };
    if *replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    super::at(receipt.position, response)
}

fn created(body: &impl Serialize) -> Response {
    (StatusCode::CREATED, super::json(body)).into_response()
}
