//! The head of a request, and the connection that it came on: admission looks at nothing else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Request, Uri};
use parking_lot::Mutex;

use crate::access::{Credentials, Exceeded, Left, Quota, Token};
use crate::http::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// The head of a request.
#[derive(Clone, Copy)]
pub(crate) struct Head<'r> {
    pub(super) uri: &'r Uri,
    pub(super) headers: &'r HeaderMap,
    extensions: &'r Extensions,
}

impl<'r, B> From<&'r Request<B>> for Head<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self { uri: request.uri(), headers: request.headers(), extensions: request.extensions() }
    }
}

impl<'r> From<&'r Parts> for Head<'r> {
    fn from(parts: &'r Parts) -> Self {
        Self { uri: &parts.uri, headers: &parts.headers, extensions: &parts.extensions }
    }
}

impl<'r> Head<'r> {
    /// Returns the connection, unless the request came without one, as in a test.
    pub(super) fn peer(self) -> Option<&'r Peer> {
        self.extensions.get()
    }
}

/// The connection that a request came on. Its requests come one after the other.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The address at its other end, unless the client has already disconnected.
    pub(super) address: Option<IpAddr>,
    state: Arc<Mutex<PeerState>>,
}

#[derive(Default)]
struct PeerState {
    remembered: Option<Remembered>,
    /// The rest of the quota of the request that is being answered.
    rate: Option<Rate>,
}

/// The last token that was verified on this connection. Other connections verify it again.
struct Remembered {
    text: Box<str>,
    token: Arc<Token>,
    /// The keys that it was verified with.
    credentials: Arc<Credentials>,
}

struct Rate {
    name: &'static str,
    quota: Quota,
    taken: Result<Left, Exceeded>,
}

impl Peer {
    /// Returns a connection on which nothing was presented.
    pub(crate) fn new(address: Option<IpAddr>) -> Self {
        Self { address, state: Arc::default() }
    }

    /// Returns the token if it was verified on this connection, with these keys.
    pub(super) fn remembered(&self, credentials: &Arc<Credentials>, text: &str) -> Option<Arc<Token>> {
        let state = self.state.lock();
        let known = state.remembered.as_ref().filter(|known| Arc::ptr_eq(&known.credentials, credentials));
        known.filter(|known| *known.text == *text).map(|known| Arc::clone(&known.token))
    }

    pub(super) fn remember(&self, credentials: &Arc<Credentials>, text: &str, token: &Arc<Token>) {
        let (token, credentials) = (Arc::clone(token), Arc::clone(credentials));
        self.state.lock().remembered = Some(Remembered { text: text.into(), token, credentials });
    }

    pub(super) fn note_rate(&self, name: &'static str, quota: Quota, taken: Result<Left, Exceeded>) {
        self.state.lock().rate = Some(Rate { name, quota, taken });
    }

    /// Adds to an answer what the request has left of its quota (draft-ietf-httpapi-ratelimit-headers-10).
    pub(crate) fn add_rate(&self, headers: &mut HeaderMap) {
        let Some(Rate { name, quota: Quota { burst, per_s }, taken }) = self.state.lock().rate.take() else {
            return;
        };
        let (left, whole_in) = match taken {
            Ok(Left { units, whole_in }) => (units, whole_in),
            Err(Exceeded { whole_in, .. }) => (0, whole_in),
        };
        let window_s = burst.div_ceil(per_s);
        let reset_s = whole_in.as_millis().div_ceil(1_000);
        for (header, value) in [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={burst};w={window_s}")),
            (RATE_LIMIT, format!("\"{name}\";r={left};t={reset_s}")),
        ] {
            headers.insert(header, HeaderValue::try_from(value).expect("digits and words"));
        }
    }
}
