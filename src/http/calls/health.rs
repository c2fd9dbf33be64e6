//! `/health`: whether the server is ready.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::table::Calls;
use crate::domain::Position;
use crate::http::admission::Rule;
use crate::http::answer;
use crate::http::answer::problem::{Problem, Replay};
use crate::http::app::App;
use crate::http::openapi::refusals;
use crate::model::Model;

/// Returns the calls of this file.
pub(crate) fn calls() -> Calls {
    Calls::none().call(Rule::Everyone, routes!(get))
}

/// The server's state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(pattern = "^ready$", examples("ready"))]
    status: &'static str,
    /// Position of the last event, or 0 if the log is empty.
    position: Position,
    /// Whether the disk has room for writes. It is `false` from a write that was refused with 507 until there
    /// is room for one as long, and while there is no room for the longest message.
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
}

/// Answers whether the server is ready.
///
/// While it replays its log, the answer is 503 `starting` with the progress of the replay. A server whose
/// disk is full is ready, because it answers reads, and says `"writable":false`.
#[utoipa::path(
    get,
    path = "/health",
    tag = "server",
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
async fn get(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let Ok(engine) = app.engine() else {
        return Err(Problem::starting_at(Replay {
            replayed: app.progress.events(),
            replayed_bytes: app.progress.bytes(),
            total_bytes: app.progress.bytes_total(),
        }));
    };
    let (log, epoch) = (engine.log_id().to_string(), engine.epoch().to_string());
    let (position, clock_behind_s) = (engine.read(Model::position), engine.clock_behind_s());
    let writable = engine.is_writable();
    Ok(answer::json(&Health { status: "ready", position, writable, log, epoch, clock_behind_s }))
}
