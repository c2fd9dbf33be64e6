//! Request ids: taken from the client or made, they tie an answer to what is logged of its request.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;
use uuid::Uuid;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer one is not taken.
pub(super) const BYTES_MAX: usize = 128;

task_local! {
    static CURRENT: RequestId;
}

#[derive(Debug, Clone)]
pub(super) enum RequestId {
    Taken(HeaderValue),
    Made(Uuid),
}

impl RequestId {
    /// The client's id if it is one: 1 to 128 visible ASCII characters, given once. Else one that is made.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut ids = headers.get_all(REQUEST_ID).iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) if is_taken(id.as_bytes()) => Self::Taken(id.clone()),
            _ => Self::Made(Uuid::now_v7()),
        }
    }

    pub(super) fn to_header(&self) -> HeaderValue {
        match self {
            Self::Taken(id) => id.clone(),
            Self::Made(id) => {
                let mut text = Uuid::encode_buffer();
                HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).expect("digits and hyphens")
            }
        }
    }

    /// Runs the task as the request's of this id.
    pub(super) fn scope<F: Future>(self, task: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, task)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(id) => f.write_str(id.to_str().expect("visible ASCII")),
            Self::Made(id) => id.hyphenated().fmt(f),
        }
    }
}

fn is_taken(id: &[u8]) -> bool {
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// The id of the request whose task this is.
pub(super) fn current_request_id() -> Option<String> {
    CURRENT.try_with(RequestId::to_string).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ids: &[&[u8]], is_taken: bool) {
        let value = |id: &&[u8]| (REQUEST_ID, HeaderValue::from_bytes(id).expect("a header's value"));
        let id = RequestId::of(&ids.iter().map(value).collect());
        assert_eq!(ids.contains(&id.to_string().as_bytes()), is_taken, "{ids:?}: {id:?}");
        assert_eq!(id.to_header(), id.to_string());
        if !is_taken {
            assert!(Uuid::try_parse(&id.to_string()).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn a_client_s_id_is_taken_if_it_is_short_and_visible_and_one_is_made_otherwise() {
        check(&[b"a"], true);
        check(&[b"~!7f3a-1"], true);
        check(&[&[b'x'; BYTES_MAX]], true);
        check(&[], false);
        check(&[b""], false);
        check(&[b"two words"], false);
        check(&["é".as_bytes()], false);
        check(&[&[b'x'; BYTES_MAX + 1]], false);
        check(&[b"a", b"a"], false);
    }

    #[tokio::test]
    async fn a_task_knows_its_own_id() {
        assert_eq!(current_request_id(), None);
        let mine = RequestId::Taken(HeaderValue::from_static("mine"));
        let id = mine.scope(async { current_request_id() }).await;
        assert_eq!(id.as_deref(), Some("mine"));
    }
}
