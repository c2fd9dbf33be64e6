//! What can go wrong, said so that one can act on it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub(super) enum Error {
    #[error("failed to {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: {source}")]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{path} holds no ids of an earlier load: {source}")]
    Ids { path: PathBuf, source: serde_json::Error },
    #[error("{path} has no id for the {kind} {name:?}: was it made by a load of this conversation?")]
    UnknownId { path: PathBuf, kind: &'static str, name: String },
    #[error("failed to set up the HTTP client: {0}")]
    Client(reqwest::Error),
    #[error("no answer to POST {path} {request}: {}", chain(.source))]
    NoAnswer { path: &'static str, request: String, source: reqwest::Error },
    #[error("unexpected answer to POST {path} {request}: {status} {answer}")]
    Answer { path: &'static str, request: String, status: u16, answer: String },
    #[error("the server differs from the conversation: {0}")]
    Difference(String),
}

/// An error with its causes: the HTTP client keeps the telling one for last.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
