//! `/users/…`

use axum::response::Response;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{Fields, Object};
use super::json::{self, Json};
use super::problem::{Code, Problem, shown};
use super::write::{AddedBody, Key, Write, submit};
use super::{refusals, schema};
use crate::domain::{Command, Refusal, Timestamp, UserField, UserId, Username};

/// A user to be made.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddUser {
    username: Username,
}

impl Fields for AddUser {
    const NAMES: &'static [&'static str] = &["username"];

    fn take(object: &Object<'_>) -> Result<Self, Problem> {
        Ok(Self { username: object.required("username")? })
    }
}

/// Makes a user.
///
/// A name is taken once.
#[utoipa::path(
    post,
    path = "/users/add",
    tag = "users",
    params(Key),
    request_body = AddUser,
    responses(
        (status = CREATED, description = "The user is made.", body = AddedBody),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NameTaken,
    )
)]
pub(super) async fn add(Write { engine, fields, key }: Write<AddUser>) -> Result<Response, Problem> {
    submit(&engine, Command::AddUser { username: fields.username }, key).await
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

impl PartialSchema for GetUser {
    fn schema() -> RefOr<Schema> {
        let by_id = schema::closed()
            .title(Some("by id"))
            .property("user", schema::reference::<UserId>())
            .property("username", schema::null())
            .required("user");
        let by_name = schema::closed()
            .title(Some("by name"))
            .property("user", schema::null())
            .property("username", schema::reference::<Username>())
            .required("username");
        OneOfBuilder::new()
            .description(Some("A user is asked for by id or by name, not by both."))
            .item(by_id)
            .item(by_name)
            .into()
    }
}

impl ToSchema for GetUser {}

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserBody<'a> {
    id: UserId,
    #[schema(value_type = Username)]
    username: &'a str,
    created_at: Timestamp,
}

/// Looks a user up, by id or by name.
#[utoipa::path(
    post,
    path = "/users/get",
    tag = "users",
    request_body = GetUser,
    responses(
        (status = OK, description = "The user.", body = UserBody),
        refusals::OfCall,
        refusals::NoSuchUser,
    )
)]
pub(super) async fn get(Json { engine, fields: request }: Json<GetUser>) -> Result<Response, Problem> {
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
    Refusal::UserNotFound { user, field: UserField::User }.into()
}
