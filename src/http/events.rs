//! `/events`: server-sent events (WHATWG HTML, "Server-sent events").

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use super::chats::ChatBody;
use super::messages::MessageBody;
use super::problem::{Code, Problem};
use super::rendered::Rendered;
use super::watched::Endless;
use super::{App, Ready, refusals, schema, users};
use crate::domain::{ChatId, Position, Seq, UserId};
use crate::engine::{FeedEvent, FeedEventKind, FollowError, Follower};

/// Where a client that has been cut off goes on. It wins over `after`.
pub(super) const LAST_EVENT_ID: &str = "Last-Event-ID";
/// Something is sent at least so often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A client that was cut off comes back after so many milliseconds.
const OPENING: &str = "retry: 1000\n\n";
/// What a stream may look like, for the document.
const EXAMPLE: &str = "retry: 1000\n\nid: 6\nevent: message\ndata: {\"id\":\"01a20aa4-0a3f-70c2-b3b5-10f6a3a5cb02\",\
                       \"chat\":\"01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5\",\
                       \"author\":\"01a20aa4-0a09-74de-9d72-3ca94e1ae31f\",\"text\":\"Milk?\",\
                       \"created_at\":\"2026-11-23T15:04:06.234567Z\",\"seq\":3}\n\n";

/// What to follow.
#[derive(Debug, PartialEq)]
pub(super) struct Follow {
    user: UserId,
    after: Option<Position>,
}

impl<S: Sync> FromRequestParts<S> for Follow {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Follow { user, after } = from_query(parts.uri.query().unwrap_or_default())?;
        Ok(Self { user, after: last_event_id(&parts.headers)?.or(after) })
    }
}

fn from_query(query: &str) -> Result<Follow, Problem> {
    let (mut user, mut after) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = match &*name {
            "user" => &mut user,
            "after" => &mut after,
            _ => return Err(Problem::invalid_field(name, "is no parameter of this call", None)),
        };
        if known.replace(value).is_some() {
            return Err(Problem::invalid_field(name, "is given twice", None));
        }
    }
    let Some(user) = user else { return Err(Problem::invalid_field("user", "is missing", None)) };
    let user = user
        .parse()
        .map_err(|_| Problem::invalid_field("user", "must be a UUID in the hyphenated form", Some(&user)))?;
    Ok(Follow { user, after: after.map(|after| position("after", &after)).transpose()? })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let mut ids = headers.get_all(LAST_EVENT_ID).iter();
    match (ids.next(), ids.next()) {
        (None, _) => Ok(None),
        (Some(id), None) => position(LAST_EVENT_ID, &String::from_utf8_lossy(id.as_bytes())).map(Some),
        (Some(_), Some(_)) => Err(Problem::invalid_field(LAST_EVENT_ID, "is given twice", None)),
    }
}

fn position(name: &str, value: &str) -> Result<Position, Problem> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.map(Position).ok_or_else(|| {
        Problem::invalid_field(name, "must be a position in the log, a whole number", Some(value))
    })
}

impl IntoParams for Follow {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name, parameter_in, required, schema, description| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(parameter_in)
                .required(required)
                .schema(Some(schema))
                .description(Some(description))
                .build()
        };
        let position = schema::reference::<Position>;
        let (user, after) = (schema::reference::<UserId>(), "Begin with everything after this position.");
        let last = "Begin with everything after this position. A browser's `EventSource` sends it by itself; it wins \
                    over `after`.";
        vec![
            parameter("user", ParameterIn::Query, Required::True, user, "Whose events."),
            parameter("after", ParameterIn::Query, Required::False, position(), after),
            parameter(LAST_EVENT_ID, ParameterIn::Header, Required::False, position(), last),
        ]
    }
}

/// Follows all that a user sees, from any point of the log and then live.
///
/// A stream of server-sent events, in the order of the log, each once; `id` is its position. With `Last-Event-ID` or
/// `after` it begins with everything after that position, however long ago, and goes on live without a seam; without,
/// it begins now. A position beyond the log is 400.
///
/// | `event` | to whom | `data` |
/// | --- | --- | --- |
/// | `message` | all members | a `Message` |
/// | `chat` | who is put into a chat, at its making or later | the `Chat`, as it is now; to who has left it since, without members and messages |
/// | `member` | the others, when somebody joins | a `MemberEvent` |
/// | `member_removed` | all, the one who is removed included | a `MemberEvent` |
/// | `read` | all members | a `ReadEvent` |
///
/// A comment every 15 s keeps the stream open. Who takes nothing for 30 s is cut off, and goes on from the last `id`.
/// When the server stops, streams are closed.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(Follow),
    responses(
        (
            status = OK,
            description = "The events, without an end.",
            body = String,
            content_type = "text/event-stream",
            example = json!(EXAMPLE),
        ),
        refusals::OfEvents,
        refusals::NoSuchUser,
    )
)]
pub(super) async fn get(
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
        // Some proxies hold back what they deem too short to send.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((Extension(Endless), headers, streamed(app, follower)).into_response())
}

fn streamed(app: Arc<App>, follower: Follower) -> Body {
    let opening = stream::iter([Bytes::from_static(OPENING.as_bytes())]);
    let events = stream::unfold((app, follower), async |(app, mut follower)| {
        let piece = match timeout(HEARTBEAT, follower.wait()).await {
            Ok(true) => piece(&app.rendered, &mut follower),
            Ok(false) => return None,
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        Some((piece, (app, follower)))
    });
    Body::from_stream(opening.chain(events).map(Ok::<_, Infallible>))
}

/// The next events; a single one is shared with all others who see it.
fn piece(rendered: &Rendered, follower: &mut Follower) -> Bytes {
    let mut events: Vec<_> = follower.take().iter().map(|event| render(rendered, event)).collect();
    if events.len() == 1 { events.remove(0) } else { events.concat().into() }
}

/// A chat, and a user who has come or gone.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberEvent {
    chat: ChatId,
    user: UserId,
}

/// How far a user has read a chat.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadEvent {
    chat: ChatId,
    user: UserId,
    seq: Seq,
}

fn render(rendered: &Rendered, &FeedEvent { position, ref kind }: &FeedEvent) -> Bytes {
    match *kind {
        FeedEventKind::Message { chat, ref run } => rendered.get_or_render(position, || {
            let message = run.messages().next().expect("a run of one");
            written(position, "message", &MessageBody::new(chat, &message))
        }),
        // As this user sees it, and as it is now.
        FeedEventKind::Entered(ref chat) => written(position, "chat", &ChatBody::new(chat)).into(),
        FeedEventKind::Joined { chat, user } => {
            rendered.get_or_render(position, || written(position, "member", &MemberEvent { chat, user }))
        }
        FeedEventKind::Left { chat, user } => rendered
            .get_or_render(position, || written(position, "member_removed", &MemberEvent { chat, user })),
        FeedEventKind::Read { chat, user, seq } => {
            rendered.get_or_render(position, || written(position, "read", &ReadEvent { chat, user, seq }))
        }
    }
}

/// JSON has no line ends of its own.
fn written(position: Position, event: &str, data: &impl Serialize) -> Vec<u8> {
    let mut written = format!("id: {position}\nevent: {event}\ndata: ").into_bytes();
    serde_json::to_writer(&mut written, data).expect("answers hold nothing that JSON cannot");
    written.extend_from_slice(b"\n\n");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aaaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa";

    #[test]
    fn a_query_names_a_user_and_perhaps_a_position() {
        let user = ID.parse().expect("an id");
        let follow = |after: Option<u64>| Follow { user, after: after.map(Position) };
        for (query, after) in [
            (format!("user={ID}"), None),
            (format!("user={ID}&after=0"), Some(0)),
            (format!("after=17&user={}", ID.to_uppercase()), Some(17)),
            (format!("%75ser={}", ID.replace('-', "%2D")), None),
            (format!("user={ID}&after=18446744073709551615"), Some(u64::MAX)),
        ] {
            assert_eq!(from_query(&query).expect("well-formed"), follow(after), "{query}");
        }
    }

    #[test]
    fn a_header_is_a_position() {
        let headers = |ids: &[&str]| -> HeaderMap {
            let name = header::HeaderName::from_static("last-event-id");
            ids.iter().map(|id| (name.clone(), id.parse().expect("a header"))).collect()
        };
        assert_eq!(last_event_id(&headers(&[])).expect("none"), None);
        assert_eq!(last_event_id(&headers(&["17"])).expect("one"), Some(Position(17)));
        for ids in [&["17", "17"][..], &[""], &["x"], &["-1"], &["+1"], &["1.0"], &["18446744073709551616"]] {
            assert!(last_event_id(&headers(ids)).is_err(), "{ids:?}");
        }
    }
}
