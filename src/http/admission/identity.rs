//! Finds out who calls from what a request presents.

use std::sync::Arc;
use std::time::Duration;

use super::Keyed;
use super::caller::{Caller, ServerCaller, UserCaller};
use super::head::Head;
use super::presented::{Presented, presented, too_broad};
use super::rule::UserNeed;
use super::session::{Session, UserToken};
use crate::access::{
    Credentials, Scope, Scopes, ServerKeys, SourceId, Subject, TOKEN_AHEAD_S_MAX, Token, TokenRefusal,
    is_ahead,
};
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;

/// Maximum time by which a token may be older than its user. A name, or an id, may have been another user's before.
const OLDER_THAN_USER_MAX: Duration = Duration::from_mins(1);

/// The reason why credentials are refused.
pub(super) enum Refused {
    /// The credentials are wrong, as those of somebody who guesses. It counts as a failure.
    Wrong,
    /// Anything else. Credentials that were good once are no guess.
    Other(Problem),
}

impl Refused {
    fn of(code: Code) -> Self {
        Self::Other(Problem::usual(code))
    }
}

impl From<TokenRefusal> for Refused {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Invalid => Self::Wrong,
            TokenRefusal::Expired => Self::of(Code::TokenExpired),
        }
    }
}

/// A good token of a user: a JSON Web Token, or one for a stream's URL.
struct GoodToken<'t> {
    subject: &'t Subject,
    scopes: Scopes,
    source: SourceId,
    issued_at: Timestamp,
    expires_at: Timestamp,
    ends_at: Timestamp,
}

impl Keyed {
    /// Returns the one who calls.
    pub(super) fn identify(
        self: &Arc<Self>,
        engine: &Engine,
        head: Head<'_>,
        users: UserNeed,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let credentials = self.credentials();
        let presented = presented(head.uri, head.headers, users.takes_token_in_url());
        match presented.map_err(Refused::Other)? {
            None => Err(Refused::of(Code::CredentialsMissing)),
            Some(Presented::Other) => Err(Refused::Wrong),
            Some(Presented::Bearer(key)) if key.starts_with(ServerKeys::PREFIX) => {
                server(&credentials, key, now)
            }
            Some(Presented::Bearer(token)) => {
                let token = self.verified(&credentials, head, token, now)?;
                let token = GoodToken {
                    subject: &token.subject,
                    scopes: token.scopes,
                    source: token.source,
                    issued_at: token.issued_at,
                    expires_at: token.expires_at,
                    ends_at: token.ends_at(),
                };
                self.user(engine, head, &token, now)
            }
            Some(Presented::InUrl(text)) => {
                if let Some(problem) = too_broad(&text) {
                    return Err(Refused::Other(problem));
                }
                let token = self.secret.open(&text).filter(|token| credentials.contain(token.source));
                let token = token.ok_or(Refused::Wrong)?;
                if now >= token.expires_at {
                    return Err(Refused::of(Code::TokenExpired));
                }
                let token = GoodToken {
                    subject: &Subject::Id(token.user),
                    scopes: Scopes::from_iter([Scope::Events]),
                    source: token.source,
                    issued_at: token.issued_at,
                    expires_at: token.expires_at,
                    ends_at: token.expires_at,
                };
                self.user(engine, head, &token, now)
            }
        }
    }

    /// Returns the user of a token that is good in itself.
    fn user(
        self: &Arc<Self>,
        engine: &Engine,
        head: Head<'_>,
        token: &GoodToken<'_>,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let &GoodToken { subject, scopes, source, issued_at, expires_at, ends_at } = token;
        let found = engine.read(|model| {
            let user = match subject {
                Subject::Id(id) => model.user(*id),
                Subject::Username(name) => model.user_named(name),
            };
            let renamed_at = |user| match subject {
                Subject::Id(_) => None,
                Subject::Username(_) => model.renamed_at(user),
            };
            user.map(|user| (user, model.user_view(user), model.tokens_from(user), renamed_at(user)))
        });
        let (index, view, tokens_from_s, renamed_at) = found.ok_or(Refused::Wrong)?;
        let token = UserToken { user: index, issued_at, expires_at };
        // A user of a log that is ahead of the clock is younger than every token.
        let is_of_another =
            view.created_at <= now && view.created_at.saturating_since(issued_at) > OLDER_THAN_USER_MAX;
        // It may name the one who had the name before, by a clock that is fast.
        let ahead = Duration::from_secs(TOKEN_AHEAD_S_MAX);
        let is_of_former = renamed_at.is_some_and(|renamed| issued_at.saturating_since(renamed) < ahead);
        if is_of_another || is_of_former || token.is_before(tokens_from_s) {
            return Err(Refused::of(Code::TokenRevoked));
        }
        if is_ahead(issued_at, now, tokens_from_s) {
            return Err(Refused::Wrong);
        }
        let session = Session { source, ends_at: Some(ends_at), token: Some(token) };
        Ok(Caller::User(Box::new(UserCaller {
            id: view.id,
            index,
            scopes,
            session,
            keyed: Arc::clone(self),
            peer: head.peer().cloned(),
        })))
    }

    /// Verifies a token, unless this connection has already presented it.
    fn verified(
        &self,
        credentials: &Arc<Credentials>,
        head: Head<'_>,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Token>, Refused> {
        let peer = head.peer();
        if let Some(known) = peer.and_then(|peer| peer.remembered(credentials, token)) {
            known.check_time(now)?;
            return Ok(known);
        }
        let verified = Arc::new(credentials.token_keys.verify(token, &self.policy, now)?);
        if let Some(peer) = peer {
            peer.remember(credentials, token, &verified);
        }
        Ok(verified)
    }
}

/// Returns the server that has this key.
fn server(credentials: &Credentials, key: &str, now: Timestamp) -> Result<Caller, Refused> {
    let key = credentials.server_keys.find(key).ok_or(Refused::Wrong)?;
    if key.is_expired(now) {
        return Err(Refused::of(Code::TokenExpired));
    }
    let session = Session { source: key.source, ends_at: key.expires, token: None };
    Ok(Caller::Server(Box::new(ServerCaller { key: key.name.clone(), scope: key.scope, session })))
}
