//! Questions of one server to another. Each server has a subject of its own, on which it is asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, RequestErrorKind, Subscriber};
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::Connection;
use super::ask::{ANSWER_TIMEOUT, request};
use super::listen::HEARTBEAT;
use crate::log::stream::{Answerer, PeerReply, Peers, WriterId};

/// Maximum questions that are answered at a time. The others wait in the client.
const ANSWERING_MAX: usize = 4096;
/// Time between two attempts to be asked.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Returns the subject on which a server is asked by others.
fn write_subject(stream: &str, server: WriterId) -> String {
    format!("{stream}.write.{server}")
}

/// The other servers on a stream.
pub(super) struct NatsPeers {
    pub(super) connection: Arc<Connection>,
    pub(super) stream: String,
    /// This server.
    pub(super) own: WriterId,
    /// Deadline of an answer.
    pub(super) answer_timeout: Duration,
    /// Whether servers can be asked: this one has got an answer from itself.
    pub(super) can_ask: Arc<AtomicBool>,
}

impl Peers for NatsPeers {
    fn ask(
        &self,
        writer: WriterId,
        question: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = PeerReply> + Send + '_>> {
        Box::pin(async move {
            if !self.can_ask.load(Ordering::Relaxed) || !self.connection.is_up() {
                return PeerReply::Undelivered;
            }
            let subject = write_subject(&self.stream, writer);
            let client = &self.connection.client;
            match request(client, &subject, HeaderMap::new(), question, self.answer_timeout).await {
                Ok(answer) => PeerReply::Answer(answer.payload.into()),
                // Nobody has received it.
                Err(
                    RequestErrorKind::NoResponders
                    | RequestErrorKind::MaxPayloadExceeded
                    | RequestErrorKind::InvalidSubject,
                ) => PeerReply::Undelivered,
                Err(RequestErrorKind::TimedOut | RequestErrorKind::Other) => PeerReply::Silent,
            }
        })
    }

    fn answer_by(&self, answerer: Answerer) {
        let (client, subject) = (&self.connection.client, write_subject(&self.stream, self.own));
        let (client, can_ask, answerer) = (client.clone(), Arc::clone(&self.can_ask), Arc::new(answerer));
        self.connection.runtime().spawn(async move {
            ask_oneself(&client, &subject).await;
            can_ask.store(true, Ordering::Relaxed);
            answer_all(client, subject, answerer).await;
        });
    }
}

async fn answer_all(client: Client, subject: String, answerer: Arc<Answerer>) {
    let answering = Arc::new(Semaphore::new(ANSWERING_MAX));
    loop {
        if let Ok(Ok(questions)) = timeout(ANSWER_TIMEOUT, client.subscribe(subject.clone())).await {
            answer_each(questions, &client, &answerer, &answering).await;
        }
        sleep(HEARTBEAT).await;
    }
}

async fn answer_each(
    mut questions: Subscriber,
    client: &Client,
    answerer: &Arc<Answerer>,
    answering: &Arc<Semaphore>,
) {
    while let Some(Message { payload, reply, .. }) = questions.next().await {
        let Some(reply) = reply else { continue };
        let permit = Arc::clone(answering).acquire_owned().await.expect("the semaphore is never closed");
        let (client, answer) = (client.clone(), answerer(payload.into()));
        tokio::spawn(async move {
            // Without an answer, the server that asks reports the write as unconfirmed.
            drop(client.publish(reply, answer.await.into()).await);
            drop(permit);
        });
    }
}

/// Waits until the nodes let servers ask each other, as a question to this server itself shows. A question that the nodes
/// drop would only time out. It has a subject of its own: until it is answered, nobody is to get a question here.
async fn ask_oneself(client: &Client, subject: &str) {
    let own = format!("{subject}.self");
    let mut is_warned = false;
    while !is_answered(client, &own).await {
        if !std::mem::replace(&mut is_warned, true) {
            tracing::warn!(
                subject,
                "no write is sent to the server that writes: this user may not publish and subscribe to the subject, or \
                 may not publish its answers as _INBOX.>"
            );
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Returns whether a question on this subject is let through, and its answer as well.
async fn is_answered(client: &Client, subject: &str) -> bool {
    let subscribed = timeout(ANSWER_TIMEOUT, client.subscribe(subject.to_owned())).await;
    let Ok(Ok(mut questions)) = subscribed else { return false };
    let answering = async {
        while let Some(Message { reply: Some(reply), .. }) = questions.next().await {
            drop(client.publish(reply, Vec::new().into()).await);
        }
    };
    tokio::select! {
        answer = request(client, subject, HeaderMap::new(), Vec::new(), ANSWER_TIMEOUT) => answer.is_ok(),
        () = answering => false,
    }
}
