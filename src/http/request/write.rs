//! Writes: reads their idempotency keys, and submits their commands to the engine.

use std::sync::Arc;

use axum::extract::{self, FromRequest};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::FutureExt;

use super::Request;
use super::body::Read;
use crate::domain::{Actor, Command, IdempotencyKey};
use crate::engine::Engine;
use crate::http::answer::problem::Problem;
use crate::http::answer::receipt;
use crate::http::app::App;
use crate::http::headers::IDEMPOTENCY_KEY;

/// A write: the call's fields, the idempotency key, and the engine that carries it out.
pub(crate) struct Write<T> {
    engine: Arc<Engine>,
    request: T,
    key: Option<HeaderValue>,
}

impl<T: Request> FromRequest<Arc<App>> for Write<T> {
    type Rejection = Problem;

    fn from_request(
        request: extract::Request,
        app: &Arc<App>,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        let key = only_key(request.headers());
        Read::from_request(request, app).map(|read| {
            let Read { engine, request } = read?;
            Ok(Self { engine, request, key: key? })
        })
    }
}

fn only_key(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (keys.next(), keys.next()) {
        (key, None) => Ok(key.cloned()),
        (_, Some(_)) => Err(Problem::invalid_field(IDEMPOTENCY_KEY, "is given twice", None)),
    }
}

impl<T> Write<T> {
    /// Submits the command that the fields ask for, and answers with its receipt.
    ///
    /// An `async fn` would hold the fields beside the command that they have become, in every request.
    pub(crate) fn submit(
        self,
        command: impl FnOnce(T) -> Command,
    ) -> impl Future<Output = Result<Response, Problem>> {
        let Self { engine, request, key } = self;
        let command = command(request);
        let by = Actor::Unknown;
        let key = key.map(|key| {
            let text = String::from_utf8_lossy(key.as_bytes());
            IdempotencyKey::new(text.to_string(), &command, &by)
                .map_err(|invalid| Problem::invalid_field(IDEMPOTENCY_KEY, &invalid.to_string(), Some(&text)))
        });
        let key = key.transpose();
        async move {
            let accepted = engine.submit(command, key?, by).await?;
            Ok(receipt::respond(&accepted))
        }
    }
}
