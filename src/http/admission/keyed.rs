//! Admission where calls need credentials.

use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::caller::Caller;
use super::head::Head;
use super::identity::Refused;
use super::quota::UserQuota;
use super::rule::Rule;
use super::session::Session;
use crate::access::{Credentials, Exceeded, Failures, Quota, Secret, TokenPolicy, TrustedProxies};
use crate::config::AccessConfig;
use crate::engine::Engine;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::model::UserIndex;
use crate::system_clock;

/// Admission where calls need credentials: server keys, or tokens of users.
pub struct Keyed {
    /// The good keys. A request that has begun keeps those that it began with.
    credentials: RwLock<Arc<Credentials>>,
    /// Changes when credentials that were good may no longer be.
    pub(super) changes: watch::Sender<()>,
    pub(super) policy: TokenPolicy,
    pub(super) secret: Secret,
    failures: Failures,
    writes: UserQuota,
    pub(super) reads: UserQuota,
    pub(super) streams_max: u32,
    /// The sessions of the open streams of each user who has one.
    pub(super) streams: Mutex<HashMap<UserIndex, Vec<Arc<Session>>>>,
    proxies: TrustedProxies,
}

/// The quota that a call of a user counts against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cost {
    Read,
    Write,
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
            writes: UserQuota::new("writes", writes, start),
            reads: UserQuota::new("reads", reads, start),
            streams_max: limits.user_streams_max,
            streams: Mutex::default(),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
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
        let (keys, users) = match head.rule() {
            Rule::Everyone => unreachable!("a call that everyone may make admits nobody"),
            Rule::Callers { keys, users, .. } => (keys, users),
        };
        let now = system_clock::now();
        let caller = self.identify(engine, head, users, now).map_err(|refused| match refused {
            Refused::Other(problem) => problem,
            Refused::Wrong => self.count_failure(head),
        })?;
        match &caller {
            Caller::User(user) => {
                users.check(user.scopes)?;
                let quota = match cost {
                    Cost::Read => &self.reads,
                    Cost::Write => &self.writes,
                };
                quota.take(user.index, head.peer())?;
            }
            Caller::Server(server) => keys.check(server.scope)?,
            Caller::Anyone => {}
        }
        Ok(caller)
    }

    /// Admits a caller again, whose request took time to arrive.
    pub(crate) fn admit_again(&self, engine: &Engine, session: &Session) -> Result<(), Problem> {
        session.check(engine, &self.credentials(), system_clock::now()).map_err(Problem::usual)
    }

    /// Counts wrong credentials, and returns their refusal.
    fn count_failure(&self, head: Head<'_>) -> Problem {
        // A line that cannot be read also counts: a proxy may have added the client's address to it.
        let forwarded = head.headers.get_all("x-forwarded-for").iter();
        let forwarded: Vec<_> = forwarded.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        let address = head.peer().and_then(|peer| peer.address);
        let address =
            address.map(|address| self.proxies.client(address, forwarded.iter().map(|line| &**line)));
        let counted = address.map_or(Ok(()), |address| self.failures.count(address, Instant::now()));
        match counted {
            Ok(()) => Problem::usual(Code::CredentialsInvalid),
            Err(Exceeded { retry_after, .. }) => Problem::rate_limited(
                "too many wrong credentials came from this address; good ones are served",
                retry_after,
            ),
        }
    }
}
