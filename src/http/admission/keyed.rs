//! Admission where calls need credentials.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::caller::{Caller, ServerCaller, UserCaller};
use super::head::Head;
use super::presented::{Presented, presented, too_broad};
use super::rule::{Rule, UserNeed};
use super::session::{Session, UserToken};
use crate::access::{
    Credentials, EventToken, Exceeded, Failures, Quota, Scope, Scopes, Secret, Subject, Token, TokenPolicy,
    TokenRefusal, TrustedProxies, UserRates,
};
use crate::config::AccessConfig;
use crate::domain::{Timestamp, UserId};
use crate::engine::Engine;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::model::{Model, UserIndex};
use crate::system_clock;

/// Beginning of every server key.
const SERVER_KEY_PREFIX: &str = "cw_";
/// Maximum time by which a token may be older than its user. A name, or an id, may have been another user's before.
const OLDER_THAN_USER_MAX: Duration = Duration::from_secs(60);
/// Time after which a user with too many streams may try again.
const STREAM_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Maximum time for which a token for a stream's URL is good.
const EVENTS_TOKEN_TIME_MAX: Duration = Duration::from_hours(1);
/// Maximum time between two looks at the clock, which may jump.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Admission where calls need credentials: server keys, or tokens of users.
pub struct Keyed {
    /// The good keys. A request that has begun keeps those that it began with.
    credentials: RwLock<Arc<Credentials>>,
    /// Changes when credentials that were good may no longer be.
    changes: watch::Sender<()>,
    policy: TokenPolicy,
    secret: Secret,
    failures: Failures,
    writes: UserRates,
    pub(super) reads: UserRates,
    streams_max: u32,
    /// Open streams of each user who has one.
    streams: Mutex<HashMap<UserIndex, u32>>,
    proxies: TrustedProxies,
    /// The rule of each path.
    rules: OnceLock<HashMap<String, Rule>>,
}

/// What a call costs a user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cost {
    Read,
    Write,
}

/// Why credentials do not let their caller in.
enum Refused {
    /// The request is malformed, or has no credentials. It does not count as a failure.
    Uncounted(Problem),
    /// The credentials are wrong.
    Failed(Code),
}

impl From<TokenRefusal> for Refused {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Failed(match refusal {
            TokenRefusal::Invalid => Code::CredentialsInvalid,
            TokenRefusal::Expired => Code::TokenExpired,
        })
    }
}

impl Keyed {
    /// Returns an admission with these keys.
    #[must_use]
    pub fn new(config: &AccessConfig, credentials: Credentials, secret: Secret) -> Self {
        let (limits, start) = (config.user_limits, Instant::now());
        let writes = Quota { burst: limits.user_writes_burst, per_s: limits.user_writes_per_s };
        let reads = Quota { burst: limits.user_reads_burst, per_s: limits.user_reads_per_s };
        Self {
            credentials: RwLock::new(Arc::new(credentials)),
            changes: watch::Sender::new(()),
            policy: TokenPolicy {
                audience: config.token_audience.clone(),
                ttl_max_s: config.token_ttl_max_s,
                sub: config.token_sub,
            },
            secret,
            failures: Failures::new(start),
            writes: UserRates::new(writes, start),
            reads: UserRates::new(reads, start),
            streams_max: limits.user_streams_max,
            streams: Mutex::default(),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            rules: OnceLock::new(),
        }
    }

    /// Replaces the keys. What a removed key let in ends.
    pub fn replace(&self, credentials: Credentials) {
        *self.credentials.write() = Arc::new(credentials);
        self.note_change();
    }

    /// Makes every stream look whether its credentials are still good.
    pub fn note_change(&self) {
        self.changes.send_replace(());
    }

    /// Sets the rule of each path that needs credentials.
    ///
    /// # Panics
    ///
    /// Panics if it is called twice.
    pub(crate) fn set_rules(&self, rules: HashMap<String, Rule>) {
        assert!(self.rules.set(rules).is_ok(), "the rules are set once");
    }

    /// Returns the good keys.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read())
    }

    /// Admits the caller of a call.
    ///
    /// # Errors
    ///
    /// Returns the first refusal in the order of the API: credentials, what they are good for, rates.
    pub(crate) fn admit(
        self: &Arc<Self>,
        engine: &Engine,
        head: Head<'_>,
        cost: Cost,
    ) -> Result<Caller, Problem> {
        let path = head.uri.path();
        let rules = self.rules.get().expect("the router has set the rules");
        let (keys, users) = match rules.get(path).expect("every call has a rule") {
            Rule::Everyone => return Ok(Caller::Anyone),
            &Rule::Callers { keys, users, .. } => (keys, users),
        };
        let now = system_clock::now();
        let caller = self.identify(engine, head, users, now).map_err(|refused| match refused {
            Refused::Uncounted(problem) => problem,
            Refused::Failed(code) => self.count_failure(head, code),
        })?;
        match &caller {
            Caller::User(user) => {
                users.check(user.scopes)?;
                self.take(user, head, cost)?;
            }
            Caller::Server(server) => keys.check(server.scope)?,
            Caller::Anyone => {}
        }
        Ok(caller)
    }
}

/// Credentials and rates.
impl Keyed {
    fn identify(
        self: &Arc<Self>,
        engine: &Engine,
        head: Head<'_>,
        users: UserNeed,
        now: Timestamp,
    ) -> Result<Caller, Refused> {
        let credentials = self.credentials();
        let presented = presented(head.uri, head.headers, users.takes_token_in_url());
        match presented.map_err(Refused::Uncounted)? {
            None => Err(Refused::Uncounted(Problem::usual(Code::CredentialsMissing))),
            Some(Presented::Other) => Err(Refused::Failed(Code::CredentialsInvalid)),
            Some(Presented::Bearer(key)) if key.starts_with(SERVER_KEY_PREFIX) => {
                let key =
                    credentials.server_keys.find(key).ok_or(Refused::Failed(Code::CredentialsInvalid))?;
                if key.is_expired(now) {
                    return Err(Refused::Failed(Code::TokenExpired));
                }
                let session = Session { source: key.source, ends_at: key.expires, token: None };
                Ok(Caller::Server(Box::new(ServerCaller {
                    key: key.name.clone(),
                    scope: key.scope,
                    session,
                })))
            }
            Some(Presented::Bearer(token)) => {
                let token = self.verified(&credentials, head, token, now)?;
                let (source, ends_at) = (token.source, Some(token.ends_at()));
                let (issued_at, expires_at) = (token.issued_at, token.expires_at);
                let find = |model: &Model| match &token.subject {
                    Subject::Id(id) => model.user(*id),
                    Subject::Username(name) => model.user_named(name),
                };
                let token_of = |user| UserToken { user, issued_at, expires_at };
                self.user(engine, find, token.scopes, |user| Session {
                    source,
                    ends_at,
                    token: Some(token_of(user)),
                })
            }
            Some(Presented::InUrl(text)) => {
                if let Some(problem) = too_broad(&text) {
                    return Err(Refused::Uncounted(problem));
                }
                let token = self.secret.open(&text).ok_or(Refused::Failed(Code::CredentialsInvalid))?;
                if !credentials.have(token.source) {
                    return Err(Refused::Failed(Code::CredentialsInvalid));
                }
                if now >= token.expires_at {
                    return Err(Refused::Failed(Code::TokenExpired));
                }
                let (source, ends_at) = (token.source, Some(token.expires_at));
                let (issued_at, expires_at) = (token.issued_at, token.expires_at);
                let token_of = |user| UserToken { user, issued_at, expires_at };
                let session = |user| Session { source, ends_at, token: Some(token_of(user)) };
                self.user(engine, |model| model.user(token.user), Scopes::from_iter([Scope::Events]), session)
            }
        }
    }

    /// Returns the user of a token that is good in itself.
    fn user(
        self: &Arc<Self>,
        engine: &Engine,
        find: impl FnOnce(&Model) -> Option<UserIndex>,
        scopes: Scopes,
        session: impl FnOnce(UserIndex) -> Session,
    ) -> Result<Caller, Refused> {
        let found = engine.read(|model| find(model).map(|user| (user, model.user_view(user))));
        let (index, view) = found.ok_or(Refused::Failed(Code::CredentialsInvalid))?;
        let session = session(index);
        let token = session.token.expect("the session of a user");
        let is_of_another = view.created_at.saturating_since(token.issued_at) > OLDER_THAN_USER_MAX;
        if is_of_another || token.is_revoked(engine) {
            return Err(Refused::Failed(Code::TokenRevoked));
        }
        let keyed = Arc::clone(self);
        Ok(Caller::User(Box::new(UserCaller { id: view.id, index, scopes, session, keyed })))
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

    /// Counts wrong credentials, and returns their refusal.
    fn count_failure(&self, head: Head<'_>, code: Code) -> Problem {
        let forwarded =
            head.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let address = head.peer().and_then(|peer| peer.address);
        let address = address.map(|address| self.proxies.client(address, forwarded));
        let counted = address.map_or(Ok(()), |address: IpAddr| self.failures.count(address, Instant::now()));
        match counted {
            Ok(()) => Problem::usual(code),
            Err(Exceeded { retry_after }) => Problem::rate_limited(
                "too many wrong credentials came from this address; good ones are served",
                retry_after,
            ),
        }
    }

    /// Uses up what a call costs a user.
    fn take(&self, user: &UserCaller, head: Head<'_>, cost: Cost) -> Result<(), Problem> {
        let (rates, name) = match cost {
            Cost::Read => (&self.reads, "reads"),
            Cost::Write => (&self.writes, "writes"),
        };
        let taken = rates.take(user.index.as_usize(), Instant::now());
        if let Some(peer) = head.peer() {
            peer.note_rate(name, rates.quota(), taken);
        }
        taken.map(|_| ()).map_err(|Exceeded { retry_after }| {
            let Quota { burst, per_s } = rates.quota();
            let detail = format!("a user may make {per_s} {name} a second, and {burst} at once");
            Problem::rate_limited(detail, retry_after)
        })
    }
}

/// Streams.
impl Keyed {
    /// Creates a token for the URL of a stream of this user's events, and returns it with its end.
    pub(crate) fn events_token(
        &self,
        engine: &Engine,
        caller: &Caller,
        user: UserId,
        index: UserIndex,
    ) -> (String, Timestamp) {
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
        let hour = now.as_micros() + EVENTS_TOKEN_TIME_MAX.as_micros() as u64;
        let expires_at = Timestamp::from_micros(hour).unwrap_or(now);
        let expires_at = ends_at.map_or(expires_at, |end| expires_at.min(end));
        let token = EventToken { user, source, issued_at, expires_at };
        (self.secret.seal(&token), expires_at)
    }

    /// Counts a stream of a user, until it is dropped.
    ///
    /// # Errors
    ///
    /// Returns the refusal of a user with too many streams.
    pub(crate) fn count_stream(self: &Arc<Self>, user: UserIndex) -> Result<UserStream, Problem> {
        let mut streams = self.streams.lock();
        let count = streams.entry(user).or_insert(0);
        if *count >= self.streams_max {
            let detail =
                format!("{} streams of this user are open, and more are not allowed", self.streams_max);
            return Err(Problem::rate_limited(detail, STREAM_RETRY_AFTER));
        }
        *count += 1;
        Ok(UserStream { keyed: Arc::clone(self), user })
    }

    /// Waits until the session of a stream is over.
    pub(crate) async fn over(&self, session: &Session, engine: &Engine) {
        let mut changes = self.changes.subscribe();
        loop {
            let now = system_clock::now();
            if session.is_over(engine, &self.credentials(), now) {
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
}

impl Drop for UserStream {
    fn drop(&mut self) {
        let mut streams = self.keyed.streams.lock();
        if let Some(count) = streams.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.user);
            }
        }
    }
}
