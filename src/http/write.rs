//! Writes: their idempotency keys, and their answers.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Header, HeaderBuilder, Required};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::App;
use super::fields::Fields;
use super::json::{self, Json};
use super::problem::Problem;
use crate::domain::{Command, IdempotencyKey, MessageId, Position, Seq, Timestamp};
use crate::engine::{Accepted, Engine};
use crate::model::{Outcome, SentMessage};

/// draft-ietf-httpapi-idempotency-key-header
pub(super) const KEY: &str = "Idempotency-Key";
/// Tells at which position of the log a write stands.
pub(super) const POSITION: HeaderName = HeaderName::from_static("chinwag-position");
/// Tells that the answer is that to an earlier request with the same key.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A write's fields, its key, and the engine that is to do it.
pub(super) struct Write<T> {
    pub(super) engine: Arc<Engine>,
    pub(super) fields: T,
    pub(super) key: Option<HeaderValue>,
}

impl<T: Fields> FromRequest<Arc<App>> for Write<T> {
    type Rejection = Problem;

    fn from_request(request: Request, app: &Arc<App>) -> impl Future<Output = Result<Self, Problem>> + Send {
        let key = only_key(request.headers());
        Json::from_request(request, app).map(|json| {
            let Json { engine, fields } = json?;
            Ok(Self { engine, fields, key: key? })
        })
    }
}

/// The header, for the document.
pub(super) struct Key;

impl IntoParams for Key {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(IdempotencyKey::CHARS_MAX))
            .pattern(Some("^[!-~]+$"));
        let parameter = ParameterBuilder::new()
            .name(KEY)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Visible ASCII characters of the client's choice, `7f3a-1` say, given once. The same request under the same key is \
                 done once and answered as the first time, for the life of the log; another one is 422. A refused \
                 request does not use its key up.",
            ))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

/// The headers of an answer to a write, for the document.
pub(super) fn headers() -> [(&'static str, Header); 2] {
    let position = HeaderBuilder::new().schema(Some(Position::schema())).description(Some(
        "The place in the log of the event that the write made; of a batch, of the last one; of a write that changed \
         nothing, the place at which that was so.",
    ));
    let replayed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]));
    let replayed = HeaderBuilder::new().schema(Some(replayed)).description(Some(
        "There if this is the answer to an earlier request under the same key: nothing was done now.",
    ));
    [("Chinwag-Position", position.build()), ("Idempotent-Replayed", replayed.build())]
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
    engine: &Engine,
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

/// Names what was made.
#[derive(Serialize, ToSchema)]
#[schema(as = Added)]
pub(super) struct AddedBody {
    #[schema(value_type = String, format = "uuid", examples("01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43"))]
    id: Uuid,
}

/// Names a message that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Sent)]
pub(super) struct SentBody {
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
    headers.insert(POSITION, receipt.position.to_string().try_into().expect("digits"));
    if *replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn created(body: &impl Serialize) -> Response {
    (StatusCode::CREATED, json::answer(body)).into_response()
}
