//! Request ids, the client's or the server's own: they connect an answer with the log messages of its
//! request.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue};
use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;
use uuid::Uuid;

use crate::http::headers::REQUEST_ID;
use crate::http::limits::REQUEST_ID_CHARS_MAX;
use crate::system_clock;

task_local! {
    static CURRENT: RequestId;
}

/// The id of a request: the client's, or one that the server generated.
#[derive(Debug, Clone)]
pub(crate) enum RequestId {
    Given(HeaderValue),
    Generated(Uuid),
}

impl RequestId {
    /// Returns the client's id if it is 1 to 128 visible ASCII characters, given once; else an id that is
    /// generated.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut ids = headers.get_all(REQUEST_ID).iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) if is_valid(id.as_bytes()) => Self::Given(id.clone()),
            _ => Self::Generated(system_clock::uuid()),
        }
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        match self {
            Self::Given(id) => id.clone(),
            Self::Generated(id) => {
                let mut text = Uuid::encode_buffer();
                HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).expect("digits and hyphens")
            }
        }
    }

    /// Makes this the current id while the task runs.
    pub(crate) fn scope<F: Future>(self, task: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, task)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id.to_str().expect("visible ASCII")),
            Self::Generated(id) => id.hyphenated().fmt(f),
        }
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Returns the id of the request that the current task answers.
pub(crate) fn current_request_id() -> Option<String> {
    CURRENT.try_with(RequestId::to_string).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[&[u8]], is_valid: bool) {
        let value = |id: &&[u8]| (REQUEST_ID, HeaderValue::from_bytes(id).expect("a header's value"));
        let id = RequestId::of(&ids.iter().map(value).collect());
        assert_eq!(ids.contains(&id.to_string().as_bytes()), is_valid, "{ids:?}: {id:?}");
        assert_eq!(id.to_header(), id.to_string());
        if !is_valid {
            assert!(Uuid::try_parse(&id.to_string()).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn a_client_s_id_is_used_only_if_it_is_valid() {
        check(&[b"a"], true);
        check(&[b"~!7f3a-1"], true);
        check(&[&[b'x'; REQUEST_ID_CHARS_MAX]], true);
        check(&[], false);
        check(&[b""], false);
        check(&[b"two words"], false);
        check(&["é".as_bytes()], false);
        check(&[&[b'x'; REQUEST_ID_CHARS_MAX + 1]], false);
        check(&[b"a", b"a"], false);
    }

    #[tokio::test]
    async fn a_task_has_its_request_s_id() {
        assert_eq!(current_request_id(), None);
        let mine = RequestId::Given(HeaderValue::from_static("mine"));
        let id = mine.scope(async { current_request_id() }).await;
        assert_eq!(id.as_deref(), Some("mine"));
    }
}
