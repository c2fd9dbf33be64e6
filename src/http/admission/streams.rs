//! Streams of users: their number, their end, and tokens for their URLs.

use std::sync::Arc;
use std::time::Duration;

use super::Keyed;
use super::caller::{Caller, UserCaller};
use super::session::Session;
use crate::access::EventToken;
use crate::domain::{Timestamp, UserId};
use crate::engine::Engine;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::model::UserIndex;
use crate::system_clock;

/// Time after which a user with too many streams may try again.
const STREAM_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Maximum seconds for which a token for a stream's URL is good.
const EVENTS_TOKEN_S_MAX: u64 = 3_600;
/// Maximum time between two looks at the clock, which may jump.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

impl Keyed {
    /// Creates a token for the URL of a stream of this user's events, and returns it with its end.
    ///
    /// # Errors
    ///
    /// A token within its leeway is refused as expired, because the new one would be that at once.
    pub(crate) fn events_token(
        &self,
        engine: &Engine,
        caller: &Caller,
        user: UserId,
        index: UserIndex,
    ) -> Result<(String, Timestamp), Problem> {
        let now = system_clock::now();
        let (source, issued_at, ends_at) = match caller {
            Caller::User(user) => {
                let token = user.session.token.expect("the session of a user");
                (user.session.source, token.issued_at, Some(token.expires_at))
            }
            // It is as good as a token that the server would issue after the last revocation.
            Caller::Server(server) => {
                let from = engine.read(|model| model.tokens_from(index));
                let from = Timestamp::from_micros(from.saturating_mul(1_000_000)).unwrap_or(now);
                (server.session.source, now.max(from), server.session.ends_at)
            }
            Caller::Anyone => unreachable!("the call needs credentials"),
        };
        let in_an_hour = now.as_micros() + EVENTS_TOKEN_S_MAX * 1_000_000;
        let expires_at = Timestamp::from_micros(in_an_hour).unwrap_or(now);
        let expires_at = ends_at.map_or(expires_at, |end| expires_at.min(end));
        if expires_at <= now {
            return Err(Problem::usual(Code::TokenExpired));
        }
        let token = EventToken { user, source, issued_at, expires_at };
        Ok((self.secret.seal(&token), expires_at))
    }

    /// Counts a stream of a user, until it is dropped.
    ///
    /// Streams whose session is over do not count: one that its client does not read ends late.
    ///
    /// # Errors
    ///
    /// Returns the refusal of a user with too many streams.
    pub(crate) fn count_stream(
        self: &Arc<Self>,
        engine: &Engine,
        user: &UserCaller,
    ) -> Result<UserStream, Problem> {
        let (credentials, now) = (self.credentials(), system_clock::now());
        let mut streams = self.streams.lock();
        let open = streams.entry(user.index).or_default();
        let count = open.iter().filter(|session| session.check(engine, &credentials, now).is_ok()).count();
        if count >= self.streams_max as usize {
            let detail = format!("{count} streams of this user are open, and more are not allowed");
            return Err(Problem::rate_limited(detail, STREAM_RETRY_AFTER));
        }
        let session = Arc::new(user.session);
        open.push(Arc::clone(&session));
        Ok(UserStream { keyed: Arc::clone(self), user: user.index, session })
    }

    /// Waits until the session of a stream is over.
    pub(crate) async fn over(&self, session: &Session, engine: &Engine) {
        let mut changes = self.changes.subscribe();
        loop {
            let now = system_clock::now();
            if session.check(engine, &self.credentials(), now).is_err() {
                return;
            }
            let left = session.ends_at.map_or(LOOK_INTERVAL, |end| end.saturating_since(now));
            tokio::select! {
                // The sender is in `self`.
                _ = changes.changed() => {}
                () = tokio::time::sleep(left.min(LOOK_INTERVAL)) => {}
            }
        }
    }
}

/// An open stream of a user.
pub(crate) struct UserStream {
    keyed: Arc<Keyed>,
    user: UserIndex,
    session: Arc<Session>,
}

impl Drop for UserStream {
    fn drop(&mut self) {
        let mut streams = self.keyed.streams.lock();
        if let Some(open) = streams.get_mut(&self.user) {
            open.retain(|session| !Arc::ptr_eq(session, &self.session));
            if open.is_empty() {
                streams.remove(&self.user);
            }
        }
    }
}
