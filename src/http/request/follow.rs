//! The request of `/events`: its query, and the header with which a client resumes.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use super::min_position::MinPosition;
use super::value::{epoch, position};
use crate::domain::UserId;
use crate::engine::{Begin, EventId};
use crate::http::admission::TOKEN;
use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::headers::LAST_EVENT_ID;
use crate::http::openapi::schema;

/// Whose events to follow, and the place at which the stream of these events begins.
#[derive(Debug, PartialEq)]
pub(crate) struct Follow {
    /// The user, unless the request leaves that out.
    pub(crate) user: Option<UserId>,
    pub(crate) begin: Begin,
    /// The parameter or header that names the place.
    pub(crate) begin_field: &'static str,
    pub(crate) min_position: Option<MinPosition>,
}

impl FromRequestParts<Arc<App>> for Follow {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let asked = from_query(parts.uri.query().unwrap_or_default(), app.keyed().is_some())?;
        let resumed = last_event_id(&parts.headers)?;
        let asked = Self { min_position: MinPosition::asked(&parts.headers)?, ..asked };
        Ok(match resumed {
            Some(begin) => Self { begin, begin_field: LAST_EVENT_ID.shown, ..asked },
            None => asked,
        })
    }
}

const AFTER: &str = "after";
const LAST_EVENT_ID_QUERY: &str = "lastEventId";

fn from_query(query: &str, may_hold_token: bool) -> Result<Follow, Problem> {
    let (mut user, mut after, mut last) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = match &*name {
            "user" => &mut user,
            AFTER => &mut after,
            // The name that clients use which cannot send headers. They add it to their URL when they reconnect.
            LAST_EVENT_ID_QUERY => &mut last,
            // Admission has looked at it.
            TOKEN if may_hold_token => continue,
            _ => return Err(Problem::invalid_field(name, "is no parameter of this call", None)),
        };
        if known.replace(value).is_some() {
            return Err(Problem::invalid_field(name, "is given twice", None));
        }
    }
    let user = user.map(|user| {
        user.parse()
            .map_err(|_| Problem::invalid_field("user", "must be a UUID in the hyphenated form", Some(&user)))
    });
    let user = user.transpose()?;
    let after = after.map(|after| begin_after(AFTER, &after)).transpose()?;
    let last = last.map(|last| begin_after(LAST_EVENT_ID_QUERY, &last)).transpose()?;
    Ok(match last {
        Some(begin) => Follow { user, begin, begin_field: LAST_EVENT_ID_QUERY, min_position: None },
        None => Follow { user, begin: after.unwrap_or(Begin::Now), begin_field: AFTER, min_position: None },
    })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Begin>, Problem> {
    LAST_EVENT_ID.only_value(headers)?.map(|id| begin_after(LAST_EVENT_ID.shown, &id)).transpose()
}

fn begin_after(name: &str, value: &str) -> Result<Begin, Problem> {
    let begin = match value.split_once('-') {
        None => position(value).map(Begin::After),
        Some((before, after)) => position(before)
            .zip(epoch(after))
            .map(|(position, epoch)| Begin::Resume(EventId { position, epoch })),
    };
    begin
        .ok_or_else(|| Problem::invalid_field(name, "must be the id of an event, or a position", Some(value)))
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
        let (user, id) = (schema::reference::<UserId>, schema::event_id);
        let after = "The stream begins with everything after the event that has this id, or this position.";
        let last_query = "The same as `after`, over which it takes precedence: some clients that resume add it to \
                          the URL.";
        let last = "The stream begins with everything after the event that has this id, or this position. A \
                    browser's `EventSource` sends this header by itself; it takes precedence over the parameters.";
        vec![
            parameter("user", ParameterIn::Query, Required::True, user(), "The user whose events are sent."),
            parameter(AFTER, ParameterIn::Query, Required::False, id(), after),
            parameter(LAST_EVENT_ID_QUERY, ParameterIn::Query, Required::False, id(), last_query),
            parameter(LAST_EVENT_ID.shown, ParameterIn::Header, Required::False, id(), last),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Position};

    const ID: &str = "019aaaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa";

    #[test]
    fn a_query_names_a_user_and_perhaps_a_position() {
        let user = Some(ID.parse().expect("an id"));
        let parsed = |query: &str| from_query(query, false);
        let at = |after| Begin::After(Position(after));
        let (begin_field, min_position) = (AFTER, None);
        let follow = |after: Option<u64>| {
            let begin = after.map_or(Begin::Now, at);
            Follow { user, begin, begin_field, min_position }
        };
        for (query, after) in [
            (format!("user={ID}"), None),
            (format!("user={ID}&after=0"), Some(0)),
            (format!("after=17&user={}", ID.to_uppercase()), Some(17)),
            (format!("%75ser={}", ID.replace('-', "%2D")), None),
            (format!("user={ID}&after=18446744073709551615"), Some(u64::MAX)),
        ] {
            assert_eq!(parsed(&query).expect("well-formed"), follow(after), "{query}");
        }
        // A client that resumes adds the last id to the URL that it began with.
        let resumed = parsed(&format!("user={ID}&after=17&lastEventId=18")).expect("well-formed");
        assert_eq!(resumed, Follow { user, begin: at(18), begin_field: "lastEventId", min_position });
    }

    #[test]
    fn a_header_is_an_event_or_a_position() {
        let headers = |ids: &[&str]| -> HeaderMap {
            ids.iter().map(|id| (LAST_EVENT_ID.name.clone(), id.parse().expect("a header"))).collect()
        };
        assert_eq!(last_event_id(&headers(&[])).expect("none"), None);
        let resume = |position, epoch| {
            Some(Begin::Resume(EventId { position: Position(position), epoch: Epoch(epoch) }))
        };
        for (id, begin) in [
            ("17", Some(Begin::After(Position(17)))),
            ("17-0", resume(17, 0)),
            ("17-00000000000000ab", resume(17, 0xab)),
        ] {
            assert_eq!(last_event_id(&headers(&[id])).expect("one"), begin, "{id}");
        }
        for id in [
            "",
            "x",
            "-1",
            "+1",
            "1.0",
            "18446744073709551616",
            "17-",
            "17-ab",
            "17-00000000000000AB",
            "17-00",
            "17-0000000000000000",
            "17-00000000000000ab-",
            "-00000000000000ab",
            "17-+0000000000000ab",
        ] {
            assert!(last_event_id(&headers(&[id])).is_err(), "{id}");
        }
        assert!(last_event_id(&headers(&["17", "17"])).is_err());
    }
}
