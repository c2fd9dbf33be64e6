//! `/health`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::problem::{Problem, Replay};
use super::{App, json};
use crate::domain::Position;
use crate::model::Model;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    position: Position,
}

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
