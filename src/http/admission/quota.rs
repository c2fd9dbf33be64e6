//! The quotas of users, and the headers that show them (draft-ietf-httpapi-ratelimit-headers-10).

use std::io::Write;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};

use super::head::Peer;
use crate::access::{Exceeded, Left, Quota, UserRates};
use crate::http::answer::problem::Problem;
use crate::http::headers::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::model::UserIndex;

/// What each user may ask for, and has already asked for.
pub(super) struct UserQuota {
    /// The name of its units.
    name: &'static str,
    rates: UserRates,
    policy: HeaderValue,
}

/// The headers that show a quota and what is left of it.
pub(super) struct QuotaHeaders {
    policy: HeaderValue,
    left: HeaderValue,
}

impl UserQuota {
    pub(super) fn new(name: &'static str, quota: Quota, start: Instant) -> Self {
        let Quota { burst, per_s } = quota;
        let window_s = burst.div_ceil(per_s);
        let policy = format!("\"{name}\";q={burst};w={window_s}");
        let policy = HeaderValue::try_from(policy).expect("digits and a word");
        Self { name, rates: UserRates::new(quota, start), policy }
    }

    /// Uses up what a call costs.
    pub(super) fn take(&self, user: UserIndex, peer: Option<&Peer>) -> Result<(), Problem> {
        match self.rates.take(user.as_usize(), Instant::now()) {
            Ok(left) => {
                self.show(peer, left);
                Ok(())
            }
            Err(Exceeded { retry_after, whole_in }) => {
                self.show(peer, Left { units: 0, whole_in });
                let Quota { burst, per_s } = self.rates.quota();
                let detail = format!("a user may make {per_s} {} a second, and {burst} at once", self.name);
                Err(Problem::rate_limited(detail, retry_after))
            }
        }
    }

    /// Uses up more units for a call that is already being answered.
    pub(super) fn charge(&self, user: UserIndex, units: u64, peer: Option<&Peer>) {
        self.show(peer, self.rates.charge(user.as_usize(), units, Instant::now()));
    }

    fn show(&self, peer: Option<&Peer>, left: Left) {
        if let Some(peer) = peer {
            peer.show_quota(QuotaHeaders { policy: self.policy.clone(), left: self.left_header(left) });
        }
    }

    fn left_header(&self, Left { units, whole_in }: Left) -> HeaderValue {
        let mut text = [0; 64];
        let mut rest = &mut text[..];
        write!(rest, "\"{}\";r={units};t={}", self.name, whole_seconds(whole_in)).expect("it fits");
        let rest_bytes = rest.len();
        HeaderValue::from_bytes(&text[..text.len() - rest_bytes]).expect("digits and a word")
    }
}

impl QuotaHeaders {
    pub(super) fn add_to(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY, self.policy);
        headers.insert(RATE_LIMIT, self.left);
    }
}

/// Returns a time in seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_show_a_quota_and_its_rest() {
        let shown = |name, burst, per_s, units, whole_in| {
            let quota = UserQuota::new(name, Quota { burst, per_s }, Instant::now());
            let left = quota.left_header(Left { units, whole_in });
            [quota.policy, left].map(|header| header.to_str().expect("text").to_owned())
        };
        let second = Duration::from_secs(1);
        assert_eq!(
            shown("writes", 100, 20, 99, second / 20),
            [r#""writes";q=100;w=5"#, r#""writes";r=99;t=1"#]
        );
        assert_eq!(
            shown("reads", 201, 50, 201, Duration::ZERO),
            [r#""reads";q=201;w=5"#, r#""reads";r=201;t=0"#]
        );
        let longest = Duration::from_nanos(u64::MAX);
        let [_, left] = shown("writes", u32::MAX, u32::MAX, u32::MAX, longest);
        assert_eq!(left, r#""writes";r=4294967295;t=18446744074"#);
    }
}
