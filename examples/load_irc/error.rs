//! The errors of a load or a verification.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("failed to read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: {source}")]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("failed to set up the HTTP client: {0}")]
    Client(reqwest::Error),
    #[error("no answer to POST {path} {request}: {}", chain(.source))]
    NoAnswer { path: &'static str, request: String, source: reqwest::Error },
    #[error("unexpected answer to POST {path} {request}: {status} {answer}")]
    Answer { path: &'static str, request: String, status: u16, answer: String },
    #[error("two requests with the key {key} were answered as if they were two writes:\n{first}\n{second}")]
    Twice { key: String, first: String, second: String },
    #[error("the server differs from the conversation: {0}")]
    Difference(String),
}

/// Returns an error with its causes: the HTTP client's last cause is the specific one.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
