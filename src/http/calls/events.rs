//! `/events`: what a user sees, as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::users;
use crate::engine::{FollowError, Follower};
use crate::http::answer::codes::Code;
use crate::http::answer::event_cache::EventCache;
use crate::http::answer::problem::Problem;
use crate::http::answer::{Endless, events};
use crate::http::app::{App, Ready};
use crate::http::headers::LAST_EVENT_ID;
use crate::http::openapi::refusals;
use crate::http::request::follow::Follow;

/// Returns the calls of this file.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Time after which a comment is sent if nothing else was.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// An example of a stream, for the API's document.
const EXAMPLE: &str = "retry: 1000\n\nid: 6\nevent: message\ndata: {\"id\":\"01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02\",\
                       \"chat\":\"01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5\",\
                       \"author\":\"01a20aa4-0a09-74de-9d72-3ca94e1ae31f\",\"text\":\"Milk?\",\
                       \"created_at\":\"2026-11-23T15:04:06.234567Z\",\"seq\":3}\n\n";

/// Follows all that a user sees, from any point of the log and then live.
///
/// The answer is a stream of server-sent events in the order of the log, each event once; `id` is the event's position.
/// With `Last-Event-ID` or `after` the stream begins with everything after that position, however long ago, and goes on
/// live without a gap; without them, it begins now. A position beyond the log is 400.
///
/// | `event` | sent to | `data` |
/// | --- | --- | --- |
/// | `message` | all members | a `Message` |
/// | `chat` | the user who is put into a chat, at its making or later | the `Chat`, as it is now; for a user who has left it since, without members and messages |
/// | `member` | the other members, when a user joins | a `MemberEvent` |
/// | `member_removed` | all members, and the user who is removed | a `MemberEvent` |
/// | `read` | all members | a `ReadEvent` |
///
/// A comment every 15 s keeps the stream open. A client that reads nothing for 30 s is disconnected, and resumes from
/// its last `id`. When the server stops, streams are closed.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(Follow),
    responses(
        (
            status = OK,
            description = "The events. The stream has no end.",
            body = String,
            content_type = "text/event-stream",
            example = json!(EXAMPLE),
        ),
        refusals::OfEvents,
        refusals::NoSuchUser,
    )
)]
async fn get(
    Ready(engine): Ready,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Follow { user, after }: Follow,
) -> Result<Response, Problem> {
    let follower = engine.follow(user, after).map_err(|error| match error {
        FollowError::UserNotFound => users::not_found(user),
        FollowError::BeyondTheLog { last } => {
            let field = if headers.contains_key(LAST_EVENT_ID) { LAST_EVENT_ID } else { "after" };
            let what = format!("must not be beyond the last position, {last}");
            Problem::invalid_field(field, &what, after.map(|after| after.to_string()).as_deref())
        }
        FollowError::ShuttingDown => Problem::new(Code::ShuttingDown, "the server is shutting down"),
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Without it, nginx holds back a short piece until it has more.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((Extension(Endless), headers, streamed(app, follower)).into_response())
}

fn streamed(app: Arc<App>, follower: Follower) -> Body {
    let opening = stream::iter([events::OPENING]);
    let events = stream::unfold((app, follower), async |(app, mut follower)| {
        let piece = match timeout(HEARTBEAT_INTERVAL, follower.wait()).await {
            Ok(true) => piece(&app.event_cache, &mut follower),
            Ok(false) => return None,
            Err(_) => events::HEARTBEAT,
        };
        Some((piece, (app, follower)))
    });
    Body::from_stream(opening.chain(events).map(Ok::<_, Infallible>))
}

/// Returns the next events. The bytes of a single event are shared with the other streams that send it.
fn piece(cache: &EventCache, follower: &mut Follower) -> Bytes {
    let mut events: Vec<_> = follower.take().iter().map(|event| events::render(cache, event)).collect();
    if events.len() == 1 { events.remove(0) } else { events.concat().into() }
}
