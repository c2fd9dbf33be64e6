//! `/users/…`

use axum::response::IntoResponse;
use serde::Serialize;
use uuid::Uuid;

use super::Ready;
use super::fields::{Fields, Object};
use super::json::Json;
use super::problem::Problem;
use super::write::Created;
use crate::domain::{Command, Username};

pub(super) struct AddUser {
    username: Username,
}

impl Fields for AddUser {
    const NAMES: &'static [&'static str] = &["username"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { username: object.required("username")? })
    }
}

#[derive(Serialize)]
pub(super) struct Added {
    pub(super) id: Uuid,
}

pub(super) async fn add(
    Ready(engine): Ready,
    Json(request): Json<AddUser>,
) -> Result<impl IntoResponse, Problem> {
    let receipt = engine.submit(Command::AddUser { username: request.username }).await?;
    Ok(Created { position: receipt.position, body: Added { id: receipt.id } })
}
