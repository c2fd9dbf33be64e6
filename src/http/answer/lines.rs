//! Answers that are JSON lines (<https://jsonlines.org>), written as fast as their clients read them.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::domain::Position;

/// Lines that are written a few at a time.
pub(crate) trait Lines: Send + 'static {
    /// Appends the next lines, of which there may be none yet. Returns `false` at the end.
    fn next_lines(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Appends a line.
pub(crate) fn push(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("answers hold nothing that JSON cannot");
    out.push(b'\n');
}

/// Answers with all lines. The answer says that they show everything up to this position.
pub(crate) fn respond(position: Position, mut lines: impl Lines) -> Response {
    let pieces = std::iter::from_fn(move || {
        let mut piece = Vec::new();
        lines.next_lines(&mut piece).then_some(piece)
    });
    let pieces = stream::iter(pieces).then(|piece| async {
        // As for a list: others are not to wait for a client that reads fast.
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(Bytes::from(piece))
    });
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"))];
    super::at(position, (content_type, Body::from_stream(pieces)).into_response())
}
