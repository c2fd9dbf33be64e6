//! Writes: reads their idempotency keys, and submits their commands to the engine.

use std::sync::Arc;

use axum::extract::{self, FromRequest};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::FutureExt;

use super::Request;
use super::body::Read;
use crate::domain::{Command, IdempotencyKey};
use crate::engine::Engine;
use crate::http::admission::{Caller, Cost};
use crate::http::answer::problem::Problem;
use crate::http::answer::receipt;
use crate::http::app::App;
use crate::http::headers::IDEMPOTENCY_KEY;

/// A write: the call's fields, the idempotency key, and the engine that carries it out.
pub(crate) struct Write<T> {
    engine: Arc<Engine>,
    caller: Caller,
    request: T,
    key: Option<String>,
}

impl<T: Request> FromRequest<Arc<App>> for Write<T> {
    type Rejection = Problem;

    fn from_request(
        request: extract::Request,
        app: &Arc<App>,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        Read::admitted(request, app, Cost::Write, only_key).map(|read| {
            let (Read { engine, caller, request }, key) = read?;
            Ok(Self { engine, caller, request, key })
        })
    }
}

/// Returns the key of a request, which may be given once.
fn only_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = IDEMPOTENCY_KEY.only_value(headers)? else { return Ok(None) };
    match IdempotencyKey::check(&key) {
        Ok(()) => Ok(Some(key.into_owned())),
        Err(invalid) => Err(Problem::invalid_field(IDEMPOTENCY_KEY.shown, &invalid.to_string(), Some(&key))),
    }
}

impl<T> Write<T> {
    /// Submits the command that the caller asks for with the fields, and answers with its receipt.
    ///
    /// An `async fn` would hold the fields beside the command that they have become, in every request.
    pub(crate) fn submit(
        self,
        command: impl FnOnce(T, &Caller) -> Result<Command, Problem>,
    ) -> impl Future<Output = Result<Response, Problem>> {
        let Self { engine, caller, request, key } = self;
        let by = caller.by();
        let submitted = command(request, &caller).map(|command| {
            let key = key.map(|key| IdempotencyKey::new(key, &command, &by).expect("its form was checked"));
            (command, key)
        });
        async move {
            let (command, key) = submitted?;
            let accepted = engine.submit(command, key, by).await?;
            Ok(receipt::respond(&accepted))
        }
    }
}
