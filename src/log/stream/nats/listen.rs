//! The tasks that hear what happens to the stream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::ask::{ANSWER_TIMEOUT, NO_STREAM, ask, is_led, sequence_of};
use super::news::News;
use crate::log::stream::wanted::stored_subject;

/// Time between two questions about the stream.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Questions without an answer after which another node is connected to.
const SILENT_HEARTBEATS_MAX: u32 = 3;

/// Notes each message that the nodes say is stored.
pub(super) async fn hear_stored(client: Client, stream: String, news: Arc<News>) {
    loop {
        let stored = timeout(ANSWER_TIMEOUT, client.subscribe(stored_subject(&stream))).await;
        if let Ok(Ok(stored)) = stored {
            note_all(stored, &news).await;
        }
        sleep(HEARTBEAT).await;
    }
}

pub(super) async fn note_all(mut stored: Subscriber, news: &News) {
    while let Some(message) = stored.next().await {
        if let Some(sequence) = sequence_of(&message) {
            news.note(sequence);
        }
    }
}

/// Asks the node that leads what the stream is. If there is no answer, another node is connected to: the one that is
/// connected to may be cut off from the others.
pub(super) async fn ask_each_second(client: Client, stream: String, news: Arc<News>) {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let (mut beats, mut silent) = (interval(HEARTBEAT), 0);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if client.connection_state() != State::Connected {
            continue;
        }
        let asked = news.ask();
        match ask(&client, &subject, Vec::new()).await {
            Ok(info) if info["state"].is_object() && is_led(&info) => {
                silent = 0;
                news.tell(asked, &info);
            }
            Ok(answer) if answer["error"]["err_code"] == NO_STREAM => {
                silent = 0;
                news.tell_gone();
            }
            Ok(_) | Err(_) => silent += 1,
        }
        if silent >= SILENT_HEARTBEATS_MAX {
            silent = 0;
            tracing::warn!(stream, "no node says what the stream is; connecting to another one");
            // A full queue of commands is that of a lost connection.
            drop(timeout(ANSWER_TIMEOUT, client.force_reconnect()).await);
        }
    }
}
