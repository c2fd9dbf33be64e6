//! What streams of events tell, against what the naive model says they must.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request as HttpRequest;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::Value;
use tower::ServiceExt;

use super::{Naive, Server};

/// An event that a user sees. Of a chat it says only which: it is shown as it is when it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub position: usize,
    pub event: &'static str,
    pub data: Value,
}

/// A stream to each user, which is never left but for a restart.
#[derive(Default)]
pub struct Streams {
    by_user: BTreeMap<String, Stream>,
}

struct Stream {
    body: Body,
    text: String,
    told: Vec<Told>,
}

impl Streams {
    /// Begins to follow whoever is not followed yet.
    pub async fn follow(&mut self, server: &Server, naive: &Naive) {
        for user in &naive.users {
            let id = user.id.as_str().expect("an id");
            if !self.by_user.contains_key(id) {
                self.by_user.insert(id.to_owned(), Stream::open(server, id, 0).await);
            }
        }
    }

    /// Goes on where each stream ended when the server went down.
    pub async fn resume(&mut self, server: &Server) {
        for (user, stream) in &mut self.by_user {
            let last = stream.told.last().map_or(0, |told| told.position);
            let told = std::mem::take(&mut stream.told);
            *stream = Stream { told, ..Stream::open(server, user, last).await };
        }
    }

    /// Checks that each has told everything, soon.
    pub async fn check(&mut self, naive: &Naive) {
        for (user, stream) in &mut self.by_user {
            let expected = naive.told(user);
            while stream.told.len() < expected.len() {
                let piece = tokio::time::timeout(Duration::from_secs(10), stream.body.frame()).await;
                stream.take(piece.unwrap_or_else(|_| panic!("not told: {expected:?}")));
            }
            assert_eq!(stream.told, expected, "{user}");
        }
    }
}

/// Checks what is told from some positions on to each user, at once.
pub async fn check_from_the_past(server: &Server, naive: &Naive) {
    for user in &naive.users {
        let user = user.id.as_str().expect("an id");
        let told = naive.told(user);
        for after in [0, 1, naive.events / 3, naive.events / 2, naive.events.saturating_sub(1), naive.events]
        {
            if after > naive.events {
                continue;
            }
            let expected: Vec<_> = told.iter().filter(|told| told.position > after).cloned().collect();
            let mut stream = Stream::open(server, user, after).await;
            // All of it is there already.
            while let Some(piece) = stream.body.frame().now_or_never() {
                stream.take(piece);
            }
            assert_eq!(stream.told, expected, "{user} after {after}");
        }
    }
}

impl Stream {
    async fn open(server: &Server, user: &str, after: usize) -> Self {
        let request = HttpRequest::get(format!("/events?user={user}")).header("last-event-id", after);
        let request = request.body(Body::empty()).expect("a well-formed request");
        let response = server.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: String::new(), told: Vec::new() }
    }

    fn take(&mut self, piece: Option<Result<Frame<Bytes>, axum::Error>>) {
        let piece = piece.expect("the stream goes on").expect("whole");
        self.text.push_str(std::str::from_utf8(piece.data_ref().expect("data")).expect("UTF-8"));
        while let Some(end) = self.text.find("\n\n") {
            let rest = self.text.split_off(end + 2);
            let block = std::mem::replace(&mut self.text, rest);
            self.told.extend(parsed(&block));
        }
    }
}

/// None if it is no event.
fn parsed(block: &str) -> Option<Told> {
    let (id, rest) = block.strip_prefix("id: ")?.split_once("\nevent: ").expect("an event has a type");
    let (event, data) = rest.split_once("\ndata: ").expect("an event has data");
    let mut data: Value = serde_json::from_str(data.trim_end()).expect("JSON");
    let event = ["message", "chat", "member", "member_removed", "read"]
        .into_iter()
        .find(|known| *known == event)
        .expect("a type that is known");
    if event == "chat" {
        data = data["id"].take();
    }
    Some(Told { position: id.parse().expect("a position"), event, data })
}
