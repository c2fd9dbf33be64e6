//! `/users/…`

use axum::response::Response;
use serde::Serialize;

use super::Ready;
use super::fields::{Fields, Object};
use super::json::{self, Json};
use super::problem::{Code, Problem, shown};
use super::write::{Write, submit};
use crate::domain::{Command, Timestamp, UserId, Username};

pub(super) struct AddUser {
    username: Username,
}

impl Fields for AddUser {
    const NAMES: &'static [&'static str] = &["username"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { username: object.required("username")? })
    }
}

pub(super) async fn add(ready: Ready, Write { fields, key }: Write<AddUser>) -> Result<Response, Problem> {
    submit(ready, Command::AddUser { username: fields.username }, key).await
}

/// A user is asked for by id or by name.
pub(super) enum GetUser {
    ById(UserId),
    ByName(Username),
}

impl Fields for GetUser {
    const NAMES: &'static [&'static str] = &["user", "username"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        match (object.optional("user")?, object.optional("username")?) {
            (Some(id), None) => Ok(Self::ById(id)),
            (None, Some(name)) => Ok(Self::ByName(name)),
            (None, None) => Err(Problem::invalid_field("user", "or username must be given", None)),
            (Some(_), Some(_)) => {
                Err(Problem::invalid_field("username", "and user cannot be given together", None))
            }
        }
    }
}

#[derive(Serialize)]
struct UserBody<'a> {
    id: UserId,
    username: &'a str,
    created_at: Timestamp,
}

pub(super) async fn get(Ready(engine): Ready, Json(request): Json<GetUser>) -> Result<Response, Problem> {
    let found = engine.read(|model| {
        let user = match &request {
            GetUser::ById(id) => model.user(*id),
            GetUser::ByName(name) => model.user_named(name),
        };
        user.map(|user| model.user_view(user))
    });
    let user = found.ok_or_else(|| match &request {
        GetUser::ById(id) => not_found(*id),
        GetUser::ByName(name) => {
            let detail = format!("no user is named {}", shown(name));
            Problem::new(Code::UserNotFound, detail).blaming("username")
        }
    })?;
    Ok(json::answer(&UserBody { id: user.id, username: &user.username, created_at: user.created_at }))
}

/// The refusal of a read that names no user.
pub(super) fn not_found(user: UserId) -> Problem {
    Problem::new(Code::UserNotFound, format!("there is no user {user}")).blaming("user")
}
