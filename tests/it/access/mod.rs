//! Who may call, shown on the real server: the whole table, the order of refusals, known attacks, and no secret
//! where it does not belong. And how much, for how long, and what the log says of it.

mod attacks;
mod by;
mod canaries;
mod event_tokens;
mod files;
mod fixture;
mod held;
mod limits;
mod moderators;
mod names;
mod order;
mod reload;
mod revocations;
mod streams;
mod table;

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// The status of an answer, and the code of a refusal.
type Answer = (u16, Option<String>);

fn refused(status: u16, code: &str) -> Answer {
    (status, Some(code.to_owned()))
}

/// Sends a request and returns its answer. A stream is not read.
///
/// # Panics
///
/// Panics if a POST succeeds without its position.
async fn ask(request: RequestBuilder) -> Answer {
    let (client, request) = request.header("x-forwarded-for", fresh_address()).build_split();
    let request = request.expect("a request");
    let (is_post, url) = (request.method() == Method::POST, request.url().clone());
    let response = client.execute(request).await.expect("answered");
    let status = response.status().as_u16();
    if response.status().is_success() {
        assert!(!is_post || response.headers().contains_key("chinwag-position"), "{url} {status}");
        return (status, None);
    }
    let body: Value = response.json().await.expect("a problem");
    (status, Some(body["code"].as_str().expect("a code").to_owned()))
}

/// Returns an address that has not failed yet.
fn fresh_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("10.{a}.{b}.{c}")
}
