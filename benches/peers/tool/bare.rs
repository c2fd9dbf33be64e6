//! Measures axum on this machine without any other work. Requests are parsed strictly into the
//! same fields as ours. Answers are always the same, with headers and lengths like ours.

use std::path::PathBuf;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use clap::Args;
use serde::Deserialize;
use tokio::net::TcpListener;
use uuid::Uuid;

#[derive(Args)]
pub(crate) struct BareArgs {
    /// File whose bytes `/messages/get` answers, from memory
    #[arg(long)]
    page: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parsed, as in any server, but not used")]
struct AddMessage {
    chat: Uuid,
    author: Uuid,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parsed, as in any server, but not used")]
struct GetMessages {
    chat: Uuid,
    limit: Option<u64>,
}

pub(crate) fn run(args: BareArgs) {
    let page = args.page.map(|path| std::fs::read(path).expect("a page")).unwrap_or_default();
    rlimit::increase_nofile_limit(u64::MAX).expect("enough open files");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(serve(page.into()));
}

async fn serve(page: Bytes) {
    let router =
        Router::new().route("/messages/add", post(add)).route("/messages/get", post(get)).with_state(page);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("bare listening on http://{}", listener.local_addr().expect("bound"));
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("an open connection"));
    axum::serve(listener, router).await.expect("it does not end");
}

/// Request id as long as one of ours.
const REQUEST_ID: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-request-id"),
    HeaderValue::from_static("01a20aa4-0a09-74de-9d72-3ca94e1ae31f"),
);

async fn add(body: Bytes) -> Response {
    const SENT: &str = concat!(
        r#"{"id":"01a20aa4-0a09-74de-9d72-3ca94e1ae31f","seq":123456,"#,
        r#""created_at":"2026-11-23T15:04:05.123456Z"}"#
    );
    if serde_json::from_slice::<AddMessage>(&body).is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("chinwag-position"), HeaderValue::from(1_234_567)),
        REQUEST_ID,
    ];
    (StatusCode::CREATED, headers, SENT).into_response()
}

async fn get(State(page): State<Bytes>, body: Bytes) -> Response {
    match serde_json::from_slice::<GetMessages>(&body) {
        Ok(_) => {
            let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ([content_type, REQUEST_ID], page).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
