//! A reader of server-sent events that accepts exactly what the standard does (WHATWG HTML, "Server-sent
//! events").
//!
//! ```ignore
//! let mut stream = server.follow(&ann, None).await;      // GET /events?user=…, from now on
//! server.add_message(&den, &bob, "hello").await;
//! assert_eq!(stream.next().await.expect("an event").data["text"], "hello");
//! ```
//!
//! It needs a socket, and with it a `TestServer`.

use std::fmt::Display;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::client::Client;

type Bytes = Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>;

/// An open stream.
pub struct EventStream {
    bytes: Bytes,
    /// The first event, which says after which position the stream begins, once it has arrived.
    begin: Option<Event>,
    /// The bytes of the next line that have arrived.
    line: Vec<u8>,
    /// The fields of the next event that have arrived, save its data.
    event: Event,
    data: Vec<String>,
    /// The last `retry`, in milliseconds.
    pub retry: Option<u64>,
    pub comments: usize,
    /// The last `id`, whole: `POSITION-EPOCH`.
    pub last_id: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub id: u64,
    pub kind: String,
    pub data: Value,
}

/// The time within which an expected event must arrive.
const EVENT_DEADLINE: Duration = Duration::from_secs(20);

impl Client {
    /// Follows the events of a user: those after a position, or those from now on.
    pub async fn follow(&self, user: &str, last_event_id: Option<u64>) -> EventStream {
        self.try_follow(user, last_event_id).await.expect("connected")
    }

    /// Follows the events of a user after the one with this id.
    pub async fn resume(&self, user: &str, last_event_id: &str) -> EventStream {
        let path = format!("/events?user={user}");
        self.get_stream(&path, Some(last_event_id)).await.expect("connected")
    }

    pub async fn try_follow(&self, user: &str, last_event_id: Option<u64>) -> reqwest::Result<EventStream> {
        self.get_stream(&format!("/events?user={user}"), last_event_id).await
    }

    pub async fn get_stream(
        &self,
        path: &str,
        last_event_id: Option<impl Display>,
    ) -> reqwest::Result<EventStream> {
        let mut request = self.request("GET", path);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id.to_string());
        }
        let response = request.send().await?.error_for_status()?;
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let bytes = response.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec()));
        let (line, event, data) = (Vec::new(), Event::default(), Vec::new());
        Ok(EventStream {
            bytes: Box::pin(bytes),
            begin: None,
            line,
            event,
            data,
            retry: None,
            comments: 0,
            last_id: String::new(),
        })
    }
}

impl EventStream {
    /// Returns the next event but `begin`, which must arrive within the deadline. Returns `None` if the stream ends.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(EVENT_DEADLINE, self.next_ever()).await.expect("an event comes")
    }

    /// Returns the next event, without a deadline. Returns `None` if the stream ends.
    pub async fn next_ever(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            self.line.extend(self.bytes.next().await?.ok()?);
        }
    }

    /// Returns the first event, `begin` or `reset`.
    pub async fn begin(&mut self) -> Event {
        while self.begin.is_none() {
            assert_eq!(self.take(), None);
            if self.begin.is_none() {
                let piece = tokio::time::timeout(EVENT_DEADLINE, self.bytes.next()).await;
                let piece = piece.expect("it comes").expect("the stream goes on");
                self.line.extend(piece.expect("whole"));
            }
        }
        self.begin.clone().expect("it has arrived")
    }

    /// Returns the next `count` events.
    pub async fn take_events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }

    /// Checks that only comments arrive during this time.
    pub async fn assert_silent(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        loop {
            assert_eq!(self.take(), None);
            match tokio::time::timeout_at(until, self.bytes.next()).await {
                Ok(piece) => self.line.extend(piece.expect("the stream goes on").expect("whole")),
                Err(_) => return,
            }
        }
    }

    /// Waits until a comment has arrived.
    pub async fn wait_for_comment(&mut self) {
        let before = self.comments;
        loop {
            assert_eq!(self.take(), None);
            if self.comments > before {
                return;
            }
            let piece =
                tokio::time::timeout(EVENT_DEADLINE, self.bytes.next()).await.expect("something comes");
            self.line.extend(piece.expect("the stream goes on").expect("whole"));
        }
    }

    /// Returns the next event if it has arrived whole.
    fn take(&mut self) -> Option<Event> {
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let line = std::mem::replace(&mut self.line, rest);
            let line = std::str::from_utf8(&line[..end]).expect("UTF-8");
            assert!(!line.contains('\r'), "a line ends with LF only");
            if line.is_empty() {
                // Some clients take a blank line alone for an empty event.
                assert!(!self.data.is_empty(), "a blank line ends an event");
                let data = std::mem::take(&mut self.data).join("\n");
                let mut event = std::mem::take(&mut self.event);
                event.data = serde_json::from_str(&data).expect("JSON");
                if self.begin.is_none() {
                    assert!(matches!(&*event.kind, "begin" | "reset"), "the first event is {event:?}");
                    assert_eq!(event.data, serde_json::json!({ "position": event.id }));
                    self.begin = Some(event.clone());
                    if event.kind == "begin" {
                        continue;
                    }
                }
                return Some(event);
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "id" => {
                    let (position, epoch) = value.split_once('-').expect("an event's id");
                    assert!(epoch == "0" || epoch.len() == 16, "{epoch}");
                    self.event.id = position.parse().expect("a position");
                    value.clone_into(&mut self.last_id);
                }
                "event" => value.clone_into(&mut self.event.kind),
                "data" => self.data.push(value.to_owned()),
                "retry" => self.retry = Some(value.parse().expect("milliseconds")),
                other => panic!("the standard has no field {other}"),
            }
        }
        None
    }
}
