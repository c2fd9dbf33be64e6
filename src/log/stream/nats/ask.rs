//! Questions to the nodes, and what their answers say.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use crate::log::stream::Published;
use crate::log::stream::wanted::subject;

/// Deadline for the answer to a question.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Deadline for the next message of those that were asked for together.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum messages that are read together.
pub(super) const READ_MESSAGES_MAX: u32 = 256;
/// The code of JetStream for a stream that does not exist.
pub(super) const NO_STREAM: u64 = 10059;
/// The code for a message that does not exist.
pub(super) const NO_MESSAGE: u64 = 10037;
/// The code for an expected sequence that is not the last one.
pub(super) const WRONG_LAST_SEQUENCE: u64 = 10071;

/// Time without a sign of most of the other nodes after which a node is not believed to lead. They hear from each
/// other each second, and elect another one after 4 s without a word from the one that leads.
const UNHEARD_MAX: Duration = Duration::from_secs(3);

/// Returns whether what a node tells of a stream is what a leader tells. A node that is cut off from the others goes on
/// to answer: as the leader for up to 20 s, and then for a stream that nobody leads.
pub(super) fn is_led(info: &Value) -> bool {
    // Without a cluster, there is one node.
    let Some(cluster) = info["cluster"].as_object() else { return true };
    let leader = cluster.get("leader").and_then(Value::as_str);
    let others = cluster.get("replicas").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_heard = |node: &&Value| {
        node["active"].as_u64().is_some_and(|nanos| Duration::from_nanos(nanos) <= UNHEARD_MAX)
    };
    let heard = others.iter().filter(is_heard).count();
    // The leader itself is one of them.
    leader.is_some_and(|name| !name.is_empty()) && 2 * (heard + 1) > others.len() + 1
}

/// Returns what an answer says of an error.
pub(super) fn said(answer: &Value) -> String {
    let error = &answer["error"];
    format!("{} ({})", error["description"].as_str().unwrap_or("an error"), error["err_code"])
}

/// Sends a request, and waits for its answer.
pub(super) async fn request(
    client: &Client,
    subject: &str,
    headers: HeaderMap,
    payload: Vec<u8>,
    patience: Duration,
) -> Result<Message, RequestErrorKind> {
    let request = Request::new().headers(headers).payload(payload.into()).timeout(Some(patience));
    // The client's own deadline begins when the request is sent, which a lost connection may delay.
    let answered = timeout(patience, client.send_request(subject.to_owned(), request)).await;
    answered.map_err(|_| RequestErrorKind::TimedOut)?.map_err(|error| error.kind())
}

/// Asks JetStream. Returns a sentence if there is no answer.
pub(super) async fn ask(client: &Client, subject: &str, question: Vec<u8>) -> Result<Value, String> {
    ask_within(client, subject, question, ANSWER_TIMEOUT).await
}

pub(super) async fn ask_within(
    client: &Client,
    subject: &str,
    question: Vec<u8>,
    patience: Duration,
) -> Result<Value, String> {
    let answered = request(client, subject, HeaderMap::new(), question, patience).await;
    let answer = answered.map_err(|kind| format!("no answer to {subject}: {kind}"))?;
    serde_json::from_slice(&answer.payload).map_err(|_| format!("the answer to {subject} is not JSON"))
}

pub(super) async fn publish(
    client: &Client,
    stream: &str,
    expected: u64,
    message: &[u8],
    patience: Duration,
) -> Published {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", expected.to_string().as_str());
    headers.insert("Nats-Expected-Stream", stream);
    match request(client, &subject(stream), headers, message.to_vec(), patience).await {
        Ok(answer) => published(&answer.payload),
        // Nobody has received it.
        Err(
            RequestErrorKind::NoResponders
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::InvalidSubject,
        ) => Published::Nowhere,
        Err(RequestErrorKind::TimedOut | RequestErrorKind::Other) => Published::Unknown,
    }
}

/// Returns the outcome that the answer to a publication tells.
pub(super) fn published(answer: &[u8]) -> Published {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return Published::Unknown };
    let error = &answer["error"];
    match (answer["seq"].as_u64(), error["err_code"].as_u64()) {
        (Some(sequence), None) => Published::At(sequence),
        (_, Some(WRONG_LAST_SEQUENCE)) => Published::Conflict,
        // A leader that could not store what was committed uses the same code with other words.
        (_, Some(10077))
            if error["description"]
                .as_str()
                .is_some_and(|what| what.starts_with("maximum bytes exceeded")) =>
        {
            Published::Full
        }
        // The limits of the account and of the nodes' storage.
        (_, Some(10047 | 10023 | 10002)) => Published::Full,
        // Not the leader, not available, too large, sealed: said before anything is proposed.
        (_, Some(10008 | 10009 | 10054 | 10109)) => Published::Nowhere,
        _ => Published::Unknown,
    }
}

/// Asks for the last sequence by a publication that cannot succeed.
pub(super) async fn probe(client: &Client, stream: &str) -> Option<u64> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", u64::MAX.to_string().as_str());
    let answer = request(client, &subject(stream), headers, Vec::new(), ANSWER_TIMEOUT).await.ok()?;
    last_of_refusal(&answer.payload)
}

/// Returns the last sequence, which the refusal of a publication names.
pub(super) fn last_of_refusal(answer: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let error = &answer["error"];
    let is_refused = error["err_code"].as_u64() == Some(WRONG_LAST_SEQUENCE);
    error["description"].as_str().filter(|_| is_refused)?.rsplit(' ').next()?.parse().ok()
}

/// Reads messages together, from any node that has them.
pub(super) async fn read_many(
    client: &Client,
    stream: &str,
    from: u64,
    bytes_max: usize,
) -> Option<Vec<(u64, Vec<u8>)>> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.ok()?;
    let question = format!("{{\"seq\":{from},\"batch\":{READ_MESSAGES_MAX},\"max_bytes\":{bytes_max}}}");
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    client.publish_with_reply(subject, inbox, question.into()).await.ok()?;
    let mut read = Vec::new();
    loop {
        match timeout(READ_TIMEOUT, answers.next()).await {
            Ok(Some(Message { status: Some(StatusCode::NO_RESPONDERS), .. })) => return None,
            // That was all, or there is nothing.
            Ok(Some(Message { status: Some(_), .. })) => return Some(read),
            Ok(Some(message)) => read.push((sequence_of(&message)?, message.payload.into())),
            // The connection is lost, or the node is silent.
            Ok(None) | Err(_) => return Some(read).filter(|read| !read.is_empty()),
        }
    }
}

/// Reads a message from the node that leads.
pub(super) async fn read_one(client: &Client, stream: &str, sequence: u64) -> Option<Vec<(u64, Vec<u8>)>> {
    let question = format!("{{\"seq\":{sequence}}}");
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let answer = ask(client, &subject, question.into()).await.ok()?;
    match answer["error"]["err_code"].as_u64() {
        None => {
            let message = BASE64_STANDARD.decode(answer["message"]["data"].as_str()?).ok()?;
            Some(vec![(answer["message"]["seq"].as_u64()?, message)])
        }
        Some(NO_MESSAGE) => Some(Vec::new()),
        Some(_) => None,
    }
}

pub(super) fn sequence_of(message: &Message) -> Option<u64> {
    message.headers.as_ref()?.get("Nats-Sequence")?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_cut_off_does_not_lead() {
        let replicas = |actives: &[u64]| {
            actives.iter().map(|seconds| json!({ "active": seconds * 1_000_000_000 })).collect::<Vec<_>>()
        };
        for (leader, actives, led) in [
            (Some("n1"), &[0, 1][..], true),
            (Some("n1"), &[1, 60], true),
            (Some("n1"), &[4, 4], false),
            (Some("n1"), &[1, 1, 60, 60], true),
            (Some("n1"), &[1, 60, 60, 60], false),
            (Some("n1"), &[], true),
            (Some(""), &[0, 1], false),
            (None, &[0, 1, 1], false),
        ] {
            let cluster = json!({ "leader": leader, "replicas": replicas(actives) });
            assert_eq!(is_led(&json!({ "cluster": cluster })), led, "{leader:?} {actives:?}");
        }
        assert!(is_led(&json!({ "state": {} })), "a node without a cluster");
    }

    #[test]
    fn an_answer_tells_what_became_of_a_message() {
        let error = |code: u64, what: &str| json!({ "error": { "code": 400, "err_code": code, "description": what } });
        for (answer, outcome) in [
            (json!({ "stream": "tea", "seq": 5 }), Published::At(5)),
            (error(10071, "wrong last sequence: 9"), Published::Conflict),
            (error(10077, "maximum bytes exceeded"), Published::Full),
            (error(10077, "failed to store"), Published::Unknown),
            (error(10047, "insufficient storage"), Published::Full),
            (error(10008, "no leader"), Published::Nowhere),
            (error(1, "new"), Published::Unknown),
            (json!({}), Published::Unknown),
        ] {
            assert_eq!(published(answer.to_string().as_bytes()), outcome, "{answer}");
        }
        assert_eq!(published(b"no JSON"), Published::Unknown);
        let refused = error(10071, "wrong last sequence: 923").to_string();
        assert_eq!(last_of_refusal(refused.as_bytes()), Some(923));
        assert_eq!(last_of_refusal(json!({ "stream": "tea", "seq": 5 }).to_string().as_bytes()), None);
    }
}
