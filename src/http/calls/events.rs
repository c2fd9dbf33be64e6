//! `/events`: what a user sees, as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::users;
use crate::engine::{Begin, FollowError, Follower};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::answer::{Endless, events};
use crate::http::app::{App, Ready};
use crate::http::openapi::refusals;
use crate::http::request::follow::Follow;

/// Returns the calls of this file.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Time after which a comment is sent if nothing else was sent.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

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
    )
)]
async fn get(
    Ready(engine): Ready,
    State(app): State<Arc<App>>,
    Follow { user, begin, begin_field }: Follow,
) -> Result<Response, Problem> {
    let follower = engine.follow(user, begin).map_err(|error| match error {
        FollowError::UserNotFound => users::not_found(user),
        FollowError::BeyondTheLog { last } => {
            let what = format!("must not be beyond the last position, {last}");
            let after = match begin {
                Begin::After(position) => Some(position.to_string()),
                Begin::Now | Begin::Resume(_) => None,
            };
            Problem::invalid_field(begin_field, &what, after.as_deref())
        }
        FollowError::ShuttingDown => Problem::new(Code::ShuttingDown, "the server is shutting down"),
    })?;
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = format!("{} streams are open, and more are not allowed", app.limits.streams_max);
        Problem::new(Code::Overloaded, detail)
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        // no-transform: a proxy that compresses holds events back until it has enough of them.
        (header::CACHE_CONTROL, "no-store, no-transform"),
        // Without this header, nginx holds back a short piece until it has more.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((Extension(Endless), headers, streamed(app, follower, permit)).into_response())
}

fn streamed(app: Arc<App>, follower: Follower, permit: OwnedSemaphorePermit) -> Body {
    let opening = stream::iter([events::opening(&follower)]);
    let events = stream::unfold((app, follower, permit), async |(app, mut follower, permit)| {
        let rendered = match timeout(HEARTBEAT_INTERVAL, follower.wait()).await {
            Ok(true) => stream::iter(events::render(&app.event_cache, follower.take())).left_stream(),
            Ok(false) => return None,
            Err(_) => stream::iter([events::HEARTBEAT]).right_stream(),
        };
        Some((rendered, (app, follower, permit)))
    });
    Body::from_stream(opening.chain(events.flatten()).map(Ok::<_, Infallible>))
}
