//! `/events`: what a user sees, as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::table::{Call, call};
use super::users;
use crate::access::Scope;
use crate::domain::{Facts, Position, Refusal, Timestamp, UserField, UserId};
use crate::engine::{Begin, Engine, FeedEvent, FollowError, Follower};
use crate::http::admission::{Caller, KeyNeed, Rule, Session, UserStream};
use crate::http::answer;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::answer::{Endless, events};
use crate::http::app::{App, Ready};
use crate::http::openapi::refusals;
use crate::http::request::body::Read;
use crate::http::request::follow::Follow;
use crate::http::request::request;
use crate::http::request::value::ActingUser;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    let scopes = &[Scope::Read, Scope::Events];
    vec![call!(Rule::users(KeyNeed::Reads, scopes, &[Code::TokenTooBroad, Code::NotYourself]), get)]
}

/// Returns the calls of this file that are there only where calls need credentials.
pub(crate) fn calls_with_credentials() -> Vec<Call> {
    vec![call!(Rule::users(KeyNeed::Reads, &[Scope::Read], &[Code::NotYourself]), token)]
}

/// Time after which a comment is sent if nothing else was sent.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Time for which a stream waits until this server has the place at which it begins. It is open meanwhile, because a
/// browser's `EventSource` gives up after any other answer.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(30);

/// Follows everything that a user sees, from any position of the log and then live.
#[utoipa::path(
    get,
    path = "/events",
    description = events::DESCRIPTION,
    tag = "events",
    params(Follow),
    responses(
        (
            status = OK,
            description = "The events. The stream has no end.",
            body = String,
            content_type = "text/event-stream",
            example = json!(events::EXAMPLE),
        ),
        refusals::OfEvents,
        refusals::NoSuchUser,
        refusals::UserErased,
    )
)]
async fn get(
    Ready { engine, caller }: Ready,
    State(app): State<Arc<App>>,
    request: Result<Follow, Problem>,
) -> Result<Response, Problem> {
    // Limits come before the form of a request.
    let slot = caller.user().map(|user| user.keyed.count_stream(&engine, user)).transpose()?;
    let Follow { user, begin, begin_field, min_position } = request?;
    if let Some(min_position) = min_position {
        min_position.reached(&app, &engine, &caller).await?;
    }
    let whose = match (&caller, user) {
        (Caller::Server(_), None) => None,
        (Caller::Anyone | Caller::User(_), _) | (Caller::Server(_), Some(_)) => {
            Some(caller.acting_for(user, "user")?)
        }
    };
    let feed = match (follow(&engine, whose, begin), begin.position()) {
        (Ok(follower), _) => Feed::Begun(follower),
        (Err(FollowError::BeyondTheLog { .. }), Some(position)) if engine.stream().is_some() => {
            let deadline = Instant::now() + BEGIN_TIME_MAX;
            Feed::Awaited(Awaited { whose, begin, position, deadline })
        }
        (Err(FollowError::UserNotFound), _) => {
            return Err(users::not_found(whose.expect("it was looked for")));
        }
        (Err(FollowError::UserErased), _) => {
            let user = whose.expect("it was looked for");
            return Err(Refusal::UserErased { user, field: UserField::User }.into());
        }
        (Err(FollowError::BeyondTheLog { last }), after) => {
            let what = format!("must not be beyond the last position, {last}");
            let after = after.map(|after| after.to_string());
            return Err(Problem::invalid_field(begin_field, &what, after.as_deref()));
        }
        (Err(FollowError::ShuttingDown), _) => {
            return Err(Problem::new(Code::ShuttingDown, "the server is shutting down"));
        }
    };
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = format!("{} streams are open, and more are not allowed", app.limits.streams_max);
        Problem::new(Code::Overloaded, detail)
    })?;
    let session = caller.session().copied();
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // no-transform: a proxy that compresses holds events back until it has enough of them.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // Without this header, nginx holds back a short piece until it has more.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((
        Extension(Endless),
        headers,
        streamed(Stream { app, engine, feed, session, _slot: slot, _permit: permit }),
    )
        .into_response())
}

/// Follows what this user sees, or everything.
fn follow(engine: &Engine, whose: Option<UserId>, begin: Begin) -> Result<Follower, FollowError> {
    match whose {
        Some(user) => engine.follow(user, begin),
        None => engine.follow_all(begin),
    }
}

/// What a stream sends.
enum Feed {
    Begun(Follower),
    /// Other servers have the place at which it begins, and this one may get it.
    Awaited(Awaited),
}

/// A feed that has not begun.
struct Awaited {
    whose: Option<UserId>,
    begin: Begin,
    /// The position at which it can begin.
    position: Position,
    deadline: Instant,
}

impl Feed {
    /// Returns what is sent at once.
    fn opening(&self) -> Bytes {
        match self {
            Self::Begun(follower) => events::opening(follower),
            Self::Awaited(_) => events::HEARTBEAT,
        }
    }

    /// Waits for the next part. Returns `None` at the end of the feed.
    async fn next(&mut self, engine: &Engine) -> Option<Part> {
        match self {
            Self::Begun(follower) => follower.wait().await.then(|| Part::Events(follower.take())),
            Self::Awaited(awaited) => {
                let follower = awaited.begin(engine).await?;
                let opening = events::opening(&follower);
                *self = Self::Begun(follower);
                Some(Part::Bytes(opening))
            }
        }
    }
}

/// A part of a stream.
enum Part {
    Events(Vec<FeedEvent>),
    Bytes(Bytes),
}

impl Awaited {
    /// Waits until the feed can begin. Returns `None` if it cannot: a client that resumes learns why.
    async fn begin(&self, engine: &Engine) -> Option<Follower> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let is_reached = engine.reached(self.position, left).await;
        if is_reached { follow(engine, self.whose, self.begin).ok() } else { None }
    }
}

/// A stream that is being sent.
struct Stream {
    app: Arc<App>,
    engine: Arc<Engine>,
    feed: Feed,
    /// The session of the credentials that opened it, if calls need any.
    session: Option<Session>,
    _slot: Option<UserStream>,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// Waits until the credentials that opened the stream are no longer good.
    async fn over(app: &App, engine: &Engine, session: Option<&Session>) {
        match (app.keyed(), session) {
            (Some(keyed), Some(session)) => keyed.over(session, engine).await,
            _ => std::future::pending().await,
        }
    }

    /// Waits for the next part of the stream. Returns `None` at its end.
    async fn next(&mut self) -> Option<impl futures_util::Stream<Item = Bytes> + use<>> {
        let Self { app, engine, feed, session, .. } = self;
        let waited = tokio::select! {
            biased;
            () = Self::over(app, engine, session.as_ref()) => return None,
            waited = timeout(HEARTBEAT_INTERVAL, feed.next(engine)) => waited,
        };
        Some(match waited.unwrap_or(Some(Part::Bytes(events::HEARTBEAT)))? {
            Part::Events(events) => stream::iter(events::render(&app.event_cache, events)).left_stream(),
            Part::Bytes(bytes) => stream::iter([bytes]).right_stream(),
        })
    }
}

fn streamed(stream: Stream) -> Body {
    let opening = stream::iter([stream.feed.opening()]);
    let events = stream::unfold(stream, async |mut stream| Some((stream.next().await?, stream)));
    Body::from_stream(opening.chain(events.flatten()).map(Ok::<_, Infallible>))
}

request! {
    /// A user whose events a browser will follow.
    pub(crate) struct NewEventsToken {
        user: ActingUser,
    }
}

/// A token for a stream's URL.
#[derive(Serialize, ToSchema)]
#[schema(as = EventsToken)]
struct EventsTokenBody {
    /// Good in the parameter `token` of `/events`, and nowhere else.
    #[schema(examples("cwe_AQAZ"))]
    token: String,
    expires_at: Timestamp,
}

/// Creates a token for the URL of a stream.
///
/// A browser's `EventSource` sends no header, so its credentials stand in the URL, which is often logged. This token
/// lets its bearer follow one user's events and do nothing else. It is good for an hour at most, and no longer than the
/// token that it was created with.
#[utoipa::path(
    post,
    path = "/events/token",
    tag = "events",
    request_body(content = NewEventsToken, example = json!({})),
    responses(
        (
            status = CREATED,
            description = "The token.",
            body = EventsTokenBody,
            example = json!({ "token": "cwe_AQAZ", "expires_at": "2026-11-23T16:04:05.123456Z" }),
        ),
        refusals::OfCall,
        refusals::NoSuchUser,
        refusals::UserErased,
    )
)]
async fn token(
    State(app): State<Arc<App>>,
    Read { engine, caller, request: NewEventsToken { user } }: Read<NewEventsToken>,
) -> Result<Response, Problem> {
    let user = user.of(&caller, "user")?;
    let keyed = app.keyed().expect("the call is there only where calls need credentials");
    let (position, index) = engine.read(|model| (model.position(), model.user(user)));
    let index = index.ok_or_else(|| users::not_found(user))?;
    if engine.read(|model| model.is_erased(user)) {
        return Err(Refusal::UserErased { user, field: UserField::User }.into());
    }
    let (token, expires_at) = keyed.events_token(&engine, &caller, user, index)?;
    let body = answer::json(&EventsTokenBody { token, expires_at });
    Ok(answer::at(position, (StatusCode::CREATED, body).into_response()))
}
