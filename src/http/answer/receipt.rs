//! The answer to a write: what it created, and its position in the log.

use std::cell::RefCell;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::bodies::{AddedBody, EditedBody, TokensFromBody};
use super::list;
use super::message_json::SentJson;
use crate::engine::Accepted;
use crate::http::headers::REPLAYED;
use crate::model::{Outcome, SentMessage};

/// Answers an accepted write with its receipt.
pub(crate) fn respond(Accepted { receipt, replayed }: &Accepted) -> Response {
    let mut response = match &receipt.outcome {
        Outcome::User(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Chat(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Message(sent) => created_json(sent_json(sent)),
        Outcome::Messages(sent) => created_json(all_sent_json(sent)),
        Outcome::TokensFrom(from) => super::json(&TokensFromBody { tokens_from: *from }),
        Outcome::ExistingChat(id) => super::json(&AddedBody { id: (*id).into() }),
        Outcome::EditedAt(edited_at) => super::json(&EditedBody { edited_at: *edited_at }),
        Outcome::Done => StatusCode::NO_CONTENT.into_response(),
    };
    if *replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    super::at(receipt.position, response)
}

fn created(body: &impl Serialize) -> Response {
    created_json(super::to_json(body))
}

fn created_json(json: Vec<u8>) -> Response {
    (StatusCode::CREATED, super::of_json(json)).into_response()
}

fn sent_json(sent: &SentMessage) -> Vec<u8> {
    thread_local! {
        // Kept for its date, which is computed again only if the day is not that of the thread's last receipt.
        static JSON: RefCell<SentJson> = const { RefCell::new(SentJson::new()) };
    }
    let mut out = Vec::with_capacity(SentJson::BYTES_MAX);
    JSON.with_borrow_mut(|json| json.push(&mut out, sent));
    out
}

fn all_sent_json(sent: &[SentMessage]) -> Vec<u8> {
    let mut json = SentJson::new();
    let mut out = Vec::with_capacity(2 + sent.len() * (SentJson::BYTES_MAX + 1));
    out.push(b'[');
    for sent in sent {
        json.push(&mut out, sent);
        out.push(b',');
    }
    list::close(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;
    use crate::domain::Position;
    use crate::model::Receipt;

    #[tokio::test]
    async fn a_revocation_answers_with_its_time() {
        let outcome = Outcome::TokensFrom(1_795_446_256);
        let receipt = Receipt { position: Position(7), outcome };
        let response = respond(&Accepted { receipt, replayed: true });
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["chinwag-position"], "7");
        assert_eq!(response.headers()[REPLAYED], "true");
        let body = to_bytes(response.into_body(), 100).await.expect("a body");
        assert_eq!(body, br#"{"tokens_from":1795446256}"#[..]);
    }
}
