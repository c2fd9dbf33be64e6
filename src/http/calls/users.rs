//! The calls under `/users`.

use std::sync::Arc;

use axum::response::Response;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};

use super::table::{Call, call};
use crate::access::{Scope, TOKEN_AHEAD_S_MAX};
use crate::domain::{Command, Metadata, Refusal, Timestamp, UserField, UserId, Username};
use crate::engine::Engine;
use crate::http::admission::{Caller, KeyNeed, Rule};
use crate::http::answer;
use crate::http::answer::bodies::{AddedBody, ListedUserBody, TokensFromBody, UserBody};
use crate::http::answer::codes::Code;
use crate::http::answer::list::{self, Pieces};
use crate::http::answer::problem::{Problem, shown};
use crate::http::cursor::{Cursor, UserCursor};
use crate::http::limits::FOUND_LIMIT_DEFAULT;
use crate::http::openapi::headers::Key;
use crate::http::openapi::refusals;
use crate::http::openapi::schema::{self, Exclusive};
use crate::http::request::body::Read;
use crate::http::request::request;
use crate::http::request::value::{ActingUser, FoundLimit, Limit, NamePrefix, UserIds, foreign_cursor};
use crate::http::request::write::Write;
use crate::model::Model;
use crate::system_clock;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![
        call!(Rule::servers(KeyNeed::All), add),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotYourself]), get),
        call!(Rule::servers(KeyNeed::Reads), list),
        call!(Rule::users(KeyNeed::Reads, &[Scope::Chats], &[]), find),
        call!(Rule::users(KeyNeed::All, &[Scope::Write], &[Code::NotYourself]), edit),
    ]
}

/// Returns the calls of this file that are there only where calls need credentials.
pub(crate) fn calls_with_credentials() -> Vec<Call> {
    vec![call!(Rule::servers(KeyNeed::All), revoke_tokens)]
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
    write.submit(|AddUser { username }, _| Ok(Command::AddUser { username })).await
}

request! {
    /// A user, named either by id or by username; or several users, named by their ids.
    pub(crate) struct GetUser {
        user: Option<UserId>,
        username: Option<Username>,
        users: Option<UserIds>,
    }
    const EXCLUSIVE: Option<Exclusive> = Some(Exclusive::ExactlyOneOf(&["user", "username", "users"]));
}

/// The answer to a look-up: a user, or the users if the request names them in `users`.
struct UserOrUsers;

impl utoipa::PartialSchema for UserOrUsers {
    fn schema() -> RefOr<Schema> {
        let (user, found) = (schema::reference::<UserBody<'_>>(), schema::reference::<FoundUser>());
        OneOfBuilder::new().item(user).item(ArrayBuilder::new().items(found)).into()
    }
}

impl ToSchema for UserOrUsers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((FoundUser::name().into_owned(), <FoundUser as utoipa::PartialSchema>::schema()));
    }
}

/// A user among several that are answered together. It is written as any user, under a name of its own: a generator of
/// clients makes code that does not compile from an answer that is a user or an array of the same.
struct FoundUser;

impl utoipa::PartialSchema for FoundUser {
    fn schema() -> RefOr<Schema> {
        <UserBody<'_> as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for FoundUser {}

/// Looks up a user by id or by name, or up to 1,000 users by their ids.
///
/// Several users are answered in the order in which they are asked for. An id without a user is left out.
#[utoipa::path(
    post,
    path = "/users/get",
    tag = "users",
    request_body(content = GetUser, example = json!({ "username": "ann" })),
    responses(
        (
            status = OK,
            description = "The user. If the request has `users`: an array of users.",
            body = inline(UserOrUsers),
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
async fn get(Read { engine, caller, request }: Read<GetUser>) -> Result<Response, Problem> {
    let GetUser { user, username, users } = request;
    if let Some(name) = &username {
        check_own_name(&engine, &caller, name)?;
    }
    if let Some(UserIds(ids)) = users {
        let position = engine.read(Model::position);
        return Ok(list::respond(position, LookedUpUsers { engine, ids: ids.into_iter() }));
    }
    let (position, found) = engine.read(|model| {
        let user = user.and_then(|id| model.user(id));
        let user = user.or_else(|| model.user_named(username.as_deref()?));
        (model.position(), user.map(|user| model.user_view(user)))
    });
    match (found, user, username) {
        (Some(found), _, _) => Ok(answer::at(position, answer::json(&UserBody::from(&found)))),
        (None, Some(id), _) => Err(not_found(id)),
        (None, None, name) => {
            let detail = format!("no user is named {}", shown(&name.expect("one of the two is given")));
            Err(Problem::new(Code::UserNotFound, detail).blaming("username"))
        }
    }
}

/// Refuses a user's look-up of another user by name: with that, names could be guessed.
fn check_own_name(engine: &Engine, caller: &Caller, name: &str) -> Result<(), Problem> {
    let Some(user) = caller.user() else { return Ok(()) };
    let own = engine.read(|model| model.user_view(user.index)).username;
    if own.as_deref() == Some(name) {
        return Ok(());
    }
    Err(user.not_yourself(&format!("does not look up the name {}", shown(name)), "username"))
}

/// Maximum users that are copied under one hold of the lock.
const VIEWS_MAX: usize = 256;

/// The users with these ids, read from the model a few at a time.
struct LookedUpUsers {
    engine: Arc<Engine>,
    ids: std::vec::IntoIter<UserId>,
}

impl Pieces for LookedUpUsers {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        let mut found = Vec::new();
        // A piece without a user would be the end of the list.
        while found.is_empty() && self.ids.len() > 0 {
            self.engine.read(|model| {
                let ids = self.ids.by_ref().take(VIEWS_MAX);
                found.extend(ids.filter_map(|id| model.user(id)).map(|user| model.user_view(user)));
            });
        }
        for user in &found {
            list::push(out, &UserBody::from(user));
        }
    }
}

request! {
    /// A request for the users, or for a page of them.
    pub(crate) struct ListUsers {
        limit: Option<Limit>,
        /// The list continues after the user that had this cursor.
        cursor: Option<UserCursor>,
    }
}

/// Lists all users in the order in which they were added.
#[utoipa::path(
    post,
    path = "/users/list",
    tag = "users",
    request_body(content = ListUsers, example = json!({ "limit": 50 })),
    responses(
        (
            status = OK,
            description = "The users; `[]` if there are none.",
            body = [ListedUserBody],
            example = json!([
                {
                    "id": "01a20aa4-0a09-74de-9d72-3ca94e1ae31f",
                    "username": "bob",
                    "created_at": "2026-11-23T15:04:04.623411Z",
                    "cursor": "000660889b3568737a0c15e4",
                },
                {
                    "id": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
                    "username": "ann",
                    "created_at": "2026-11-23T15:04:05.123456Z",
                    "cursor": "000660889b3d0ac0ee6e8a2f",
                },
            ]),
        ),
        refusals::OfCall,
    )
)]
async fn list(
    Read { engine, request: ListUsers { limit, cursor }, .. }: Read<ListUsers>,
) -> Result<Response, Problem> {
    let after = cursor.map(|Cursor(added)| added);
    let position = engine.read(|model| match after {
        Some(after) if after > model.index().time() => Err(foreign_cursor(&Cursor(after).to_string())),
        Some(_) | None => Ok(model.position()),
    })?;
    let left = limit.map_or(usize::MAX, |Limit(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(list::respond(position, ListedUsers { engine, after, left }))
}

/// The users who were added after a time, or all, read from the model a few at a time.
struct ListedUsers {
    engine: Arc<Engine>,
    after: Option<Timestamp>,
    /// Maximum number of further users.
    left: usize,
}

impl Pieces for ListedUsers {
    fn next_piece(&mut self, out: &mut Vec<u8>) {
        let users = self.engine.read(|model| model.users_added_after(self.after, self.left.min(VIEWS_MAX)));
        for user in &users {
            list::push(out, &ListedUserBody::from(user));
            self.after = Some(user.created_at);
        }
        self.left -= users.len();
    }
}

request! {
    /// The beginning of the names of users to find.
    pub(crate) struct FindUsers {
        prefix: NamePrefix,
        limit: Option<FoundLimit>,
    }
}

/// Finds users by the beginning of their names.
///
/// Case does not count, neither in what is found nor in its order: `an` finds `Ann`, `anna` and `ANTON`.
#[utoipa::path(
    post,
    path = "/users/find",
    tag = "users",
    request_body(content = FindUsers, example = json!({ "prefix": "an", "limit": 10 })),
    responses(
        (
            status = OK,
            description = "The users, in the order of their names; `[]` if there are none.",
            body = [FoundUser],
            example = json!([
                {
                    "id": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
                    "username": "ann",
                    "created_at": "2026-11-23T15:04:05.123456Z",
                },
            ]),
        ),
        refusals::OfCall,
    )
)]
async fn find(Read { engine, request, .. }: Read<FindUsers>) -> Result<Response, Problem> {
    let FindUsers { prefix: NamePrefix(prefix), limit } = request;
    let FoundLimit(limit) = limit.unwrap_or(FoundLimit(FOUND_LIMIT_DEFAULT));
    let limit = usize::try_from(limit).expect("at most 100");
    let (position, found) =
        engine.read(|model| (model.position(), model.users_beginning_with(&prefix, limit)));
    let found: Vec<_> = found.iter().map(UserBody::from).collect();
    Ok(answer::at(position, answer::json(&found)))
}

request! {
    /// What is to change of a user.
    pub(crate) struct EditUser {
        user: ActingUser,
        /// The new name. A user's token cannot change it.
        username: Option<Username>,
        /// The new metadata, which replaces the old.
        metadata: Option<Metadata>,
    }
    const EXCLUSIVE: Option<Exclusive> = Some(Exclusive::AtLeastOneOf(&["username", "metadata"]));
}

/// Edits a user.
#[utoipa::path(
    post,
    path = "/users/edit",
    tag = "users",
    params(Key),
    request_body(content = EditUser, example = json!({
        "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43",
        "metadata": { "order": 4711 },
    })),
    responses(
        (status = NO_CONTENT, description = "The user has this name and metadata."),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
        refusals::NameTakenOrUserErased,
    )
)]
async fn edit(write: Write<EditUser>) -> Result<Response, Problem> {
    let command = |EditUser { user, username, metadata }, caller: &Caller| {
        if let (Some(user), Some(_)) = (caller.user(), &username) {
            return Err(user.not_yourself("does not change names", "username"));
        }
        Ok(Command::EditUser { user: user.of(caller, "user")?, username, metadata })
    };
    write.submit(command).await
}

request! {
    /// A user whose tokens are revoked.
    pub(crate) struct RevokeTokens {
        user: UserId,
    }
}

/// Revokes a user's tokens.
///
/// All tokens that were issued before `tokens_from` are refused from now on, and the streams that they opened end
/// within a second. The time is 11 to 12 s ahead, so that a token of a clock that is fast is also revoked. A token whose
/// `iat` is `tokens_from` is good at once.
#[utoipa::path(
    post,
    path = "/users/tokens/revoke",
    tag = "users",
    params(Key),
    request_body(content = RevokeTokens, example = json!({ "user": "01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43" })),
    responses(
        (
            status = OK,
            description = "The tokens are revoked.",
            body = TokensFromBody,
            example = json!({ "tokens_from": 1_795_446_256 }),
        ),
        refusals::OfCall,
        refusals::OfWrite,
        refusals::NoSuchUser,
    )
)]
async fn revoke_tokens(write: Write<RevokeTokens>) -> Result<Response, Problem> {
    // The first second that no token of this moment can have been issued in.
    let from = system_clock::now().as_micros() / 1_000_000 + TOKEN_AHEAD_S_MAX + 1;
    write.submit(|RevokeTokens { user }, _| Ok(Command::RevokeTokens { user, from })).await
}

/// Returns the refusal of a look-up whose user does not exist.
pub(super) fn not_found(user: UserId) -> Problem {
    Refusal::UserNotFound { user, field: UserField::User }.into()
}
