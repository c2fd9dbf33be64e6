//! Bodies of JSON: read within bounds of size and time, then parsed.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{self, FromRequest};
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::min_position::MinPosition;
use super::{Request, object};
use crate::engine::Engine;
use crate::http::admission::{Caller, Cost};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::body_budget::{BodyBudget, NoRoom};
use crate::http::limits::{
    DISCARD_TIME_MAX, DISCARDED_BYTES_MAX, TURNED_AWAY_BYTES_MAX, TURNED_AWAY_TIME_MAX,
};

/// A look-up: the call's fields, from a JSON body, and the engine that answers it.
pub(crate) struct Read<T> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) caller: Caller,
    pub(crate) request: T,
}

impl<T: Request> FromRequest<Arc<App>> for Read<T> {
    type Rejection = Problem;

    fn from_request(
        request: extract::Request,
        app: &Arc<App>,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        Self::admitted(request, app, Cost::Read, |_| Ok(())).map(|read| read.map(|(read, ())| read))
    }
}

impl<T: Request> Read<T> {
    /// Admits a request. `of_head` reads what else its form needs from its head.
    // An `async fn` would hold the request twice.
    #[expect(clippy::manual_async_fn, reason = "it is smaller")]
    pub(super) fn admitted<H: Send>(
        mut request: extract::Request,
        app: &Arc<App>,
        cost: Cost,
        of_head: fn(&HeaderMap) -> Result<H, Problem>,
    ) -> impl Future<Output = Result<(Self, H), Problem>> + Send {
        async move {
            let engine = match app.engine() {
                Ok(engine) => engine,
                Err(starting) => {
                    discard(request);
                    return Err(starting);
                }
            };
            let caller = match app.admit(engine, &request, cost) {
                Ok(caller) => caller,
                Err(refusal) => {
                    turn_away(request);
                    return Err(refusal);
                }
            };
            let read = async {
                let bytes_max = app.limits.body_bytes_max as usize * T::BODY_FACTOR;
                check_head(request.headers(), bytes_max)?;
                let bytes = read_within(request.body_mut(), bytes_max, &app.body_budget).await?;
                app.admit_again(engine, &caller)?;
                Ok(bytes)
            };
            match read.await {
                Ok(bytes) => {
                    let read = Self { engine: Arc::clone(engine), caller, request: object::parse(&bytes)? };
                    let of_head = of_head(request.headers())?;
                    match MinPosition::asked(request.headers())? {
                        None => Ok((read, of_head)),
                        // Few requests wait, and all of them would have the room for it.
                        Some(min_position) => {
                            Box::pin(async move {
                                min_position.reached(app, &read.engine, &read.caller).await?;
                                Ok((read, of_head))
                            })
                            .await
                        }
                    }
                }
                Err(problem) => {
                    discard(request);
                    Err(problem)
                }
            }
        }
    }
}

/// Refuses a request whose head alone gives a reason, before any of the body is read.
fn check_head(headers: &HeaderMap, bytes_max: usize) -> Result<(), Problem> {
    check_content_type(headers)?;
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encodings =
        encodings.flat_map(|value| value.to_str().unwrap_or("a value that is not text").split(','));
    if let Some(encoding) = encodings.map(str::trim).find(|encoding| !is_identity(encoding)) {
        let detail = format!(
            "the body must be sent without a content encoding; it came encoded as {}",
            shown(encoding)
        );
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(bytes) if bytes > bytes_max as u64 => {
            let detail = format!("the body has {bytes} bytes; it may have {bytes_max}");
            Err(Problem::new(Code::BodyTooLarge, detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE);
    if content_type.is_some_and(is_json) {
        return Ok(());
    }
    let what = content_type.map_or("without a content type".to_owned(), |value| {
        format!("as {}", shown(value.to_str().unwrap_or("a value that is not text")))
    });
    let detail = format!("the body must be sent as application/json; it came {what}");
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

fn is_json(content_type: &HeaderValue) -> bool {
    const JSON: &str = "application/json";
    let is_media_type = |text: &str| {
        text.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(JSON))
    };
    // Nearly every request has exactly this value.
    content_type == JSON || content_type.to_str().is_ok_and(is_media_type)
}

/// Returns whether an item of `Content-Encoding` leaves the body as it is. A list may have empty items.
fn is_identity(item: &str) -> bool {
    item.is_empty() || item.eq_ignore_ascii_case("identity")
}

async fn read_within(body: &mut Body, bytes_max: usize, budget: &BodyBudget) -> Result<Bytes, Problem> {
    let first = next_part(body).await?.unwrap_or_default();
    if first.len() <= bytes_max && body.is_end_stream() {
        return Ok(first);
    }
    let mut share = budget.share(Instant::now().into_std());
    let mut read = Vec::new();
    let mut part = Some(first);
    while let Some(data) = part {
        if read.len() + data.len() > bytes_max {
            let detail = format!("the body has more than {bytes_max} bytes");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        share.grow(data.len(), Instant::now().into_std())?;
        read.extend_from_slice(&data);
        part = tokio::select! {
            biased;
            part = next_part(body) => part?,
            () = share.revoked() => return Err(NoRoom::Revoked.into()),
        };
    }
    Ok(read.into())
}

impl From<NoRoom> for Problem {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::Exceeded => {
                Self::new(Code::Overloaded, "too many long bodies are arriving; nothing was stored")
            }
            NoRoom::Revoked => Self::new(
                Code::RequestTimeout,
                "the body arrived too slowly (less than 64 KiB in a second) while other bodies needed the memory; \
                 nothing was stored",
            ),
        }
    }
}

/// Returns the next part of the body, or `None` at its end.
async fn next_part(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if is_timeout(&error) {
                Problem::usual(Code::RequestTimeout)
            } else {
                Problem::new(Code::InvalidJson, "the body ended early")
            }
        })?;
        // A frame that is not data is a trailer.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Returns whether the connection's deadline for a request has passed.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let is_io_timeout =
        error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut);
    is_io_timeout || error.source().is_some_and(is_timeout)
}

/// Reads the rest of a refused request and discards it, within limits of size and time. Without that, the
/// connection of a client that is still sending is reset, often before the client has read the answer. A
/// client that waits for `100 Continue` has not sent a body and may never send one, so its connection is
/// closed after the answer.
pub(crate) fn discard(request: extract::Request) {
    discard_within(request, DISCARDED_BYTES_MAX, DISCARD_TIME_MAX);
}

/// Does what [`discard`] does for a caller who was not admitted, whose body is worth less.
fn turn_away(request: extract::Request) {
    discard_within(request, TURNED_AWAY_BYTES_MAX, TURNED_AWAY_TIME_MAX);
}

fn discard_within(request: extract::Request, bytes_max: usize, time_max: Duration) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body();
    tokio::spawn(async move {
        let deadline = Instant::now() + time_max;
        let mut discarded = 0;
        while discarded < bytes_max {
            match timeout_at(deadline, body.frame()).await {
                Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    const BODY_BYTES_MAX: usize = 100;

    /// Returns a body of these parts. Without an end, it stalls behind them.
    fn body_of(parts: &'static [usize], has_end: bool) -> Body {
        let parts = stream::iter(parts).map(|&bytes| Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes])));
        if has_end { Body::from_stream(parts) } else { Body::from_stream(parts.chain(stream::pending())) }
    }

    fn broken_body(error: io::ErrorKind) -> Body {
        Body::from_stream(stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::from(error))]))
    }

    async fn outcome(mut body: Body, budget: &BodyBudget) -> Option<Code> {
        let outcome = read_within(&mut body, BODY_BYTES_MAX, budget).await;
        outcome.err().map(|problem| problem.code())
    }

    #[tokio::test]
    async fn every_end_of_a_body_empties_the_budget() {
        let budget = BodyBudget::new(BODY_BYTES_MAX);
        for (body, code) in [
            (body_of(&[40, 60], true), None),
            (body_of(&[40, 61], true), Some(Code::BodyTooLarge)),
            (broken_body(io::ErrorKind::TimedOut), Some(Code::RequestTimeout)),
            (broken_body(io::ErrorKind::ConnectionReset), Some(Code::InvalidJson)),
        ] {
            assert_eq!(outcome(body, &budget).await, code);
            assert_eq!(budget.bytes(), 0, "{code:?}");
        }

        let mut other = budget.share(Instant::now().into_std());
        assert!(other.grow(61, Instant::now().into_std()).is_ok());
        assert_eq!(outcome(body_of(&[39, 1], true), &budget).await, Some(Code::Overloaded));
        assert_eq!(budget.bytes(), 61);
        drop(other);

        // The client disconnects, and the request's task is dropped.
        let mut stalled = body_of(&[40], false);
        let reading = read_within(&mut stalled, BODY_BYTES_MAX, &budget);
        assert!(Box::pin(reading).as_mut().now_or_never().is_none());
        assert_eq!(budget.bytes(), 0);
    }

    #[tokio::test]
    async fn a_body_that_gives_way_is_a_timeout() {
        let budget = BodyBudget::new(BODY_BYTES_MAX);
        let mut stalled = body_of(&[60], false);
        let mut reading = pin!(read_within(&mut stalled, BODY_BYTES_MAX, &budget));
        assert!(reading.as_mut().now_or_never().is_none());
        assert_eq!(budget.bytes(), 60);
        let later = Instant::now().into_std() + Duration::from_mins(1);
        let mut newcomer = budget.share(later);
        assert!(newcomer.grow(41, later).is_ok());
        assert_eq!(budget.bytes(), 41);
        let problem = reading.await.expect_err("its share is gone");
        assert_eq!(problem.code(), Code::RequestTimeout);
        assert_eq!(budget.bytes(), 41);
    }
}
