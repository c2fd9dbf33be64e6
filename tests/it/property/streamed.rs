//! The events that streams send, compared with those of the naive model.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request as HttpRequest;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::Value;

use super::{Naive, Server};

/// An event on the stream of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedEvent {
    pub position: usize,
    pub event: &'static str,
    pub data: Value,
}

impl StreamedEvent {
    /// Returns the event without what a stream shows as it is when the event is sent.
    pub fn name(&self) -> Self {
        let names: &[&str] = match self.event {
            "chat" | "chat_edited" | "user_edited" => &["id"],
            "message" | "message_edited" => &["chat", "seq"],
            "message_deleted" => &["chat", "seq", "deleted_at"],
            "reaction" | "reaction_removed" => &["chat", "seq", "user", "emoji"],
            _ => return self.clone(),
        };
        let members = names.iter().map(|name| ((*name).to_owned(), self.data[*name].clone()));
        Self { data: Value::Object(members.collect()), ..self.clone() }
    }
}

/// A stream to each user, which only a restart interrupts.
#[derive(Default)]
pub struct Streams {
    by_user: BTreeMap<String, Stream>,
}

pub struct Stream {
    body: Body,
    text: String,
    pub told: Vec<StreamedEvent>,
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

    /// Waits until each stream has sent all expected events, and compares them. A stream may leave out what one that catches
    /// up now leaves out, and an edit of another user, because it may have been looked for while the two shared no chat.
    pub async fn check(&mut self, naive: &Naive) {
        for (user, stream) in &mut self.by_user {
            let expected = naive.told(user);
            let is_sure = |event: &StreamedEvent| {
                !naive.is_left_out(user, event)
                    && (event.event != "user_edited" || event.data["id"] == **user)
            };
            let last = expected.iter().rfind(|event| is_sure(event));
            while stream.told.last().map(|told| told.position) < last.map(|last| last.position) {
                let piece = tokio::time::timeout(Duration::from_secs(10), stream.take_next()).await;
                piece.unwrap_or_else(|_| panic!("not sent: {expected:?}"));
            }
            let told = stream.names();
            let expected = expected.into_iter().filter(|event| told.contains(event) || is_sure(event));
            assert_eq!(told, expected.collect::<Vec<_>>(), "{user}");
            assert!(stream.told.iter().all(|event| naive.was_once(event)), "{:?}", stream.told);
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
            let is_sent = |told: &&StreamedEvent| told.position > after && !naive.is_left_out(user, told);
            let expected: Vec<_> = told.iter().filter(is_sent).cloned().collect();
            let mut stream = Stream::open(server, user, after).await;
            stream.take_all();
            assert_eq!(stream.names(), expected, "{user} after {after}");
            assert!(stream.told.iter().all(|event| naive.is_now(user, event)), "{:?}", stream.told);
        }
    }
}

impl Stream {
    pub async fn open(server: &Server, user: &str, after: usize) -> Self {
        let request = HttpRequest::get(format!("/events?user={user}")).header("last-event-id", after);
        let request = request.body(Body::empty()).expect("a well-formed request");
        let response = server.router.answer(request).await;
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: String::new(), told: Vec::new() }
    }

    /// Waits for the next events.
    pub async fn take_next(&mut self) {
        let piece = self.body.frame().await;
        self.take(piece);
    }

    /// Takes all events that exist already.
    pub fn take_all(&mut self) {
        while let Some(piece) = self.body.frame().now_or_never() {
            self.take(piece);
        }
    }

    fn names(&self) -> Vec<StreamedEvent> {
        self.told.iter().map(StreamedEvent::name).collect()
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

const EVENTS: [&str; 11] = [
    "chat",
    "chat_edited",
    "member",
    "member_removed",
    "message",
    "message_deleted",
    "message_edited",
    "reaction",
    "reaction_removed",
    "read",
    "user_edited",
];

/// Returns `None` if the block is not an event.
fn parsed(block: &str) -> Option<StreamedEvent> {
    let (event, rest) = block.strip_prefix("event: ")?.split_once("\ndata: ").expect("an event has data");
    let (data, id) = rest.split_once("\nid: ").expect("an event has an id");
    let data = serde_json::from_str(data).expect("JSON");
    let event = EVENTS.into_iter().find(|known| *known == event).expect("a type that is known");
    let (id, _) = id.split_once('-').expect("a position and an epoch");
    Some(StreamedEvent { position: id.parse().expect("a position"), event, data })
}
