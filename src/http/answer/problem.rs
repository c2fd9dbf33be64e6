//! Every answer that is not 2xx: one shape, `application/problem+json` (RFC 9457).
//!
//! **Invariant:** nothing else sends a refusal, and nothing but the table of [codes](super::codes) knows its
//! status.

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::codes::{Code, Kind};
use super::to_json;
use crate::http::limits::SHOWN_CHARS_MAX;
use crate::http::request_id::current_request_id;

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    field: Option<String>,
    replay: Option<Replay>,
    /// Seconds after which the request can be repeated.
    retry_after_s: Option<u64>,
}

/// The progress of the replay, while the server is starting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replay {
    pub(crate) replayed: u64,
    pub(crate) replayed_bytes: u64,
    pub(crate) total_bytes: u64,
    /// Whether the server has replayed its copy of a stream, and reads the stream, or waits for it.
    pub(crate) is_reading_stream: bool,
}

/// Every answer that is not 2xx (RFC 9457). While the server is starting, `/health` adds the progress of the replay.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// `urn:chinwag:problem:` and the code.
    #[schema(pattern = "^urn:chinwag:problem:[a-z_]+$")]
    r#type: String,
    /// The same for every problem of the kind.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence about this problem, with the offending value, cut to 64 characters.
    detail: &'a str,
    /// A stable code for programs.
    #[schema(value_type = Code)]
    code: &'a str,
    /// The field, header or parameter at fault, if there is one: `username`, `users[1]`, `messages[37].text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    field: Option<&'a str>,
    /// The request's `X-Request-Id`: the client's own, or one that the server generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required)]
    request_id: Option<String>,
    /// Number of events that have been replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    replayed: Option<u64>,
    /// Number of bytes of the log that have been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    replayed_bytes: Option<u64>,
    /// Number of bytes of the whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    total_bytes: Option<u64>,
}

impl Problem {
    /// Returns a problem with this detail, a sentence about what was wrong this time.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_s = (code.kind().status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { code, detail: detail.into(), field: None, replay: None, retry_after_s }
    }

    /// Returns a problem with the detail that stands in the table of codes.
    pub(crate) fn usual(code: Code) -> Self {
        Self::new(code, code.kind().detail)
    }

    /// Returns the refusal of a field that is missing, of the wrong type, out of its limits, unknown or given
    /// twice. `problem` completes a sentence that begins with the field's name.
    pub(crate) fn invalid_field(field: impl Display, problem: &str, value: Option<&str>) -> Self {
        let field = field.to_string();
        let value = value.map_or_else(String::new, |value| format!("; it is {}", shown_json(value)));
        Self::new(Code::InvalidField, format!("{} {problem}{value}", shown(&field))).blaming(field)
    }

    /// Returns the problem of a server that is starting, with the progress of its replay.
    pub(crate) fn starting_at(replay: Replay) -> Self {
        let problem = if replay.is_reading_stream {
            Self::new(
                Code::Starting,
                "the server reads the stream, or waits until it can be reached; try again soon",
            )
        } else {
            Self::usual(Code::Starting)
        };
        Self { replay: Some(replay), ..problem }
    }

    /// Returns the refusal of a request that can be repeated after this time, and not before.
    pub(crate) fn rate_limited(detail: impl Into<String>, retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self { retry_after_s: Some(seconds.max(1)), ..Self::new(Code::RateLimited, detail) }
    }

    /// Names the field, header or parameter at fault.
    pub(crate) fn blaming(self, field: impl Into<String>) -> Self {
        let field = field.into();
        Self { field: Some(field.chars().take(SHOWN_CHARS_MAX).collect()), ..self }
    }

    /// Names the field within an item of a list.
    pub(super) fn of_item(self, list: &str, index: usize) -> Self {
        let field = self.field.as_deref().unwrap_or_default();
        let field = format!("{list}[{index}].{field}");
        self.blaming(field)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    fn body(&self) -> ProblemBody<'_> {
        let Kind { status, name, title, .. } = self.code.kind();
        ProblemBody {
            r#type: format!("urn:chinwag:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code: name,
            field: self.field.as_deref(),
            request_id: current_request_id(),
            replayed: self.replay.map(|replay| replay.replayed),
            replayed_bytes: self.replay.map(|replay| replay.replayed_bytes),
            total_bytes: self.replay.map(|replay| replay.total_bytes),
        }
    }

    /// Returns the body for a request with this id, for the API's document.
    pub(crate) fn example(&self, request_id: &str) -> serde_json::Value {
        let body = ProblemBody { request_id: Some(request_id.to_owned()), ..self.body() };
        serde_json::to_value(body).expect("a problem is strings and numbers")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.kind().status;
        let mut response = (status, to_json(&self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="chinwag""#));
        }
        response
    }
}

/// Returns a JSON value, cut to a length that an answer can bear; a string is cut between its quotes.
fn shown_json(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(text) => format!("\"{}\"", shown(text)),
        None => shown(value),
    }
}

/// Returns a client's own text, cut to a length that an answer can bear.
pub(crate) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &value[..cut]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_to_64_characters() {
        assert_eq!(shown(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(shown(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
        assert_eq!(shown_json(&format!("\"{}\"", "é".repeat(64))), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(shown_json(&"9".repeat(65)), format!("{}…", "9".repeat(64)));
    }
}
