//! `/metrics`: the metrics of the server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::{TEXT_FORMAT, TextEncoder};

use super::table::{Call, call};
use crate::http::admission::{KeyNeed, Rule};
use crate::http::app::{App, Ready};
use crate::http::openapi::refusals;

/// Returns the calls of this file.
pub(crate) fn calls() -> Vec<Call> {
    vec![call!(Rule::servers(KeyNeed::Metrics), get)]
}

/// Answers with the metrics, for Prometheus.
///
/// The answer is in the text format, version 0.0.4: requests by route and status, writes, the log, the
/// process.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    responses(
        (status = OK, description = "The metrics.", body = String, content_type = "text/plain"),
        refusals::OfMetrics,
    )
)]
async fn get(Ready { engine, .. }: Ready, State(app): State<Arc<App>>) -> Response {
    let mut families = app.metrics.gather();
    families.extend(engine.metrics());
    let text = TextEncoder::new().encode_to_string(&families).expect("names and numbers are text");
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}
