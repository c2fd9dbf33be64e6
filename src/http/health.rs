//! `/health`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, Replay};
use super::{App, json, refusals};
use crate::domain::Position;
use crate::model::Model;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(pattern = "^ready$", examples("ready"))]
    status: &'static str,
    /// That of the last event; 0 of an empty log.
    position: Position,
}

/// Tells whether the server is ready.
///
/// While it replays its log it answers 503 `starting`, with how far it is.
#[utoipa::path(
    get,
    path = "/health",
    tag = "server",
    responses((status = OK, description = "The server is ready.", body = Health), refusals::OfHealth)
)]
pub(super) async fn get(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let Ok(engine) = app.engine() else {
        return Err(Problem::starting_at(Replay {
            replayed: app.progress.events(),
            replayed_bytes: app.progress.bytes(),
            total_bytes: app.progress.bytes_total(),
        }));
    };
    Ok(json::answer(&Health { status: "ready", position: engine.read(Model::position) }))
}
