//! A reader of server-sent events, by the letter of the standard (WHATWG HTML, "Server-sent events").

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::client::Client;

type Bytes = Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>;

/// An open stream.
pub struct EventStream {
    bytes: Bytes,
    /// What has come of the next line.
    line: Vec<u8>,
    /// What has come of the next event.
    event: Event,
    data: Vec<String>,
    /// The last `retry`, milliseconds.
    pub retry: Option<u64>,
    pub comments: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    pub id: u64,
    pub kind: String,
    pub data: Value,
}

/// How long an event may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);

impl Client {
    /// Follows a user, from after a position on or from now on.
    pub async fn follow(&self, user: &str, last_event_id: Option<u64>) -> EventStream {
        self.try_follow(user, last_event_id).await.expect("connected")
    }

    pub async fn try_follow(&self, user: &str, last_event_id: Option<u64>) -> reqwest::Result<EventStream> {
        self.get_stream(&format!("/events?user={user}"), last_event_id).await
    }

    pub async fn get_stream(&self, path: &str, last_event_id: Option<u64>) -> reqwest::Result<EventStream> {
        let mut request = self.request("GET", path);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await?.error_for_status()?;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec()));
        let (line, event, data) = (Vec::new(), Event::default(), Vec::new());
        Ok(EventStream { bytes: Box::pin(bytes), line, event, data, retry: None, comments: 0 })
    }
}

impl EventStream {
    /// The next event, which must come soon; none when the stream ends.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.next_ever()).await.expect("an event comes")
    }

    /// The next event, however long it takes.
    pub async fn next_ever(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            self.line.extend(self.bytes.next().await?.ok()?);
        }
    }

    /// So many events.
    pub async fn take_events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.next().await.expect("the stream goes on"));
        }
        events
    }

    /// Checks that nothing comes for a while but comments.
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

    /// Waits until a comment has come.
    pub async fn wait_for_comment(&mut self) {
        let before = self.comments;
        loop {
            assert_eq!(self.take(), None);
            if self.comments > before {
                return;
            }
            let piece = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("something comes");
            self.line.extend(piece.expect("the stream goes on").expect("whole"));
        }
    }

    /// The next event of what has come.
    fn take(&mut self) -> Option<Event> {
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let line = std::mem::replace(&mut self.line, rest);
            let line = std::str::from_utf8(&line[..end]).expect("UTF-8");
            assert!(!line.contains('\r'), "one kind of line end is enough");
            if line.is_empty() {
                if self.data.is_empty() {
                    continue;
                }
                let data = std::mem::take(&mut self.data).join("\n");
                let mut event = std::mem::take(&mut self.event);
                event.data = serde_json::from_str(&data).expect("JSON");
                return Some(event);
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "id" => self.event.id = value.parse().expect("a position"),
                "event" => value.clone_into(&mut self.event.kind),
                "data" => self.data.push(value.to_owned()),
                "retry" => self.retry = Some(value.parse().expect("milliseconds")),
                other => panic!("no field of the standard: {other}"),
            }
        }
        None
    }
}
