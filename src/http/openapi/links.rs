//! OpenAPI's links: which part of one call's answer goes into another call.

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::Operation;

struct Link {
    from: &'static str,
    to: &'static str,
    body: Value,
}

fn links() -> [Link; 12] {
    let (user, chat) = ("$response.body#/id", "$response.body#/id");
    let (of_chat, author) = ("$request.body#/chat", "$request.body#/author");
    let first = "$request.body#/users/0";
    [
        Link { from: "users_add", to: "users_get", body: json!({ "user": user }) },
        Link { from: "users_add", to: "chats_add", body: json!({ "users": [user] }) },
        Link { from: "users_add", to: "chats_get", body: json!({ "user": user }) },
        Link { from: "chats_add", to: "chats_get", body: json!({ "user": first }) },
        Link { from: "chats_add", to: "chats_users_add", body: json!({ "chat": chat, "user": first }) },
        Link { from: "chats_add", to: "chats_users_remove", body: json!({ "chat": chat, "user": first }) },
        Link { from: "chats_add", to: "messages_add", body: json!({ "chat": chat, "author": first }) },
        Link { from: "chats_add", to: "messages_get", body: json!({ "chat": chat }) },
        Link { from: "messages_add", to: "messages_add", body: json!({ "chat": of_chat, "author": author }) },
        Link { from: "messages_add", to: "messages_get", body: json!({ "chat": of_chat }) },
        Link {
            from: "messages_add",
            to: "chats_read",
            body: json!({ "chat": of_chat, "user": author, "seq": "$response.body#/seq" }),
        },
        Link { from: "messages_add", to: "chats_get", body: json!({ "user": author }) },
    ]
}

pub(super) fn add(operation: &mut Operation, id: &str) {
    let done = operation.responses.responses.iter_mut().find(|(status, _)| status.starts_with('2'));
    let Some((_, RefOr::T(done))) = done else { return };
    for Link { to, body, .. } in links().into_iter().filter(|link| link.from == id) {
        let link = LinkBuilder::new().operation_id(to).request_body(Some(body));
        done.links.insert(to.to_owned(), RefOr::T(link.build()));
    }
}
