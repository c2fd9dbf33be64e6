//! Rates: numbers of requests in a time. They are kept by the generic cell rate algorithm (GCRA, ITU-T I.371), which
//! needs one number for each caller: the time at which the caller has used up nothing any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

/// The amount that a caller may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Maximum units at once.
    pub burst: u32,
    /// Units that a second gives back.
    pub per_s: u32,
}

/// The rest of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Units that may be used at once.
    pub units: u32,
    /// Time until the whole burst is there again.
    pub whole_in: Duration,
}

/// A request exceeded the quota. It can be repeated after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Time until the request would be within the quota.
    pub retry_after: Duration,
    /// Time until the whole burst is there again.
    pub whole_in: Duration,
}

/// The time at which a caller's whole quota is back, in nanoseconds since the start.
#[derive(Debug)]
pub(super) struct Cell(AtomicU64);

impl Quota {
    fn unit_ns(self) -> u64 {
        1_000_000_000 / u64::from(self.per_s)
    }

    fn burst_ns(self) -> u64 {
        self.unit_ns() * u64::from(self.burst)
    }

    /// Returns the rest of the quota when this much of it is used.
    fn left(self, used_ns: u64) -> Left {
        let units = self.burst_ns().saturating_sub(used_ns) / self.unit_ns();
        let units = u32::try_from(units).expect("at most the burst");
        Left { units, whole_in: Duration::from_nanos(used_ns) }
    }

    /// Uses one unit.
    pub(super) fn take(self, cell: &Cell, now_ns: u64) -> Result<Left, Exceeded> {
        let after = |free_at: u64| free_at.max(now_ns).saturating_add(self.unit_ns());
        let within = |free_at: u64| after(free_at) <= now_ns + self.burst_ns();
        let taken = cell.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free_at| {
            within(free_at).then(|| after(free_at))
        });
        match taken {
            Ok(before) => Ok(self.left(after(before) - now_ns)),
            Err(free_at) => {
                let over_ns = after(free_at) - now_ns - self.burst_ns();
                let whole_in = Duration::from_nanos(free_at - now_ns);
                Err(Exceeded { retry_after: Duration::from_nanos(over_ns), whole_in })
            }
        }
    }

    /// Uses this many units even if they exceed the quota: what comes next waits the longer.
    fn charge(self, cell: &Cell, units: u64, now_ns: u64) -> Left {
        let cost = self.unit_ns().saturating_mul(units);
        let charged = |free_at: u64| Some(free_at.max(now_ns).saturating_add(cost));
        let update = cell.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged);
        let before = update.expect("every value is updated");
        self.left(before.max(now_ns).saturating_add(cost) - now_ns)
    }
}

impl Cell {
    pub(super) const fn unused() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// Returns the time since the start, in nanoseconds; they are enough for 500 years.
pub(super) fn nanos_since(start: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

/// The rates of all users, by the users' numbers.
///
/// Memory is allocated for 512 users at a time, at the first call of one of them.
#[derive(Debug)]
pub struct UserRates {
    quota: Quota,
    start: Instant,
    pieces: RwLock<Vec<Option<Box<Piece>>>>,
}

type Piece = [Cell; USERS_PER_PIECE];
const USERS_PER_PIECE: usize = 512;

impl UserRates {
    /// Returns the rates of users who have used nothing.
    #[must_use]
    pub fn new(quota: Quota, start: Instant) -> Self {
        Self { quota, start, pieces: RwLock::default() }
    }

    /// Returns the quota of each user.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Uses one unit of the user with this number.
    ///
    /// # Errors
    ///
    /// Returns an error if the user's quota is used up. Then nothing is used.
    pub fn take(&self, user: usize, now: Instant) -> Result<Left, Exceeded> {
        let now_ns = nanos_since(self.start, now);
        self.with_cell(user, |cell| self.quota.take(cell, now_ns))
    }

    /// Uses further units for a request that is already being answered, even if they exceed the quota.
    pub fn charge(&self, user: usize, units: u64, now: Instant) -> Left {
        let now_ns = nanos_since(self.start, now);
        self.with_cell(user, |cell| self.quota.charge(cell, units, now_ns))
    }

    fn with_cell<T>(&self, user: usize, act: impl Fn(&Cell) -> T) -> T {
        let (piece, place) = (user / USERS_PER_PIECE, user % USERS_PER_PIECE);
        if let Some(Some(cells)) = self.pieces.read().get(piece) {
            return act(&cells[place]);
        }
        let mut pieces = self.pieces.write();
        if pieces.len() <= piece {
            pieces.resize_with(piece + 1, || None);
        }
        let new = || Box::new([const { Cell::unused() }; USERS_PER_PIECE]);
        act(&pieces[piece].get_or_insert_with(new)[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { burst: 3, per_s: 2 };

    #[test]
    fn a_burst_then_the_rate() {
        // Given a user who has used nothing, when the burst is used at once,
        let start = Instant::now();
        let rates = UserRates::new(QUOTA, start);
        let at = |ms| start + Duration::from_millis(ms);
        let left: Vec<_> = (0..3).map(|_| rates.take(7, at(0)).expect("within the burst")).collect();
        assert_eq!(left.iter().map(|left| left.units).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(left[2].whole_in, Duration::from_millis(1_500));
        // Then one more is refused until the rate has given one back,
        let exceeded = |retry_ms, whole_ms| {
            let [retry_after, whole_in] = [retry_ms, whole_ms].map(Duration::from_millis);
            Err(Exceeded { retry_after, whole_in })
        };
        assert_eq!(rates.take(7, at(0)), exceeded(500, 1_500));
        assert_eq!(rates.take(7, at(499)), exceeded(1, 1_001));
        assert!(rates.take(7, at(500)).is_ok());
        assert!(rates.take(7, at(500)).is_err());
        // And another user is not touched.
        assert_eq!(rates.take(8, at(500)).map(|left| left.units), Ok(2));
        assert_eq!(rates.take(1_000_000, at(500)).map(|left| left.units), Ok(2));
        // And after a pause, no more than the burst is there.
        assert_eq!(rates.take(7, at(60_000)).map(|left| left.units), Ok(2));
    }

    #[test]
    fn a_charge_is_paid_later() {
        let start = Instant::now();
        let rates = UserRates::new(QUOTA, start);
        rates.take(0, start).expect("within the burst");
        assert_eq!(rates.charge(0, 10, start), Left { units: 0, whole_in: Duration::from_millis(5_500) });
        let exceeded = rates.take(0, start).expect_err("nothing is left");
        assert_eq!(exceeded.retry_after, Duration::from_millis(4_500));
        assert!(rates.take(0, start + Duration::from_millis(4_500)).is_ok());
        rates.charge(1, u64::MAX, start);
        assert!(rates.take(1, start + Duration::from_hours(1)).is_err(), "no overflow");
    }

    #[test]
    fn a_user_takes_no_memory_before_the_first_call() {
        let rates = UserRates::new(QUOTA, Instant::now());
        rates.take(10_000_000, Instant::now()).expect("within the burst");
        let pieces = rates.pieces.read();
        assert_eq!(pieces.iter().flatten().count(), 1);
        assert!(pieces.len() * size_of::<Option<Box<Piece>>>() < 200_000);
    }
}
