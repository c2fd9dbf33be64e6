//! The table of problems: each code with its status, its title, and an example.

use axum::http::StatusCode;
use utoipa::ToSchema;

/// The properties that all problems of a code share.
pub(crate) struct Kind {
    pub(crate) status: StatusCode,
    /// The code as it is sent.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The detail of an example. For codes whose detail never varies, it is the detail itself.
    pub(crate) detail: &'static str,
    /// The field that the example blames.
    pub(crate) field: Option<&'static str>,
}

macro_rules! codes {
    ($($code:ident: $status:ident, $name:literal, $title:literal, $detail:literal $(, blaming $field:literal)?;)+) => {
        /// A stable name for what went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
        #[schema(rename_all = "snake_case")]
        pub(crate) enum Code {
            $($code),+
        }

        impl Code {
            pub(crate) fn kind(self) -> Kind {
                match self {
                    $(Self::$code => Kind {
                        status: StatusCode::$status,
                        name: $name,
                        title: $title,
                        detail: $detail,
                        field: [$($field)?].first().copied(),
                    }),+
                }
            }
        }

        const CODES: &[Code] = &[$(Code::$code),+];
    };
}

impl Code {
    /// Returns the code of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        CODES.iter().copied().find(|code| code.kind().name == name)
    }
}

codes! {
    InvalidJson: BAD_REQUEST, "invalid_json", "The body is not a JSON object",
        "the body is not JSON: expected value at line 1 column 14";
    InvalidField: BAD_REQUEST, "invalid_field", "A field is not as it must be",
        "username must not be empty; it is \"\"", blaming "username";
    InvalidHost: BAD_REQUEST, "invalid_host", "The header Host is missing or malformed",
        "the header Host is missing; a request of HTTP/1.1 must have it", blaming "Host";
    CredentialsMissing: UNAUTHORIZED, "credentials_missing", "The request has no credentials",
        "this call needs a server key or a user's token, as in Authorization: Bearer TOKEN";
    CredentialsInvalid: UNAUTHORIZED, "credentials_invalid", "The credentials are not valid",
        "the server key or token is not valid";
    TokenExpired: UNAUTHORIZED, "token_expired", "The credentials have expired",
        "the server key or token has expired";
    TokenRevoked: UNAUTHORIZED, "token_revoked", "The token was revoked",
        "the token was issued before its user's tokens were revoked, or before the user was created, or the user was erased";
    HostRefused: FORBIDDEN, "host_refused", "The server is not called by this name",
        "the server has no name evil.example; --hosts names the allowed ones", blaming "Host";
    OriginRefused: FORBIDDEN, "origin_refused", "Pages of this origin may not call the server",
        "pages of https://evil.example may not call this server; --cors-origins names those that may",
        blaming "Origin";
    ServerKeyRequired: FORBIDDEN, "server_key_required", "The call needs a server key",
        "this call needs a server key; a user's token does not allow it";
    ScopeMissing: FORBIDDEN, "scope_missing", "The credentials do not have the scope of this call",
        "this call needs the scope write";
    TokenTooBroad: FORBIDDEN, "token_too_broad", "The token must not be in a URL",
        "the parameter token takes a token of /events/token alone, because URLs are logged", blaming "token";
    NotYourself: FORBIDDEN, "not_yourself", "A user's token acts for that user only",
        "the token belongs to user 01a20aa4-0a09-74de-9d72-3ca94e1ae31f and does not act for user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43", blaming "user";
    NotAMember: FORBIDDEN, "not_a_member", "The user is not in the chat",
        "user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43 is not a member of chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        blaming "author";
    NotTheAuthor: FORBIDDEN, "not_the_author", "The message is another user's",
        "user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43 is not the author of message 3 of chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        blaming "user";
    UserNotFound: NOT_FOUND, "user_not_found", "There is no such user",
        "there is no user 9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10", blaming "user";
    ChatNotFound: NOT_FOUND, "chat_not_found", "There is no such chat",
        "there is no chat 9b2f6e0a-54a3-4c36-8a55-0f6d3c1b7a10", blaming "chat";
    MessageNotFound: NOT_FOUND, "message_not_found", "There is no such message",
        "there is no message with seq 9 in chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5",
        blaming "seq";
    RouteNotFound: NOT_FOUND, "route_not_found", "There is no such route",
        "there is no route /nothing";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not answer this method",
        "/users/add does not answer GET; the header Allow says what it answers";
    RequestTimeout: REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time",
        "the body did not arrive in time";
    UsernameTaken: CONFLICT, "username_taken", "Another user has this name",
        "another user is named ann", blaming "username";
    ChatNameTaken: CONFLICT, "chat_name_taken", "Another chat has this name",
        "another chat is named tea", blaming "name";
    MessageDeleted: CONFLICT, "message_deleted", "The message is deleted",
        "message 3 of chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5 is deleted", blaming "seq";
    TooManyReactions: CONFLICT, "too_many_reactions", "There are too many reactions",
        "message 3 of chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5 has 40 emoji, 20 of them by user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43; a message may have 100, and a user 20",
        blaming "emoji";
    DirectChat: CONFLICT, "direct_chat", "The chat is a direct chat",
        "chat 01a20aa4-0a1b-7d0e-a3cf-4b7d4ed1a2d5 is the direct chat of two users: it has no name, and nobody joins or leaves it",
        blaming "chat";
    UserErased: CONFLICT, "user_erased", "The user was erased",
        "user 01a20aa4-09fe-7b4a-8d5d-3a0a2f9d6f43 was erased", blaming "user";
    HistoryChanged: CONFLICT, "history_changed", "The position is of another history",
        "event 7-8f3c2a917b5de604 is not in this history of the log: load the chat again", blaming "changed_after";
    BodyTooLarge: PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large",
        "the body has 1048577 bytes; it may have 1048576";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not sent as plain JSON",
        "the body must be sent as application/json; it came without a content type";
    IdempotencyKeyReused: UNPROCESSABLE_ENTITY, "idempotency_key_reused",
        "The idempotency key was used for another request",
        "the key 7f3a-1 was used for another call, or for other values, or what it was used for was erased", blaming "Idempotency-Key";
    RateLimited: TOO_MANY_REQUESTS, "rate_limited", "Too many requests",
        "this user has made too many requests; the header Retry-After says when to go on";
    Internal: INTERNAL_SERVER_ERROR, "internal", "The server failed",
        "the server failed to answer this request; its log says why";
    Starting: SERVICE_UNAVAILABLE, "starting", "The server is starting",
        "the log is still being replayed; try again soon";
    Overloaded: SERVICE_UNAVAILABLE, "overloaded", "The server is overloaded",
        "too many writes are waiting for the disk; nothing was stored";
    Unavailable: SERVICE_UNAVAILABLE, "unavailable", "The log cannot be reached",
        "the nodes that keep the log cannot be reached; nothing was stored";
    Unconfirmed: SERVICE_UNAVAILABLE, "unconfirmed", "It is not known whether this is stored",
        "the nodes that keep the log did not confirm this write, which may be stored or not; a retry under the same Idempotency-Key is safe";
    Behind: SERVICE_UNAVAILABLE, "behind", "This server is behind the others",
        "this server has the log up to position 7, and not yet up to 9";
    ShuttingDown: SERVICE_UNAVAILABLE, "shutting_down", "The server is shutting down",
        "the server is shutting down; nothing was stored";
    StorageFull: INSUFFICIENT_STORAGE, "storage_full", "The disk is full",
        "there is no room on the disk; nothing was stored, and reads go on";
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use axum::response::IntoResponse;
    use utoipa::PartialSchema;

    use super::*;
    use crate::http::answer::problem::Problem;

    /// Clients depend on the codes and statuses, so a change of this table is a change of the API.
    const CONTRACT: [(&str, u16); 40] = [
        ("invalid_json", 400),
        ("invalid_field", 400),
        ("invalid_host", 400),
        ("credentials_missing", 401),
        ("credentials_invalid", 401),
        ("token_expired", 401),
        ("token_revoked", 401),
        ("host_refused", 403),
        ("origin_refused", 403),
        ("server_key_required", 403),
        ("scope_missing", 403),
        ("token_too_broad", 403),
        ("not_yourself", 403),
        ("not_a_member", 403),
        ("not_the_author", 403),
        ("user_not_found", 404),
        ("chat_not_found", 404),
        ("message_not_found", 404),
        ("route_not_found", 404),
        ("method_not_allowed", 405),
        ("request_timeout", 408),
        ("username_taken", 409),
        ("chat_name_taken", 409),
        ("message_deleted", 409),
        ("too_many_reactions", 409),
        ("direct_chat", 409),
        ("user_erased", 409),
        ("history_changed", 409),
        ("body_too_large", 413),
        ("unsupported_media_type", 415),
        ("idempotency_key_reused", 422),
        ("rate_limited", 429),
        ("internal", 500),
        ("starting", 503),
        ("overloaded", 503),
        ("unavailable", 503),
        ("unconfirmed", 503),
        ("behind", 503),
        ("shutting_down", 503),
        ("storage_full", 507),
    ];

    #[test]
    fn every_code_has_its_status() {
        let schema = serde_json::to_value(Code::schema()).expect("JSON");
        let names = CONTRACT.map(|(name, _)| name);
        assert_eq!(schema["enum"], serde_json::json!(names.as_slice()), "the document knows them all");
        assert_eq!(CODES.len(), CONTRACT.len());
        for (code, (name, status)) in CODES.iter().zip(CONTRACT) {
            let response = Problem::new(*code, "because").into_response();
            assert_eq!((code.kind().name, response.status().as_u16()), (name, status));
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503, "{name}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401, "{name}");
        }
    }
}
