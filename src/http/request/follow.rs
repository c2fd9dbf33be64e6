//! The request of `/events`: its query, and the header with which a client resumes.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use crate::domain::{Position, UserId};
use crate::http::answer::problem::Problem;
use crate::http::headers::LAST_EVENT_ID;
use crate::http::openapi::schema;

/// A user, and the position after which the stream of the user's events begins. Without a position, it begins
/// now.
#[derive(Debug, PartialEq)]
pub(crate) struct Follow {
    pub(crate) user: UserId,
    pub(crate) after: Option<Position>,
}

impl<S: Sync> FromRequestParts<S> for Follow {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Follow { user, after } = from_query(parts.uri.query().unwrap_or_default())?;
        Ok(Self { user, after: last_event_id(&parts.headers)?.or(after) })
    }
}

fn from_query(query: &str) -> Result<Follow, Problem> {
    let (mut user, mut after) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = match &*name {
            "user" => &mut user,
            "after" => &mut after,
            _ => return Err(Problem::invalid_field(name, "is no parameter of this call", None)),
        };
        if known.replace(value).is_some() {
            return Err(Problem::invalid_field(name, "is given twice", None));
        }
    }
    let Some(user) = user else { return Err(Problem::invalid_field("user", "is missing", None)) };
    let user = user
        .parse()
        .map_err(|_| Problem::invalid_field("user", "must be a UUID in the hyphenated form", Some(&user)))?;
    Ok(Follow { user, after: after.map(|after| position("after", &after)).transpose()? })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let mut ids = headers.get_all(LAST_EVENT_ID).iter();
    match (ids.next(), ids.next()) {
        (None, _) => Ok(None),
        (Some(id), None) => position(LAST_EVENT_ID, &String::from_utf8_lossy(id.as_bytes())).map(Some),
        (Some(_), Some(_)) => Err(Problem::invalid_field(LAST_EVENT_ID, "is given twice", None)),
    }
}

fn position(name: &str, value: &str) -> Result<Position, Problem> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.map(Position).ok_or_else(|| {
        Problem::invalid_field(name, "must be a position in the log, a whole number", Some(value))
    })
}

impl IntoParams for Follow {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |name, parameter_in, required, schema, description| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(parameter_in)
                .required(required)
                .schema(Some(schema))
                .description(Some(description))
                .build()
        };
        let position = schema::reference::<Position>;
        let (user, after) =
            (schema::reference::<UserId>(), "The stream begins with everything after this position.");
        let last = "The stream begins with everything after this position. A browser's `EventSource` sends this \
                    header by itself; it takes precedence over `after`.";
        vec![
            parameter("user", ParameterIn::Query, Required::True, user, "The user whose events are sent."),
            parameter("after", ParameterIn::Query, Required::False, position(), after),
            parameter(LAST_EVENT_ID, ParameterIn::Header, Required::False, position(), last),
        ]
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    const ID: &str = "019aaaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa";

    #[test]
    fn a_query_names_a_user_and_perhaps_a_position() {
        let user = ID.parse().expect("an id");
        let follow = |after: Option<u64>| Follow { user, after: after.map(Position) };
        for (query, after) in [
            (format!("user={ID}"), None),
            (format!("user={ID}&after=0"), Some(0)),
            (format!("after=17&user={}", ID.to_uppercase()), Some(17)),
            (format!("%75ser={}", ID.replace('-', "%2D")), None),
            (format!("user={ID}&after=18446744073709551615"), Some(u64::MAX)),
        ] {
            assert_eq!(from_query(&query).expect("well-formed"), follow(after), "{query}");
        }
    }

    #[test]
    fn a_header_is_a_position() {
        let headers = |ids: &[&str]| -> HeaderMap {
            let name = HeaderName::from_static("last-event-id");
            ids.iter().map(|id| (name.clone(), id.parse().expect("a header"))).collect()
        };
        assert_eq!(last_event_id(&headers(&[])).expect("none"), None);
        assert_eq!(last_event_id(&headers(&["17"])).expect("one"), Some(Position(17)));
        for ids in [&["17", "17"][..], &[""], &["x"], &["-1"], &["+1"], &["1.0"], &["18446744073709551616"]] {
            assert!(last_event_id(&headers(ids)).is_err(), "{ids:?}");
        }
    }
}
