//! Every answer that is not 2xx: one shape, `application/problem+json` (RFC 9457).
//!
//! **Invariant:** this is the only place that knows which status code a refusal has.

use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::request_id::current_request_id;
use crate::domain::{Refusal, UserField};
use crate::engine::SubmitError;

/// What went wrong, in a word that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Code {
    InvalidJson,
    InvalidField,
    NotAMember,
    UserNotFound,
    ChatNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    UsernameTaken,
    ChatNameTaken,
    BodyTooLarge,
    UnsupportedMediaType,
    IdempotencyKeyReused,
    Internal,
    Starting,
    Overloaded,
    ShuttingDown,
    StorageFull,
}

impl Code {
    /// The status, the code, and the title: the same for every problem of the kind.
    pub(super) fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidJson => (StatusCode::BAD_REQUEST, "invalid_json", "The body is not a JSON object"),
            Self::InvalidField => (StatusCode::BAD_REQUEST, "invalid_field", "A field is not as it must be"),
            Self::NotAMember => (StatusCode::FORBIDDEN, "not_a_member", "The user is not in the chat"),
            Self::UserNotFound => (StatusCode::NOT_FOUND, "user_not_found", "There is no such user"),
            Self::ChatNotFound => (StatusCode::NOT_FOUND, "chat_not_found", "There is no such chat"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found", "There is no such route"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The route does not answer this method",
            ),
            Self::RequestTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time")
            }
            Self::UsernameTaken => (StatusCode::CONFLICT, "username_taken", "Another user has this name"),
            Self::ChatNameTaken => (StatusCode::CONFLICT, "chat_name_taken", "Another chat has this name"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body is not said to be JSON",
            ),
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The idempotency key was used for another request",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting", "The server is starting"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server is overloaded"),
            Self::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "The server is shutting down")
            }
            Self::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full", "The disk is full"),
        }
    }

    /// Whether the same request may be answered a second later.
    fn is_passing(self) -> bool {
        self.parts().0 == StatusCode::SERVICE_UNAVAILABLE
    }
}

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    detail: String,
    field: Option<String>,
    replay: Option<Replay>,
}

/// How far the replay is, while the server is starting.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replay {
    /// How many events have been replayed.
    pub(super) replayed: u64,
    /// How many bytes of the log have been read.
    pub(super) replayed_bytes: u64,
    /// How many bytes the log has.
    pub(super) total_bytes: u64,
}

/// Every answer that is not 2xx (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// `urn:chinwag:problem:` and the code.
    #[schema(pattern = "^urn:chinwag:problem:[a-z_]+$")]
    r#type: String,
    /// The same for every problem of the kind.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong this time, in a sentence, with the offending value, cut to 64 characters.
    detail: &'a str,
    /// To program against: it stays.
    #[schema(value_type = Code)]
    code: &'a str,
    /// The field, header or parameter that is to blame, where one is: `username`, `users[1]`, `messages[37].text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    field: Option<&'a str>,
    /// The request's `X-Request-Id`, taken from the client or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required)]
    request_id: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    replay: Option<&'a Replay>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: None, replay: None }
    }

    /// A field is missing, of the wrong type, out of its limits, unknown or given twice; `what` goes on after the
    /// field's name.
    pub(super) fn invalid_field(field: impl Display, what: &str, value: Option<&str>) -> Self {
        let field = field.to_string();
        let value = value.map_or_else(String::new, |value| format!("; it is {}", shown_json(value)));
        Self::new(Code::InvalidField, format!("{} {what}{value}", shown(&field))).blaming(field)
    }

    pub(super) fn internal() -> Self {
        Self::new(Code::Internal, "the server failed to answer this request; its log says why")
    }

    pub(super) fn starting() -> Self {
        Self::new(Code::Starting, "the log is still being replayed; try again soon")
    }

    pub(super) fn starting_at(replay: Replay) -> Self {
        Self { replay: Some(replay), ..Self::starting() }
    }

    fn body(&self) -> Body<'_> {
        let (status, code, title) = self.code.parts();
        Body {
            r#type: format!("urn:chinwag:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            field: self.field.as_deref(),
            request_id: current_request_id(),
            replay: self.replay.as_ref(),
        }
    }

    /// What is sent to the request of this id, for the document.
    pub(super) fn example(&self, request_id: &str) -> serde_json::Value {
        let body = Body { request_id: Some(request_id.to_owned()), ..self.body() };
        serde_json::to_value(body).expect("a problem is strings and numbers")
    }

    pub(super) fn blaming(self, field: impl Into<String>) -> Self {
        let field = field.into();
        Self { field: Some(field.chars().take(SHOWN_CHARS_MAX).collect()), ..self }
    }
}

/// A refused value is shown up to here.
const SHOWN_CHARS_MAX: usize = 64;

/// A JSON value; of a string, what is between its quotes is cut.
fn shown_json(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(text) => format!("\"{}\"", shown(text)),
        None => shown(value),
    }
}

/// A client's own words, cut to a length that an answer can bear.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &value[..cut]),
        None => value.to_owned(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("a problem is strings and numbers");
        let mut response = (self.code.parts().0, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.is_passing() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UserNotFound { field, .. } => {
                Self::new(Code::UserNotFound, detail).blaming(name_of(field))
            }
            Refusal::ChatNotFound { .. } => Self::new(Code::ChatNotFound, detail).blaming("chat"),
            Refusal::NotAMember { field, .. } => Self::new(Code::NotAMember, detail).blaming(name_of(field)),
            Refusal::BeyondLastMessage { .. } => Self::new(Code::InvalidField, detail).blaming("seq"),
            Refusal::UsernameTaken { username } => {
                let detail = format!("another user is named {}", shown(&username));
                Self::new(Code::UsernameTaken, detail).blaming("username")
            }
            Refusal::ChatNameTaken { name } => {
                let detail = format!("another chat is named {}", shown(&name));
                Self::new(Code::ChatNameTaken, detail).blaming("name")
            }
            Refusal::KeyReused { key } => {
                let detail =
                    format!("the key {} was used for another call, or for other values", shown(&key));
                Self::new(Code::IdempotencyKeyReused, detail).blaming("Idempotency-Key")
            }
            Refusal::OfMessage { index, refusal } => {
                let problem = Self::from(*refusal);
                let field = problem.field.as_deref().unwrap_or_default();
                let field = format!("messages[{index}].{field}");
                problem.blaming(field)
            }
        }
    }
}

fn name_of(field: UserField) -> String {
    match field {
        UserField::Author => "author".to_owned(),
        UserField::User => "user".to_owned(),
        UserField::Users(index) => format!("users[{index}]"),
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Overloaded => {
                Self::new(Code::Overloaded, "too many writes are waiting for the disk; nothing was stored")
            }
            SubmitError::StorageFull => Self::new(
                Code::StorageFull,
                "there is no room on the disk; nothing was stored, and reads go on",
            ),
            SubmitError::ShuttingDown => {
                Self::new(Code::ShuttingDown, "the server is shutting down; nothing was stored")
            }
            SubmitError::Failed => Self::new(
                Code::Internal,
                "the log failed; whether this write is kept will be seen after a restart",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::PartialSchema;

    #[test]
    fn every_code_has_its_status() {
        let table = [
            (Code::InvalidJson, 400, "invalid_json"),
            (Code::InvalidField, 400, "invalid_field"),
            (Code::NotAMember, 403, "not_a_member"),
            (Code::UserNotFound, 404, "user_not_found"),
            (Code::ChatNotFound, 404, "chat_not_found"),
            (Code::RouteNotFound, 404, "route_not_found"),
            (Code::MethodNotAllowed, 405, "method_not_allowed"),
            (Code::RequestTimeout, 408, "request_timeout"),
            (Code::UsernameTaken, 409, "username_taken"),
            (Code::ChatNameTaken, 409, "chat_name_taken"),
            (Code::BodyTooLarge, 413, "body_too_large"),
            (Code::UnsupportedMediaType, 415, "unsupported_media_type"),
            (Code::IdempotencyKeyReused, 422, "idempotency_key_reused"),
            (Code::Internal, 500, "internal"),
            (Code::Starting, 503, "starting"),
            (Code::Overloaded, 503, "overloaded"),
            (Code::ShuttingDown, 503, "shutting_down"),
            (Code::StorageFull, 507, "storage_full"),
        ];
        let schema = serde_json::to_value(Code::schema()).expect("JSON");
        assert_eq!(
            schema["enum"],
            serde_json::json!(table.map(|(_, _, word)| word)),
            "the document knows them all"
        );
        for (code, status, word) in table {
            let response = Problem::new(code, "because").into_response();
            assert_eq!((response.status().as_u16(), code.parts().1), (status, word));
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{word}");
        }
    }

    #[test]
    fn a_long_value_is_cut_to_64_characters() {
        assert_eq!(shown(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(shown(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
        assert_eq!(shown_json(&format!("\"{}\"", "é".repeat(64))), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(shown_json(&"9".repeat(65)), format!("{}…", "9".repeat(64)));
    }
}
