//! The head of a request, and the connection that it came on: admission looks at nothing else.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Request, Uri};
use parking_lot::Mutex;

use super::quota::QuotaHeaders;
use super::rule::Rule;
use crate::access::{Credentials, Token};

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
    /// Returns the rule of the call, which the router has put beside the head.
    pub(super) fn rule(self) -> Rule {
        *self.extensions.get::<Rule>().expect("the router has set it")
    }

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
    /// The quota that the request that is being answered counts against.
    quota: Option<QuotaHeaders>,
}

/// The last token that was verified on this connection. Other connections verify it again.
struct Remembered {
    text: Box<str>,
    token: Arc<Token>,
    /// The keys that it was verified with.
    credentials: Arc<Credentials>,
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

    pub(super) fn show_quota(&self, headers: QuotaHeaders) {
        self.state.lock().quota = Some(headers);
    }

    /// Adds to an answer the quota that its request counted against.
    pub(crate) fn add_quota(&self, headers: &mut HeaderMap) {
        if let Some(quota) = self.state.lock().quota.take() {
            quota.add_to(headers);
        }
    }
}
