//! Examples of requests and answers. Together they are one conversation, which a test repeats with a real
//! server.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, RefOr};

#[derive(Deserialize)]
struct Example {
    request: Option<Value>,
    response: Option<Value>,
}

/// The examples, by operation.
static EXAMPLES: LazyLock<HashMap<String, Example>> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).expect("examples"));

pub(super) fn add(operation: &mut Operation, id: &str) {
    let Some(Example { request, response }) = EXAMPLES.get(id) else { return };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(|content| set(content, request.as_ref()));
    }
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(answer) = answer
            && status.starts_with('2')
        {
            answer.content.values_mut().for_each(|content| set(content, response.as_ref()));
        }
    }
}

fn set(content: &mut RefOr<Content>, example: Option<&Value>) {
    if let RefOr::T(content) = content {
        content.example = example.cloned();
    }
}
