//! The OpenAPI document of the API, from the calls' own types.

pub(crate) mod headers;
pub(crate) mod refusals;
pub(crate) mod schema;
mod security;

use axum::body::Bytes;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::{Ref, RefOr, Response};

use crate::domain::{
    ChatId, ChatName, ErasedMessages, MessageId, Position, Seq, Text, Timestamp, UserId, Username,
};
use crate::http::admission::Rule;
use crate::http::answer::bodies::UserBody;
use crate::http::answer::codes::Code;
use crate::http::answer::events::{
    BeginEvent, DeletedEvent, ErasedEvent, MemberEvent, ReactionEvent, ReadEvent,
};
use crate::http::answer::problem::ProblemBody;
use crate::http::cursor::{ChatCursor, UserCursor};
use crate::http::headers::IDEMPOTENCY_KEY;
use headers::{POSITION, REPLAYED, REQUEST_ID};

/// The parts of the document that do not belong to one call: its head, and the schemas that calls refer to.
#[derive(OpenApi)]
#[openapi(
    info(title = "Chinwag", description = include_str!("about.md"), license(name = "MIT", identifier = "MIT")),
    // Relative to the document, so that it is also right behind a proxy that adds a prefix to all paths.
    servers((url = ".", description = "The server that sends this document")),
    tags(
        (name = "users", description = "The people who chat."),
        (name = "chats", description = "Chats, their members, and the members' read marks."),
        (name = "messages", description = "Messages in the chats."),
        (name = "events", description = "Live streams of everything that a user sees."),
        (name = "server", description = "The server's state, and its documentation."),
    ),
    components(schemas(
        UserId, ChatId, MessageId, Username, ChatName, Text, Seq, Position, Timestamp, ChatCursor, UserCursor, ProblemBody,
        Code, UserBody, BeginEvent, MemberEvent, ReadEvent, DeletedEvent, ReactionEvent, ErasedEvent, ErasedMessages,
    ))
)]
struct Api;

/// A call, as the document describes it.
pub(crate) struct DescribedCall {
    pub(crate) path: String,
    pub(crate) item: PathItem,
    /// The schemas that `item` refers to.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) rule: Rule,
}

/// Returns the document of these calls as JSON, and adds the parts that are the same for every call. `is_keyed` says
/// whether calls need credentials.
pub(crate) fn document(calls: impl IntoIterator<Item = DescribedCall>, is_keyed: bool) -> Bytes {
    let mut api = Api::openapi();
    api.info.description = api.info.description.as_deref().map(unwrapped);
    let components = api.components.get_or_insert_with(Components::new);
    components.responses.extend(refusals::components());
    components.responses.values_mut().for_each(|response| add_header(response, REQUEST_ID));
    for DescribedCall { path, mut item, schemas, rule } in calls {
        components.schemas.extend(schemas);
        // Every POST is a write, or a read of what is in the log.
        let has_position = item.post.is_some();
        let may_ask_for_position = has_position || path == "/events";
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let words = path.split(['/', '.']).filter(|word| !word.is_empty());
            let id = words.collect::<Vec<_>>().join("_");
            let id = if id.is_empty() { "page".to_owned() } else { id };
            if is_keyed {
                security::secure(operation, components, rule);
            } else {
                refusals::add(operation, components, security::open_refusals(&path));
            }
            if may_ask_for_position {
                let parameters = operation.parameters.get_or_insert_with(Vec::new);
                parameters.push(headers::min_position_parameter().into());
            }
            finish(operation, components, has_position);
            operation.operation_id = Some(id);
        }
        api.paths.paths.insert(path, item);
    }
    for (name, header) in [
        (POSITION, headers::position()),
        (REPLAYED, headers::replayed()),
        (REQUEST_ID, headers::request_id()),
    ] {
        components.headers.insert(name.to_owned(), header.into());
    }
    if is_keyed {
        security::add_schemes(components);
    }
    refusals::remove_unused(&mut api);
    api.to_pretty_json().expect("a document is strings and numbers").into()
}

fn finish(operation: &mut Operation, components: &mut Components, has_position: bool) {
    operation.description = operation.description.as_deref().map(unwrapped);
    let mut is_write = false;
    // Not a parameter of the path, because Swagger UI does not show the name of one that is described elsewhere.
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    parameters.push(headers::request_id_parameter().into());
    for parameter in parameters {
        is_write |= matches!(parameter, RefOr::T(parameter) if parameter.name == IDEMPOTENCY_KEY.shown);
        move_header(parameter, components);
    }
    for (status, response) in &mut operation.responses.responses {
        add_header(response, REQUEST_ID);
        if has_position && status.starts_with('2') {
            add_header(response, POSITION);
            if is_write {
                add_header(response, REPLAYED);
            }
        }
    }
}

/// Joins the lines of each paragraph, because some viewers keep line breaks.
fn unwrapped(text: &str) -> String {
    let stands_alone = |line: &str| line.is_empty() || line.starts_with('|');
    let mut unwrapped = String::new();
    let mut before = None;
    for line in text.lines() {
        if let Some(before) = before {
            unwrapped.push(if stands_alone(before) || stands_alone(line) { '\n' } else { ' ' });
        }
        unwrapped.push_str(line);
        before = Some(line);
    }
    unwrapped
}

/// Moves a header that requests may carry to the components, where it is described once.
fn move_header(parameter: &mut RefOr<Parameter>, components: &mut Components) {
    if let RefOr::T(header) = parameter
        && header.parameter_in == ParameterIn::Header
    {
        let reference = Ref::new(format!("#/components/parameters/{}", header.name));
        let header = std::mem::replace(parameter, RefOr::Ref(reference));
        if let RefOr::T(header) = header {
            components.parameters.insert(header.name.clone(), header.into());
        }
    }
}

/// Adds one of the components' headers to an answer.
fn add_header(response: &mut RefOr<Response>, header: &str) {
    if let RefOr::T(response) = response {
        let reference = Ref::new(format!("#/components/headers/{header}"));
        response.headers.insert(header.to_owned(), RefOr::Ref(reference));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_tables_are_kept() {
        assert_eq!(unwrapped("a\nb\n\nc\n\n| d |\n| - |\n\ne\nf\n"), "a b\n\nc\n\n| d |\n| - |\n\ne f");
    }
}
