//! Failed credentials of an address: they are slowed down, so that nobody can try many.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use super::rates::{Cell, Exceeded, Quota, nanos_since};

/// Failed credentials that an address may send.
const QUOTA: Quota = Quota { burst: 100, per_s: 10 };
/// Number of addresses that are remembered.
const ADDRESSES_MAX: usize = 65_536;

/// The failures of all addresses, in bounded memory.
///
/// An address finds its place by a secret hash. Two addresses at one place share a quota; that does no harm, because
/// good credentials are not counted.
#[derive(Debug)]
pub struct Failures {
    cells: Box<[Cell]>,
    hash: RandomState,
    start: Instant,
}

impl Failures {
    /// Returns a table without failures.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let cells = (0..ADDRESSES_MAX).map(|_| Cell::unused()).collect();
        Self { cells, hash: RandomState::new(), start }
    }

    /// Counts a failure.
    ///
    /// # Errors
    ///
    /// Returns an error if the address has failed too often.
    pub fn count(&self, address: IpAddr, now: Instant) -> Result<(), Exceeded> {
        let cell = &self.cells[usize::from(self.place(address))];
        QUOTA.take(cell, nanos_since(self.start, now)).map(|_| ())
    }
}

impl Failures {
    /// Returns the place of an address: two bytes of its hash, as there are 65,536 places.
    fn place(&self, address: IpAddr) -> u16 {
        let [high, low, ..] = self.hash.hash_one(network(address)).to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

/// Returns what counts as one address: of IPv6 the network of 64 bits, because a client has all of it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_that_fails_often_must_wait() {
        let (now, ann) = (Instant::now(), address("192.0.2.1"));
        let failures = Failures::new(now);
        assert!((0..100).all(|_| failures.count(ann, now).is_ok()));
        let exceeded = failures.count(ann, now).expect_err("too many");
        assert_eq!(exceeded.retry_after, Duration::from_millis(100));
        assert!(failures.count(ann, now + Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn an_address_is_a_network_of_its_client() {
        assert_eq!(network(address("2001:db8:1:2:3:4:5:6")), network(address("2001:db8:1:2::")));
        assert_ne!(network(address("2001:db8:1:2::")), network(address("2001:db8:1:3::")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_ne!(network(address("192.0.2.1")), network(address("192.0.2.2")));
    }
}
