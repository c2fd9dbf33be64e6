//! `/health`: whether the server is ready.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::table::{Call, call};
use crate::domain::Position;
use crate::engine::StreamStatus;
use crate::http::admission::Rule;
use crate::http::answer;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, Replay};
use crate::http::app::App;
use crate::http::openapi::refusals;
use crate::model::Model;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![call!(Rule::Everyone, get)]
}

/// The server's state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(pattern = "^ready$", examples("ready"))]
    status: &'static str,
    /// Position of the last event, or 0 if the log is empty.
    position: Position,
    /// Whether writes are taken. It is `false` from a write that was refused with 507 until there is room for one as
    /// long, while there is no room for the longest message, and while `stream.writable` is `false`.
    #[schema(examples(true))]
    writable: bool,
    /// The log's id. A server with another log has another id.
    #[schema(examples("019bb1b4-6c1e-7cc3-8a3c-5d6c0f6f8f42"))]
    log: String,
    /// The epoch of the events that this server writes. Each start of a server has another one.
    #[schema(pattern = "^[0-9a-f]{16}$", examples("8f3c2a917b5de604"))]
    epoch: String,
    /// Seconds by which the clock is behind the log's last event, rounded up; absent below one second.
    /// Until the clock has caught up, new events are dated one microsecond apart, after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false, minimum = 1, examples(86_400))]
    clock_behind_s: Option<u64>,
    /// The state of the stream that the log is on, if several servers share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = StreamHealth, required = false)]
    stream: Option<StreamHealth>,
}

/// The state of a stream that several servers share, as this server sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamHealth {
    /// Whether the stream takes writes, as far as this server knows. It is `false` from a write that the stream did not
    /// take until it takes one, or until its leader is heard again; and while this server's clock is too far ahead of
    /// that leader's to write.
    #[schema(examples(true))]
    writable: bool,
    /// Milliseconds for which this server may lack what others have written.
    #[schema(examples(320))]
    stale_ms: u64,
    /// Sequence of the last message of the stream that this server knows.
    #[schema(examples(10))]
    sequence: u64,
    /// Whether the stream is copied to this server's disk. It is `false` from a full disk until the next start.
    #[schema(examples(true))]
    copy: bool,
}

impl StreamHealth {
    fn new(status: &StreamStatus) -> Self {
        Self {
            writable: status.is_writable(),
            stale_ms: u64::try_from(status.stale().as_millis()).unwrap_or(u64::MAX),
            sequence: status.sequence(),
            copy: status.is_copying(),
        }
    }
}

const MAX_STALE_MS: &str = "max_stale_ms";

/// Returns the parameter of a query, in milliseconds. Other parameters are ignored.
fn max_stale_ms(query: &str) -> Result<Option<u64>, Problem> {
    let values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == MAX_STALE_MS);
    let mut values = values.map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            // The document's numbers have 63 bits.
            let ms = if digits { value.parse::<i64>().ok() } else { None };
            ms.map(|ms| Some(ms.unsigned_abs())).ok_or_else(|| {
                Problem::invalid_field(MAX_STALE_MS, "must be a number of milliseconds", Some(&value))
            })
        }
        (Some(_), Some(_)) => Err(Problem::invalid_field(MAX_STALE_MS, "is given twice", None)),
    }
}

/// Answers whether the server is ready.
///
/// While it replays its log, the answer is 503 `starting` with the progress of the replay. A server whose
/// disk is full is ready, because it answers reads, and says `"writable":false`. Where several servers share a log, a
/// server that may lack more of it than `max_stale_ms` allows answers 503 `behind`.
#[utoipa::path(
    get,
    path = "/health",
    tag = "server",
    params((
        "max_stale_ms" = Option<u64>, Query,
        description = "Maximum time for which the server may lack what other servers have written, in milliseconds. A \
                       server with a log of its own lacks nothing.",
    )),
    responses((
            status = OK,
            description = "The server is ready.",
            body = Health,
            example = json!({
                "status": "ready", "position": 9, "writable": true,
                "log": "019bb1b4-6c1e-7cc3-8a3c-5d6c0f6f8f42", "epoch": "8f3c2a917b5de604",
            }),
        ), refusals::OfHealth)
)]
async fn get(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Problem> {
    let Ok(engine) = app.engine() else {
        return Err(Problem::starting_at(Replay {
            replayed: app.progress.events(),
            replayed_bytes: app.progress.bytes(),
            total_bytes: app.progress.bytes_total(),
            is_reading_stream: app.progress.is_reading_stream(),
        }));
    };
    let max_stale_ms = max_stale_ms(uri.query().unwrap_or_default())?;
    let stream = engine.stream().map(StreamHealth::new);
    if let (Some(StreamHealth { stale_ms, .. }), Some(max)) = (&stream, max_stale_ms)
        && *stale_ms > max
    {
        let detail = format!("this server may lack the last {stale_ms} ms of the log, and {max} are allowed");
        return Err(Problem::new(Code::Behind, detail));
    }
    let (log, epoch) = (engine.log_id().to_string(), engine.epoch().to_string());
    let (position, clock_behind_s) = (engine.read(Model::position), engine.clock_behind_s());
    let writable = engine.is_writable();
    Ok(answer::json(&Health { status: "ready", position, writable, log, epoch, clock_behind_s, stream }))
}
