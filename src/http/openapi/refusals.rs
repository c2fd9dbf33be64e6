//! The problems that a call may answer with, in the API's document: those that share a status make one
//! response.

use std::collections::{BTreeMap, HashSet};

use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AllOf, AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    Components, ContentBuilder, Header, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    example::ExampleBuilder,
};
use utoipa::{IntoResponses, PartialSchema};

use super::{add_header, headers, schema};
use crate::http::answer::codes::{Code, Kind};
use crate::http::answer::problem::{Problem, ProblemBody, Replay};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $([$($code:ident),+])+;)+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    [$(reference(&[$(Code::$code),+])),+].into()
                }
            }
        )+

        fn of_calls() -> BTreeMap<String, RefOr<Response>> {
            [$($(component(&[$(Code::$code),+])),+),+].into()
        }
    };
}

refusals! {
    /// The refusals of every call that takes a body.
    OfCall: [InvalidJson, InvalidField, InvalidHost] [RequestTimeout] [BodyTooLarge] [UnsupportedMediaType] [Internal]
        [Starting, Overloaded, Behind, ShuttingDown];
    /// The further refusals of every write.
    OfWrite: [IdempotencyKeyReused] [Starting, Overloaded, Unavailable, Unconfirmed, Behind, ShuttingDown] [StorageFull];
    /// The refusals of a stream of events.
    OfEvents: [InvalidField, InvalidHost] [Internal] [Starting, Overloaded, Behind, ShuttingDown];
    /// The refusals of `/metrics`.
    OfMetrics: [InvalidHost] [Internal] [Starting];
    NoSuchUser: [UserNotFound];
    NoSuchChat: [ChatNotFound];
    NoSuchUserOrChat: [UserNotFound, ChatNotFound];
    NotAMember: [NotAMember];
    NameTaken: [UsernameTaken];
    ChatNameTakenOrUserErased: [ChatNameTaken, UserErased];
    ChatNameTakenOrDirect: [ChatNameTaken, DirectChat];
    NameTakenOrUserErased: [UsernameTaken, UserErased];
    UserErased: [UserErased];
    DirectChat: [DirectChat];
    DirectChatOrUserErased: [DirectChat, UserErased];
    NoSuchMessage: [UserNotFound, ChatNotFound, MessageNotFound];
    NotTheAuthor: [NotAMember, NotTheAuthor];
    MessageDeleted: [MessageDeleted];
    NoReactions: [MessageDeleted, TooManyReactions];
    HistoryChanged: [HistoryChanged];
}

/// The refusals of `/health`, which also show the progress of the replay.
pub(crate) struct OfHealth;

impl IntoResponses for OfHealth {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let schema = schema_of(&[Code::Starting, Code::Behind]);
        let replay = Replay {
            replayed: 1_200_000,
            replayed_bytes: 117_440_512,
            total_bytes: 201_326_592,
            is_reading_stream: false,
        };
        let behind = Problem::new(Code::Behind, "this server may lack the last 12000 ms of the log");
        let problems = vec![(Code::Starting, Problem::starting_at(replay)), (Code::Behind, behind)];
        [
            (status(&[Code::Starting]), response(problems, schema).into()),
            reference(&[Code::InvalidField, Code::InvalidHost]),
            reference(&[Code::Internal]),
        ]
        .into()
    }
}

/// Returns the responses that calls refer to, by name, and those to paths and methods that are not calls.
pub(crate) fn components() -> BTreeMap<String, RefOr<Response>> {
    let of_no_call = [[Code::RouteNotFound], [Code::MethodNotAllowed]];
    of_calls().into_iter().chain(of_no_call.iter().map(|codes| component(codes))).collect()
}

/// Adds refusals to a call, after those of the same status that it has.
pub(super) fn add(operation: &mut Operation, components: &mut Components, codes: &[Code]) {
    let mut by_status = BTreeMap::<String, Vec<Code>>::new();
    for &code in codes {
        by_status.entry(status(&[code])).or_default().push(code);
    }
    for (status, mut codes) in by_status {
        let responses = &mut operation.responses.responses;
        if let Some(RefOr::Ref(response)) = responses.get(&status) {
            let (_, name) = response.ref_location.rsplit_once('/').expect("a reference is a path");
            let known: Vec<_> = name.split("-or-").map(|name| Code::named(name).expect("a code")).collect();
            codes.retain(|code| !known.contains(code));
            codes.splice(0..0, known);
        }
        let (name, mut response) = component(&codes);
        add_header(&mut response, headers::REQUEST_ID);
        components.responses.entry(name).or_insert(response);
        responses.insert(status, reference(&codes).1);
    }
}

/// Removes the responses that no call refers to.
pub(super) fn remove_unused(api: &mut OpenApi) {
    let mut used: HashSet<_> = [Code::RouteNotFound, Code::MethodNotAllowed].map(|code| name(&[code])).into();
    for item in api.paths.paths.values() {
        for operation in [&item.get, &item.post].into_iter().flatten() {
            let references = operation.responses.responses.values().filter_map(|response| match response {
                RefOr::Ref(reference) => reference.ref_location.rsplit_once('/'),
                RefOr::T(_) => None,
            });
            used.extend(references.map(|(_, name)| name.to_owned()));
        }
    }
    let components = api.components.get_or_insert_with(Components::new);
    components.responses.retain(|name, _| used.contains(name));
}

fn component(codes: &[Code]) -> (String, RefOr<Response>) {
    let problems = codes.iter().map(|&code| (code, example(code))).collect();
    (name(codes), response(problems, schema_of(codes)).into())
}

fn reference(codes: &[Code]) -> (String, RefOr<Response>) {
    (status(codes), Ref::from_response_name(name(codes)).into())
}

fn name(codes: &[Code]) -> String {
    codes.iter().map(|code| code.kind().name).collect::<Vec<_>>().join("-or-")
}

fn status(codes: &[Code]) -> String {
    codes[0].kind().status.as_str().to_owned()
}

fn response(problems: Vec<(Code, Problem)>, schema: AllOf) -> Response {
    let described =
        problems.iter().map(|(code, _)| format!("`{}`: {}.", code.kind().name, code.kind().title));
    let description = described.collect::<Vec<_>>().join(" ");
    let status = problems[0].0.kind().status;
    let examples = problems.into_iter().map(|(code, problem)| {
        let Kind { name, title, .. } = code.kind();
        let example = ExampleBuilder::new().summary(title).value(Some(problem.example(REQUEST_ID)));
        (name, RefOr::T(example.build()))
    });
    let content = ContentBuilder::new().schema(Some(Schema::AllOf(schema))).examples_from_iter(examples);
    let mut response =
        ResponseBuilder::new().description(description).content("application/problem+json", content.build());
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        response = response.header("Retry-After", retry_after());
    }
    if status == StatusCode::UNAUTHORIZED {
        response = response.header("WWW-Authenticate", www_authenticate());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header("Allow", allow());
    }
    response.build()
}

/// Returns the schema of a problem with one of these codes.
///
/// The condition always holds, because a problem has a code. Generators of clients ignore it and use the one class of
/// all problems; they would make a class of each status from a second item of `allOf`.
fn schema_of(codes: &[Code]) -> AllOf {
    let words: Vec<_> = codes.iter().map(|code| code.kind().name).collect();
    let status = codes[0].kind().status.as_u16();
    let these = json!({ "properties": { "status": { "const": status }, "code": { "enum": words } } });
    let condition = schema::keyword("dependentSchemas", json!({ "code": these }));
    AllOfBuilder::new().item(schema::reference::<ProblemBody<'_>>()).extensions(Some(condition)).build()
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds.")).example(Some(json!("1"))).build()
}

fn www_authenticate() -> Header {
    HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some("The kind of credentials that the call needs (RFC 6750)."))
        .example(Some(json!("Bearer realm=\"chinwag\"")))
        .build()
}

fn allow() -> Header {
    HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some("The methods that the route answers."))
        .build()
}

const REQUEST_ID: &str = "01a20aa4-0a52-7a91-8c3d-5d1f6e7a2b90";

/// Returns the example that stands in the table of codes.
fn example(code: Code) -> Problem {
    let problem = Problem::usual(code);
    match code.kind().field {
        Some(field) => problem.blaming(field),
        None => problem,
    }
}
