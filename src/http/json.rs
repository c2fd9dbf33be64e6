//! Bodies of JSON: requests are read within bounds of size and time, then parsed.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::App;
use super::arriving::{Arriving, NoRoom};
use super::fields::{self, Fields};
use super::problem::{Code, Problem, shown};
use crate::engine::Engine;

/// How much of a refused request is taken and thrown away,
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// and for how long.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A call's fields, from a JSON body, and the engine that is to answer it.
pub(super) struct Json<T> {
    pub(super) engine: Arc<Engine>,
    pub(super) fields: T,
}

impl<T: Fields> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    // An `async fn` would hold the request twice.
    #[expect(clippy::manual_async_fn, reason = "it is smaller")]
    fn from_request(
        mut request: Request,
        app: &Arc<App>,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        async move {
            let read = async {
                let engine = app.engine()?;
                let bytes_max = app.limits.body_bytes_max as usize * T::BODY_FACTOR;
                check_head(request.headers(), bytes_max)?;
                Ok((engine, read_within(request.body_mut(), bytes_max, &app.arriving).await?))
            };
            match read.await {
                Ok((engine, bytes)) => {
                    Ok(Self { engine: Arc::clone(engine), fields: fields::parse(&bytes)? })
                }
                Err(problem) => {
                    discard(request);
                    Err(problem)
                }
            }
        }
    }
}

/// An answer of JSON.
pub(super) fn answer(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("answers hold nothing that JSON cannot");
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// What can be refused before any of the body is read.
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

async fn read_within(body: &mut Body, bytes_max: usize, arriving: &Arriving) -> Result<Bytes, Problem> {
    let first = next_part(body).await?.unwrap_or_default();
    if first.len() <= bytes_max && body.is_end_stream() {
        return Ok(first);
    }
    let mut share = arriving.body();
    let mut read = Vec::new();
    let mut part = Some(first);
    while let Some(data) = part {
        if read.len() + data.len() > bytes_max {
            let detail = format!("the body has more than {bytes_max} bytes");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        share.grow(data.len()).map_err(|NoRoom| {
            Problem::new(Code::Overloaded, "too many long bodies are arriving; nothing was stored")
        })?;
        read.extend_from_slice(&data);
        part = next_part(body).await?;
    }
    Ok(read.into())
}

/// The next of the body's data; none at its end.
async fn next_part(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if is_timeout(&error) {
                Problem::new(Code::RequestTimeout, "the body did not arrive in time")
            } else {
                Problem::new(Code::InvalidJson, "the body ended early")
            }
        })?;
        // What is no data is a trailer.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Whether the connection's [patience](super::watched::Patience) was at an end.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let of_this =
        error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut);
    of_this || error.source().is_some_and(is_timeout)
}

/// Takes what is still coming of a refused request and throws it away, for a while. A client that is refused while it
/// still sends would otherwise find its connection reset, often before it has read the answer. Who waits for
/// `100 Continue` has sent no body, and may never: then the connection is closed after the answer.
pub(super) fn discard(request: Request) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body();
    tokio::spawn(async move {
        let deadline = Instant::now() + DISCARD_TIME_MAX;
        let mut discarded = 0;
        while discarded < DISCARD_BYTES_MAX {
            match timeout_at(deadline, body.frame()).await {
                Ok(Some(Ok(frame))) => discarded += frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_)) | None) | Err(_) => break,
            }
        }
    });
}
