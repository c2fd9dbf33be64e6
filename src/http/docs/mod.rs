//! The API's own description: the document, and a page to read it and try it out.

mod examples;
mod links;

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::{Header, HeaderBuilder, Ref, RefOr, Required, Response as OpenApiResponse};
use utoipa_swagger_ui::Config;

use super::cursor::Cursor;
use super::events::{MemberEvent, ReadEvent};
use super::page::{self, CSS, HTML, SCRIPT};
use super::problem::{self, Code, Replay};
use super::{refusals, request_id, write};
use crate::domain::{
    ChatId, ChatName, MessageId, NewMessage, Position, Seq, Text, Timestamp, UserId, Username,
};

/// What the handlers do not say: the document's head, and the schemas that are only referred to.
#[derive(OpenApi)]
#[openapi(
    info(title = "Chinwag", description = include_str!("about.md"), license(name = "MIT", identifier = "MIT")),
    servers((url = "/")),
    tags(
        (name = "users", description = "Who talks."),
        (name = "chats", description = "Where they talk, and how far they have read."),
        (name = "messages", description = "What they say."),
        (name = "events", description = "What happens, live."),
        (name = "server", description = "How the server is, and what it can do."),
    ),
    components(schemas(
        UserId, ChatId, MessageId, Username, ChatName, Text, NewMessage, Seq, Position, Timestamp, Cursor, MemberEvent,
        ReadEvent, problem::Body, Code, Replay,
    ))
)]
pub(super) struct Api;

/// The document, made once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut api = super::routes().into_openapi();
    finish(&mut api);
    api.to_pretty_json().expect("a document is strings and numbers").into()
});

/// The OpenAPI 3.1 document: this one.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    responses((status = OK, description = "The document.", body = Object))
)]
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// A page to read the document on, and to try the calls.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "server",
    responses((status = OK, description = "The page.", body = String, content_type = "text/html"))
)]
pub(super) async fn page() -> Response {
    page::answer(HTML, POLICY, include_str!("index.html"))
}

/// What the page loads.
pub(super) const ASSETS: [Asset; 3] = [
    Asset { path: "/docs/start.js", answer: || page::answer(SCRIPT, POLICY, include_str!("start.js")) },
    Asset { path: "/docs/swagger-ui.css", answer: || vendored(CSS, "swagger-ui.css") },
    Asset { path: "/docs/swagger-ui-bundle.js", answer: || vendored(SCRIPT, "swagger-ui-bundle.js") },
];

pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) answer: fn() -> Response,
}

/// Only our own scripts and styles are run, and only we are talked to. Swagger UI's icons are in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of Swagger UI. It is sent compressed, as it is kept: whoever names no encodings takes any (RFC 9110, 12.5.3),
/// and browsers name gzip.
fn vendored(media_type: &'static str, name: &str) -> Response {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default()));
    let file = file.ok().flatten().expect("a file of Swagger UI");
    let mut response = page::answer(media_type, POLICY, file.bytes);
    if file.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// What holds of every call is said once, here.
fn finish(api: &mut utoipa::openapi::OpenApi) {
    api.info.description = api.info.description.as_deref().map(unwrapped);
    let components = api.components.get_or_insert_with(Components::new);
    components.responses.extend(refusals::components());
    components.responses.values_mut().for_each(|response| tell(response, REQUEST_ID));
    for (path, item) in &mut api.paths.paths {
        let mut request_id = request_id_parameter().into();
        move_header(&mut request_id, components);
        item.parameters = Some(vec![request_id]);
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let words = path.split(['/', '.']).filter(|word| !word.is_empty());
            let id = words.collect::<Vec<_>>().join("_");
            let id = if id.is_empty() { "page".to_owned() } else { id };
            finish_operation(operation, components);
            examples::add(operation, &id);
            links::add(operation, &id);
            operation.operation_id = Some(id);
        }
    }
    let headers = write::headers().map(|(name, header)| (name.to_owned(), header.into()));
    components.headers.extend(headers);
    components.headers.insert(REQUEST_ID.to_owned(), request_id_header().into());
}

fn finish_operation(operation: &mut Operation, components: &mut Components) {
    operation.description = operation.description.as_deref().map(unwrapped);
    let mut is_write = false;
    for parameter in operation.parameters.iter_mut().flatten() {
        is_write |= matches!(parameter, RefOr::T(parameter) if parameter.name == write::KEY);
        move_header(parameter, components);
    }
    let is_done = |status: &str| status.starts_with('2');
    for (status, response) in &mut operation.responses.responses {
        tell(response, REQUEST_ID);
        if is_write && is_done(status) {
            for (name, _) in write::headers() {
                tell(response, name);
            }
        }
    }
}

/// The text with its paragraphs each on one line: some viewers keep every line's end.
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

/// A header that a request may carry is told of once, among the components.
fn move_header(parameter: &mut RefOr<Parameter>, components: &mut Components) {
    if let RefOr::T(told) = parameter
        && told.parameter_in == ParameterIn::Header
    {
        let reference = Ref::new(format!("#/components/parameters/{}", told.name));
        let told = std::mem::replace(parameter, RefOr::Ref(reference));
        if let RefOr::T(told) = told {
            components.parameters.insert(told.name.clone(), told.into());
        }
    }
}

/// Adds one of the components' headers to an answer.
fn tell(response: &mut RefOr<OpenApiResponse>, header: &str) {
    if let RefOr::T(response) = response {
        let reference = Ref::new(format!("#/components/headers/{header}"));
        response.headers.insert(header.to_owned(), RefOr::Ref(reference));
    }
}

const REQUEST_ID: &str = "X-Request-Id";

/// What is no id is no fault either, so anything may be sent.
fn request_id_parameter() -> Parameter {
    ParameterBuilder::new()
        .name(REQUEST_ID)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Names the request in its answer and in what the server logs: 1 to 128 visible ASCII characters. Another \
             one is left aside, and one is made.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn request_id_header() -> Header {
    let description = "The request's id: the client's own, or one that was made.";
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(request_id::BYTES_MAX))
        .pattern(Some("^[!-~]+$"));
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::super::{App, router};
    use super::*;
    use crate::config::Limits;
    use crate::engine::ReplayProgress;

    #[tokio::test]
    async fn the_document_and_its_page_are_there_while_the_server_starts() {
        let limits = Limits { queue_max: 1, body_bytes_max: 1024, request_timeout_s: 1, connections_max: 1 };
        let router = router(Arc::new(App::starting(Arc::new(ReplayProgress::default()), limits)), None);
        for path in ["/docs", "/openapi.json"].into_iter().chain(ASSETS.map(|asset| asset.path)) {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let response = router.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status(), 200, "{path}");
        }
    }

    #[test]
    fn a_paragraph_is_put_on_one_line_and_a_table_stays_one() {
        assert_eq!(unwrapped("a\nb\n\nc\n\n| d |\n| - |\n\ne\nf\n"), "a b\n\nc\n\n| d |\n| - |\n\ne f");
    }
}
