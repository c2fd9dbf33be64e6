//! How what one call answers goes into another: OpenAPI's links.

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;

/// From a call, to another one, with a body.
fn links() -> [(&'static str, &'static str, Value); 12] {
    let (user, chat) = ("$response.body#/id", "$response.body#/id");
    let (of_chat, author) = ("$request.body#/chat", "$request.body#/author");
    let first = "$request.body#/users/0";
    [
        ("users_add", "users_get", json!({ "user": user })),
        ("users_add", "chats_add", json!({ "users": [user] })),
        ("users_add", "chats_get", json!({ "user": user })),
        ("chats_add", "chats_get", json!({ "user": first })),
        ("chats_add", "chats_users_add", json!({ "chat": chat, "user": first })),
        ("chats_add", "chats_users_remove", json!({ "chat": chat, "user": first })),
        ("chats_add", "messages_add", json!({ "chat": chat, "author": first })),
        ("chats_add", "messages_get", json!({ "chat": chat })),
        ("messages_add", "messages_add", json!({ "chat": of_chat, "author": author })),
        ("messages_add", "messages_get", json!({ "chat": of_chat })),
        (
            "messages_add",
            "chats_read",
            json!({ "chat": of_chat, "user": author, "seq": "$response.body#/seq" }),
        ),
        ("messages_add", "chats_get", json!({ "user": author })),
    ]
}

pub(super) fn add(operation: &mut Operation, id: &str) {
    let done = operation.responses.responses.iter_mut().find(|(status, _)| status.starts_with('2'));
    let Some((_, RefOr::T(done))) = done else { return };
    for (_, to, body) in links().into_iter().filter(|(from, ..)| *from == id) {
        let link = LinkBuilder::new().operation_id(to).request_body(Some(body));
        done.links.insert(to.to_owned(), RefOr::T(link.build()));
    }
}
