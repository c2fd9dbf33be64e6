//! The budget of memory that all incomplete bodies share.
//!
//! A body that arrives slowly keeps its share only while nobody else needs it. Otherwise a few clients that
//! stop in the middle of long bodies would keep out those of all others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Minimum bytes of a body that arrive within [`STEP_TIME_MAX`], unless the body is slow.
const STEP_BYTES: usize = 64 * 1024;
/// Maximum time for [`STEP_BYTES`] to arrive. It is also the time for which a body may pause before it is
/// slow.
const STEP_TIME_MAX: Duration = Duration::from_secs(1);

/// The bytes of all bodies that arrive in parts, and their maximum.
pub(crate) struct BodyBudget {
    bytes_max: usize,
    bodies: Mutex<Bodies>,
}

/// The bodies that hold a share.
///
/// **Invariant:** `bytes` is the sum of the bodies' bytes. A share that is released or revoked is removed
/// with its bytes, so it cannot be released twice.
#[derive(Default)]
struct Bodies {
    bytes: usize,
    by_number: HashMap<u64, Body>,
    next_number: u64,
}

struct Body {
    bytes: usize,
    /// Bytes that have arrived since `step_began`.
    step_bytes: usize,
    step_began: Instant,
    /// Dropped with the body, which wakes its task.
    _revoked: oneshot::Sender<()>,
}

/// A reason why a body's share cannot grow.
#[derive(Debug, PartialEq)]
pub(crate) enum NoRoom {
    /// All bodies together exceed the budget, and no body is slow.
    Exceeded,
    /// The body was slow while another one needed room.
    Revoked,
}

impl BodyBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bodies: Mutex::default() }
    }

    /// Returns the share of one body, which is empty at first.
    pub(crate) fn share(&self, now: Instant) -> BodyShare<'_> {
        let (sender, revoked) = oneshot::channel();
        let mut bodies = self.bodies.lock();
        let number = bodies.next_number;
        bodies.next_number += 1;
        let body = Body { bytes: 0, step_bytes: 0, step_began: now, _revoked: sender };
        bodies.by_number.insert(number, body);
        drop(bodies);
        BodyShare { budget: self, number, revoked }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bodies.lock().bytes
    }
}

impl Bodies {
    fn remove(&mut self, number: u64) {
        if let Some(body) = self.by_number.remove(&number) {
            self.bytes -= body.bytes;
        }
    }

    /// Returns the number of the slow body that holds the most bytes.
    fn longest_slow(&self, now: Instant) -> Option<u64> {
        let slow = self.by_number.iter().filter(|(_, body)| body.is_slow(now));
        slow.max_by_key(|(_, body)| body.bytes).map(|(&number, _)| number)
    }
}

impl Body {
    fn is_slow(&self, now: Instant) -> bool {
        // A body without bytes has nothing to give.
        self.bytes > 0 && now.saturating_duration_since(self.step_began) > STEP_TIME_MAX
    }

    /// Notes that bytes have arrived.
    fn arrived(&mut self, bytes: usize, now: Instant) {
        self.step_bytes += bytes;
        if self.step_bytes >= STEP_BYTES {
            self.step_bytes = 0;
            self.step_began = now;
        }
    }
}

/// One body's share of the budget. It is released when dropped.
pub(crate) struct BodyShare<'a> {
    budget: &'a BodyBudget,
    number: u64,
    revoked: oneshot::Receiver<()>,
}

impl BodyShare<'_> {
    /// Adds bytes that have arrived to the share. If all bodies together then exceed the budget, the shares
    /// of slow ones are revoked, the longest first.
    pub(crate) fn grow(&mut self, bytes: usize, now: Instant) -> Result<(), NoRoom> {
        let bodies = &mut *self.budget.bodies.lock();
        bodies.by_number.get_mut(&self.number).ok_or(NoRoom::Revoked)?.arrived(bytes, now);
        while bodies.bytes + bytes > self.budget.bytes_max {
            let slow = bodies.longest_slow(now).ok_or(NoRoom::Exceeded)?;
            bodies.remove(slow);
            if slow == self.number {
                return Err(NoRoom::Revoked);
            }
        }
        bodies.by_number.get_mut(&self.number).expect("not revoked").bytes += bytes;
        bodies.bytes += bytes;
        Ok(())
    }

    /// Waits until the share is revoked.
    pub(crate) async fn revoked(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = (&mut self.revoked).await;
    }
}

impl Drop for BodyShare<'_> {
    fn drop(&mut self) {
        self.budget.bodies.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    const SLOW: Duration = STEP_TIME_MAX.saturating_add(Duration::from_millis(1));

    #[test]
    fn bodies_share_the_budget_and_release_it() {
        let (budget, now) = (BodyBudget::new(256), Instant::now());
        let (mut one, mut other) = (budget.share(now), budget.share(now));
        assert!(one.grow(200, now).is_ok() && other.grow(56, now).is_ok());
        assert_eq!(budget.share(now).grow(1, now), Err(NoRoom::Exceeded));
        drop(one);
        assert!(other.grow(200, now).is_ok());
        assert_eq!(other.grow(1, now), Err(NoRoom::Exceeded));
        drop(other);
        assert!(budget.share(now).grow(256, now).is_ok());
    }

    #[test]
    fn the_longest_slow_body_gives_way() {
        let (budget, start) = (BodyBudget::new(256), Instant::now());
        let later = start + SLOW;
        let (mut short, mut long) = (budget.share(start), budget.share(start));
        let (mut steady, mut newcomer) = (budget.share(later), budget.share(later));
        assert!(short.grow(50, start).is_ok() && long.grow(60, start).is_ok());
        assert!(steady.grow(100, later).is_ok() && newcomer.grow(46, later).is_ok());
        assert_eq!(long.revoked().now_or_never(), None, "the budget is not exceeded");

        assert!(newcomer.grow(1, later).is_ok());
        assert_eq!(long.revoked().now_or_never(), Some(()), "its task is woken");
        assert_eq!(long.grow(1, later), Err(NoRoom::Revoked));
        assert_eq!((short.revoked().now_or_never(), budget.bytes()), (None, 50 + 100 + 47));
        drop(long);
        assert_eq!(budget.bytes(), 50 + 100 + 47, "released once");

        assert!(newcomer.grow(109, later).is_ok(), "the other slow one gives way");
        assert_eq!(newcomer.grow(1, later), Err(NoRoom::Exceeded), "no body is slow");
        assert_eq!(budget.bytes(), 256);
    }

    #[test]
    fn a_body_is_slow_below_64_kib_a_second() {
        let (budget, start) = (BodyBudget::new(usize::MAX), Instant::now());
        let mut share = budget.share(start);
        let is_slow = |at| budget.bodies.lock().by_number[&0].is_slow(at);
        assert!(share.grow(STEP_BYTES - 1, start).is_ok());
        assert!(!is_slow(start + STEP_TIME_MAX) && is_slow(start + SLOW));
        let next = start + STEP_TIME_MAX;
        assert!(share.grow(1, next).is_ok());
        assert!(!is_slow(next + STEP_TIME_MAX) && is_slow(next + SLOW));
    }

    #[test]
    fn a_slow_body_may_revoke_its_own_share() {
        let (budget, start) = (BodyBudget::new(10), Instant::now());
        let mut share = budget.share(start);
        assert!(share.grow(10, start).is_ok());
        assert_eq!(share.grow(1, start + SLOW), Err(NoRoom::Revoked));
        assert_eq!(budget.bytes(), 0);
    }

    fn is_revoked(share: &mut BodyShare<'_>) -> bool {
        share.revoked.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        Grow { which: prop::sample::Index, bytes: usize },
        End { which: prop::sample::Index },
        Wait { milliseconds: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::Begin),
            6 => (any::<prop::sample::Index>(), 1..2 * STEP_BYTES)
                .prop_map(|(which, bytes)| Step::Grow { which, bytes }),
            1 => any::<prop::sample::Index>().prop_map(|which| Step::End { which }),
            2 => (0..800_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        ]
    }

    proptest! {
        /// The bytes that are held are those that were granted to bodies that have not ended and whose shares
        /// are not revoked.
        #[test]
        fn the_budget_is_exact(steps in prop::collection::vec(step(), 0..200)) {
            const BYTES_MAX: usize = 6 * STEP_BYTES;
            let budget = BodyBudget::new(BYTES_MAX);
            let mut now = Instant::now();
            let mut shares: BTreeMap<u64, (BodyShare<'_>, usize)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Begin => {
                        let share = budget.share(now);
                        shares.insert(share.number, (share, 0));
                    }
                    Step::Wait { milliseconds } => now += Duration::from_millis(milliseconds),
                    Step::Grow { .. } | Step::End { .. } if shares.is_empty() => {}
                    Step::End { which } => {
                        let number = *which.get(&shares.keys().copied().collect::<Vec<_>>());
                        shares.remove(&number);
                    }
                    Step::Grow { which, bytes } => {
                        let number = *which.get(&shares.keys().copied().collect::<Vec<_>>());
                        let fitted = budget.bytes() + bytes <= BYTES_MAX;
                        let (share, granted) = shares.get_mut(&number).expect("chosen");
                        let was_revoked = is_revoked(share);
                        let grown = share.grow(bytes, now);
                        if grown.is_ok() {
                            *granted += bytes;
                        }
                        prop_assert!(!was_revoked || grown == Err(NoRoom::Revoked));
                        prop_assert_eq!(is_revoked(share), grown == Err(NoRoom::Revoked));
                        prop_assert!(!fitted || was_revoked || grown.is_ok(), "refused without need");
                        let any_slow = budget.bodies.lock().by_number.values().any(|body| body.is_slow(now));
                        prop_assert!(grown != Err(NoRoom::Exceeded) || !any_slow, "refused beside a slow body");
                    }
                }
                let live = shares.values_mut().filter_map(|(share, granted)| {
                    (!is_revoked(share)).then_some(*granted)
                });
                let held: usize = live.sum();
                prop_assert_eq!(budget.bytes(), held);
                prop_assert!(held <= BYTES_MAX);
            }
            drop(shares);
            prop_assert_eq!(budget.bytes(), 0);
            prop_assert!(budget.bodies.lock().by_number.is_empty());
        }
    }
}
