//! The events that streams send, compared with those of the naive model.

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

/// An event on the stream of a user. It names a chat by its id only, because a stream shows a chat as it is
/// when the event is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedEvent {
    pub position: usize,
    pub event: &'static str,
    pub data: Value,
}

/// A stream to each user, which only a restart interrupts.
#[derive(Default)]
pub struct Streams {
    by_user: BTreeMap<String, Stream>,
}

struct Stream {
    body: Body,
    text: String,
    told: Vec<StreamedEvent>,
}

impl Streams {
    /// Opens a stream to each user that does not have one.
    pub async fn follow(&mut self, server: &Server, naive: &Naive) {
        for user in &naive.users {
            let id = user.id.as_str().expect("an id");
            if !self.by_user.contains_key(id) {
                self.by_user.insert(id.to_owned(), Stream::open(server, id, 0).await);
            }
        }
    }

    /// Resumes each stream after its last event.
    pub async fn resume(&mut self, server: &Server) {
        for (user, stream) in &mut self.by_user {
            let last = stream.told.last().map_or(0, |told| told.position);
            let told = std::mem::take(&mut stream.told);
            *stream = Stream { told, ..Stream::open(server, user, last).await };
        }
    }

    /// Waits until each stream has sent all expected events, and compares them. A stream may leave out a read
    /// mark that was overtaken.
    pub async fn check(&mut self, naive: &Naive) {
        for (user, stream) in &mut self.by_user {
            let expected = naive.told(user);
            let last = expected.iter().rfind(|event| !naive.is_overtaken(event));
            while stream.told.last().map(|told| told.position) < last.map(|last| last.position) {
                let piece = tokio::time::timeout(Duration::from_secs(10), stream.body.frame()).await;
                stream.take(piece.unwrap_or_else(|_| panic!("not sent: {expected:?}")));
            }
            let told = |event: &StreamedEvent| stream.told.contains(event) || !naive.is_overtaken(event);
            let expected: Vec<_> = expected.into_iter().filter(told).collect();
            assert_eq!(stream.told, expected, "{user}");
        }
    }
}

/// Checks, for each user, the events that a stream from an earlier position sends at once.
pub async fn check_from_the_past(server: &Server, naive: &Naive) {
    for user in &naive.users {
        let user = user.id.as_str().expect("an id");
        let told = naive.told(user);
        for after in [0, 1, naive.events / 3, naive.events / 2, naive.events.saturating_sub(1), naive.events]
        {
            if after > naive.events {
                continue;
            }
            let is_sent = |told: &&StreamedEvent| told.position > after && !naive.is_overtaken(told);
            let expected: Vec<_> = told.iter().filter(is_sent).cloned().collect();
            let mut stream = Stream::open(server, user, after).await;
            // All of these events exist already.
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

/// Returns `None` if the block is not an event.
fn parsed(block: &str) -> Option<StreamedEvent> {
    let (event, rest) = block.strip_prefix("event: ")?.split_once("\ndata: ").expect("an event has data");
    let (data, id) = rest.split_once("\nid: ").expect("an event has an id");
    let mut data: Value = serde_json::from_str(data).expect("JSON");
    let event = ["message", "chat", "member", "member_removed", "read"]
        .into_iter()
        .find(|known| *known == event)
        .expect("a type that is known");
    if event == "chat" {
        data = data["id"].take();
    }
    let (id, _) = id.split_once('-').expect("a position and an epoch");
    Some(StreamedEvent { position: id.parse().expect("a position"), event, data })
}
