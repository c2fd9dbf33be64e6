//! The calls under `/users`.

use std::sync::Arc;

use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{Command, Refusal, UserField, UserId, Username};
use crate::http::answer;
use crate::http::answer::bodies::{AddedBody, UserBody};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::openapi::schema::Exclusive;
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::write::Write;

/// Returns the calls of this file.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(add)).routes(routes!(get))
}

request! {
    /// A user to create.
    pub(crate) struct AddUser {
        username: Username,
    }
}

/// Creates a user.
///
/// No two users have the same name.
#[utoipa::path(
    post,
    path = "/users/add",
    tag = "users",
    params(Key),
    request_body(content = AddUser, example = json!({ "username": "ann" })),
    responses(
        (
            status = CREATED,
            description = "The user is created.",
            body = AddedBody,
            example = json!({ "id": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43" }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NameTaken,
    )
)]
async fn add(write: Write<AddUser>) -> Result<Response, Problem> {
    write.submit(|AddUser { username }| Command::AddUser { username }).await
}

request! {
    /// A user, named either by id or by username.
    pub(crate) struct GetUser {
        user: Option<UserId>,
        username: Option<Username>,
    }
    const EXCLUSIVE: Option<Exclusive> = Some(Exclusive::ExactlyOneOf(&["user", "username"]));
}

/// Looks up a user by id or by name.
#[utoipa::path(
    post,
    path = "/users/get",
    tag = "users",
    request_body(content = GetUser, example = json!({ "username": "ann" })),
    responses(
        (
            status = OK,
            description = "The user.",
            body = UserBody,
            example = json!({
                "id": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
                "username": "ann",
                "created_at": "2026-11-23T15:04:05.123456Z",
            }),
        ),
        refusals::OfCall,
        refusals::NoSuchUser,
    )
)]
async fn get(Read { engine, request }: Read<GetUser>) -> Result<Response, Problem> {
    let GetUser { user, username } = request;
    let found = engine.read(|model| {
        let user = user.and_then(|id| model.user(id));
        let user = user.or_else(|| model.user_named(username.as_deref()?));
        user.map(|user| model.user_view(user))
    });
    match (found, user, username) {
        (Some(found), _, _) => Ok(answer::json(&UserBody::from(&found))),
        (None, Some(id), _) => Err(not_found(id)),
        (None, None, name) => {
            let detail = format!("no user is named {}", shown(&name.expect("one of the two is given")));
            Err(Problem::new(Code::UserNotFound, detail).blaming("username"))
        }
    }
}

/// Returns the refusal of a look-up whose user does not exist.
pub(super) fn not_found(user: UserId) -> Problem {
    Refusal::UserNotFound { user, field: UserField::User }.into()
}
