//! The answer to a write: what it created, and its position in the log.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::bodies::{AddedBody, EditedBody, SentBody, TokensFromBody};
use crate::engine::Accepted;
use crate::http::headers::REPLAYED;
use crate::model::Outcome;

/// Answers an accepted write with its receipt.
pub(crate) fn respond(Accepted { receipt, replayed }: &Accepted) -> Response {
    let mut response = match &receipt.outcome {
        Outcome::User(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Chat(id) => created(&AddedBody { id: (*id).into() }),
        Outcome::Message(sent) => created(&SentBody::from(sent)),
        Outcome::Messages(sent) => created(&sent.iter().map(SentBody::from).collect::<Vec<_>>()),
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
    (StatusCode::CREATED, super::json(body)).into_response()
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
