//! Bodies of JSON: read within bounds of size and time, then parsed.

use std::error::Error;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{self, FromRequest};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::{Request, object};
use crate::engine::Engine;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::body_budget::{BodyBudget, Exceeded};
use crate::http::limits::{DISCARD_TIME_MAX, DISCARDED_BYTES_MAX};

/// A look-up: the call's fields, from a JSON body, and the engine that answers it.
pub(crate) struct Read<T> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) request: T,
}

impl<T: Request> FromRequest<Arc<App>> for Read<T> {
    type Rejection = Problem;

    // An `async fn` would hold the request twice.
    #[expect(clippy::manual_async_fn, reason = "it is smaller")]
    fn from_request(
        mut request: extract::Request,
        app: &Arc<App>,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        async move {
            let read = async {
                let engine = app.engine()?;
                let bytes_max = app.limits.body_bytes_max as usize * T::BODY_FACTOR;
                check_head(request.headers(), bytes_max)?;
                Ok((engine, read_within(request.body_mut(), bytes_max, &app.body_budget).await?))
            };
            match read.await {
                Ok((engine, bytes)) => {
                    Ok(Self { engine: Arc::clone(engine), request: object::parse(&bytes)? })
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
    let content_type =
        headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("what is no text"));
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        let what =
            content_type.map_or("without a content type".to_owned(), |value| format!("as {}", shown(value)));
        let detail = format!("the body must be sent as application/json; it came {what}");
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

async fn read_within(body: &mut Body, bytes_max: usize, budget: &BodyBudget) -> Result<Bytes, Problem> {
    let first = next_part(body).await?.unwrap_or_default();
    if first.len() <= bytes_max && body.is_end_stream() {
        return Ok(first);
    }
    let mut share = budget.share();
    let mut read = Vec::new();
    let mut part = Some(first);
    while let Some(data) = part {
        if read.len() + data.len() > bytes_max {
            let detail = format!("the body has more than {bytes_max} bytes");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        share.grow(data.len()).map_err(|Exceeded| {
            Problem::new(Code::Overloaded, "too many long bodies are arriving; nothing was stored")
        })?;
        read.extend_from_slice(&data);
        part = next_part(body).await?;
    }
    Ok(read.into())
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
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body();
    tokio::spawn(async move {
        let deadline = Instant::now() + DISCARD_TIME_MAX;
        let mut discarded = 0;
        while discarded < DISCARDED_BYTES_MAX {
            match timeout_at(deadline, body.frame()).await {
                Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
    });
}
