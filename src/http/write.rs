//! Writes: their idempotency keys, and their answers.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use super::fields::Fields;
use super::json::{self, Json};
use super::problem::Problem;
use super::{App, Ready};
use crate::domain::{Command, IdempotencyKey, MessageId, Seq, Timestamp};
use crate::engine::Accepted;
use crate::model::{Outcome, SentMessage};

/// draft-ietf-httpapi-idempotency-key-header
pub(super) const KEY: &str = "Idempotency-Key";
/// Tells at which position of the log a write stands.
pub(super) const POSITION: HeaderName = HeaderName::from_static("chinwag-position");
/// Tells that the answer is that to an earlier request with the same key.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A write's fields, and its key.
pub(super) struct Write<T> {
    pub(super) fields: T,
    pub(super) key: Option<HeaderValue>,
}

impl<T: Fields> FromRequest<Arc<App>> for Write<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let key = only_key(request.headers());
        let Json(fields) = Json::from_request(request, app).await?;
        Ok(Self { fields, key: key? })
    }
}

fn only_key(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    match (keys.next(), keys.next()) {
        (key, None) => Ok(key.cloned()),
        (_, Some(_)) => Err(Problem::invalid_field(KEY, "is given twice", None)),
    }
}

/// Has the command carried out, and answers with what it came to.
pub(super) async fn submit(
    Ready(engine): Ready,
    command: Command,
    key: Option<HeaderValue>,
) -> Result<Response, Problem> {
    let key = key.map(|key| {
        let text = String::from_utf8_lossy(key.as_bytes());
        IdempotencyKey::new(text.to_string(), &command)
            .map_err(|invalid| Problem::invalid_field(KEY, &invalid.to_string(), Some(&text)))
    });
    let accepted = engine.submit(command, key.transpose()?).await?;
    Ok(answer(&accepted))
}

#[derive(Serialize)]
struct AddedBody {
    id: Uuid,
}

#[derive(Serialize)]
struct SentBody {
    id: MessageId,
    seq: Seq,
    created_at: Timestamp,
}

impl From<&SentMessage> for SentBody {
    fn from(&SentMessage { id, seq, created_at }: &SentMessage) -> Self {
        Self { id, seq, created_at }
    }
}

fn answer(Accepted { receipt, replayed }: &Accepted) -> Response {
    let mut response = match &receipt.outcome {
        Outcome::User(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Chat(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Message(sent) => created(&SentBody::from(sent)),
        Outcome::Messages(sent) => created(&sent.iter().map(SentBody::from).collect::<Vec<_>>()),
        Outcome::Done => StatusCode::NO_CONTENT.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(POSITION, HeaderValue::from(receipt.position.0));
    if *replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn created(body: &impl Serialize) -> Response {
    (StatusCode::CREATED, json::answer(body)).into_response()
}
