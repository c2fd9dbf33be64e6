//! The callers that each call admits, in the API's document of a server whose calls need credentials.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{RefOr, Required};

use super::{add_header, headers, refusals, schema};
use crate::access::Scope;
use crate::http::admission::{Rule, TOKEN, UserNeed};
use crate::http::answer::codes::Code;

const SERVER_KEY: &str = "server_key";
const USER_TOKEN: &str = "user_token";
const EVENTS_TOKEN: &str = "events_token";

/// Returns the refusals of a call on a server that needs no credentials.
pub(super) fn open_refusals(path: &str) -> &'static [Code] {
    if path == "/health" { &[Code::OriginRefused] } else { &[Code::HostRefused, Code::OriginRefused] }
}

/// Adds who may make a call, and how others are refused.
pub(super) fn secure(operation: &mut Operation, components: &mut Components, rule: Rule) {
    let Rule::Callers { keys, users, refusals } = rule else { return };
    let requirement =
        |scheme: &str, scopes: &[&str]| SecurityRequirement::new(scheme, scopes.iter().copied());
    let mut security = vec![requirement(SERVER_KEY, &[keys.least_scope()])];
    let mut codes = vec![
        Code::CredentialsMissing,
        Code::CredentialsInvalid,
        Code::TokenExpired,
        Code::TokenRevoked,
        Code::ScopeMissing,
        Code::RateLimited,
    ];
    match users {
        UserNeed::NotForUsers => codes.push(Code::ServerKeyRequired),
        UserNeed::OneOf([]) => security.push(requirement(USER_TOKEN, &[])),
        UserNeed::OneOf(scopes) => {
            security.extend(scopes.iter().map(|scope| requirement(USER_TOKEN, &[scope.name()])));
            if scopes.contains(&Scope::Events) {
                security.push(requirement(EVENTS_TOKEN, &[]));
            }
        }
    }
    codes.extend(refusals);
    refusals::add(operation, components, &codes);
    operation.security = Some(security);
    // The user whose events are followed. In a body, `add_schemes` does the same.
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "user"
        {
            parameter.required = Required::False;
            parameter.description.get_or_insert_default().push_str(
                " A user's token may leave it out: then it is that user. Without it, a server key follows everything: \
                 the events of all chats, each once.",
            );
        }
    }
    if let UserNeed::OneOf(_) = users {
        for (status, response) in &mut operation.responses.responses {
            if status.starts_with('2') {
                add_header(response, headers::RATE_LIMIT);
                add_header(response, headers::RATE_LIMIT_POLICY);
            }
        }
    }
}

/// Describes the credentials, and lets users leave out themselves.
pub(super) fn add_schemes(components: &mut Components) {
    let bearer =
        |description: &str| HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    let server_key = bearer(
        "A server key, `cw_` and 43 characters. It belongs to the application's own servers, and never in a browser or \
         an app.",
    );
    let user_token = bearer(
        "A JSON Web Token (RFC 7519) that the application's server signs for one of its users. The names beside it are \
         the scopes that a call needs.",
    );
    let events_token =
        ApiKeyValue::with_description(TOKEN, "A token of `/events/token`, for a stream's URL alone.");
    for (name, scheme) in [
        (SERVER_KEY, SecurityScheme::Http(server_key.build())),
        (USER_TOKEN, SecurityScheme::Http(user_token.bearer_format("JWT").build())),
        (EVENTS_TOKEN, SecurityScheme::ApiKey(ApiKey::Query(events_token))),
    ] {
        components.security_schemes.insert(name.to_owned(), scheme.into());
    }
    components.headers.insert(headers::RATE_LIMIT.to_owned(), headers::rate_limit().into());
    components.headers.insert(headers::RATE_LIMIT_POLICY.to_owned(), headers::rate_limit_policy().into());
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::Object(object)) = schema {
            for (name, property) in &mut object.properties {
                if let RefOr::Ref(reference) = property
                    && reference.description == schema::ACTING_USER
                {
                    reference.description.push_str(" A user's token may leave it out: then it is that user.");
                    object.required.retain(|required| required != name);
                }
            }
        }
    }
}
