//! Which problems a call may answer with, for the document: those that share a status make one response.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::schema::{AllOf, AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder, example::ExampleBuilder,
};
use utoipa::{IntoResponses, PartialSchema};

use super::problem::{Body, Code, Problem, Replay};
use super::schema;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $([$($code:ident),+])+;)+) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

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
    /// Of every call that takes a body.
    OfCall: [InvalidJson, InvalidField] [RequestTimeout] [BodyTooLarge] [UnsupportedMediaType] [Internal]
        [Starting, Overloaded, ShuttingDown];
    /// Of every write.
    OfWrite: [IdempotencyKeyReused] [StorageFull];
    /// Of a stream of events.
    OfEvents: [InvalidField] [Internal] [Starting, ShuttingDown];
    /// Of `/metrics`.
    OfMetrics: [Internal] [Starting];
    NoSuchUser: [UserNotFound];
    NoSuchChat: [ChatNotFound];
    NoSuchUserOrChat: [UserNotFound, ChatNotFound];
    NotAMember: [NotAMember];
    NameTaken: [UsernameTaken];
    ChatNameTaken: [ChatNameTaken];
}

/// Of `/health`: it also tells how far the replay is.
pub(super) struct OfHealth;

impl IntoResponses for OfHealth {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut schema = schema_of(&[Code::Starting]);
        schema.items.push(schema::reference::<Replay>());
        let replay = Replay { replayed: 1_200_000, replayed_bytes: 117_440_512, total_bytes: 201_326_592 };
        let starting = response(vec![(Code::Starting, Problem::starting_at(replay))], schema);
        [(status(&[Code::Starting]), starting.into()), reference(&[Code::Internal])].into()
    }
}

/// All that are referred to, by name, and those of what is no call.
pub(super) fn components() -> BTreeMap<String, RefOr<Response>> {
    let of_none = [[Code::RouteNotFound], [Code::MethodNotAllowed]];
    of_calls().into_iter().chain(of_none.iter().map(|codes| component(codes))).collect()
}

fn component(codes: &[Code]) -> (String, RefOr<Response>) {
    let problems = codes.iter().map(|&code| (code, example(code))).collect();
    (name(codes), response(problems, schema_of(codes)).into())
}

fn reference(codes: &[Code]) -> (String, RefOr<Response>) {
    (status(codes), Ref::from_response_name(name(codes)).into())
}

fn name(codes: &[Code]) -> String {
    codes.iter().map(|code| code.parts().1).collect::<Vec<_>>().join("-or-")
}

fn status(codes: &[Code]) -> String {
    codes[0].parts().0.as_str().to_owned()
}

fn response(problems: Vec<(Code, Problem)>, schema: AllOf) -> Response {
    let described = problems.iter().map(|(code, _)| format!("`{}`: {}.", code.parts().1, code.parts().2));
    let description = described.collect::<Vec<_>>().join(" ");
    let status = problems[0].0.parts().0;
    let examples = problems.into_iter().map(|(code, problem)| {
        let (_, code, title) = code.parts();
        let example = ExampleBuilder::new().summary(title).value(Some(problem.example(REQUEST_ID)));
        (code, RefOr::T(example.build()))
    });
    let content = ContentBuilder::new().schema(Some(Schema::AllOf(schema))).examples_from_iter(examples);
    let mut response =
        ResponseBuilder::new().description(description).content("application/problem+json", content.build());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header("Retry-After", retry_after());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header("Allow", allow());
    }
    response.build()
}

fn schema_of(codes: &[Code]) -> AllOf {
    let words = codes.iter().map(|code| code.parts().1);
    let these = ObjectBuilder::new()
        .property(
            "status",
            ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([codes[0].parts().0.as_u16()])),
        )
        .property("code", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)));
    AllOfBuilder::new().item(schema::reference::<Body<'_>>()).item(these).build()
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+$"));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds.")).example(Some(json!("1"))).build()
}

fn allow() -> Header {
    HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some("The methods that the route answers."))
        .build()
}

const REQUEST_ID: &str = "01a20aa4-0a52-7a91-8c3d-5d1f6e7a2b90";

/// What the server says, or would.
fn example(code: Code) -> Problem {
    const NOBODY: &str = "9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10";
    let (detail, field) = match code {
        Code::InvalidJson => ("the body is not JSON: expected value at line 1 column 14".to_owned(), None),
        Code::InvalidField => ("username must not be empty; it is \"\"".to_owned(), Some("username")),
        Code::NotAMember => (
            "user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43 is not a member of chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5"
                .to_owned(),
            Some("author"),
        ),
        Code::UserNotFound => (format!("there is no user {NOBODY}"), Some("user")),
        Code::ChatNotFound => (format!("there is no chat {NOBODY}"), Some("chat")),
        Code::RouteNotFound => ("there is no route /nothing".to_owned(), None),
        Code::MethodNotAllowed => {
            ("/users/add does not answer GET; the header Allow says what it answers".to_owned(), None)
        }
        Code::RequestTimeout => ("the body did not arrive in time".to_owned(), None),
        Code::UsernameTaken => ("another user is named ann".to_owned(), Some("username")),
        Code::ChatNameTaken => ("another chat is named tea".to_owned(), Some("name")),
        Code::BodyTooLarge => ("the body has 1048577 bytes; it may have 1048576".to_owned(), None),
        Code::UnsupportedMediaType => {
            ("the body must be sent as application/json; it came without a content type".to_owned(), None)
        }
        Code::IdempotencyKeyReused => (
            "the key 7f3a-1 was used for another call, or for other values".to_owned(),
            Some("Idempotency-Key"),
        ),
        Code::Internal => return Problem::internal(),
        Code::Starting => return Problem::starting(),
        Code::Overloaded => ("too many writes are waiting for the disk; nothing was stored".to_owned(), None),
        Code::ShuttingDown => ("the server is shutting down; nothing was stored".to_owned(), None),
        Code::StorageFull => {
            ("there is no room on the disk; nothing was stored, and reads go on".to_owned(), None)
        }
    };
    let problem = Problem::new(code, detail);
    match field {
        Some(field) => problem.blaming(field),
        None => problem,
    }
}
