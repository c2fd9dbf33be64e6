//! The budget of memory that all incomplete bodies share.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of all bodies that arrive in parts, and their maximum.
pub(crate) struct BodyBudget {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// The error for bodies that together exceed the budget.
#[derive(Debug)]
pub(crate) struct Exceeded;

impl BodyBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Returns the share of one body, which is empty at first.
    pub(crate) fn share(&self) -> BodyShare<'_> {
        BodyShare { budget: self, bytes: 0 }
    }
}

/// One body's share of the budget. It is given back when dropped.
pub(crate) struct BodyShare<'a> {
    budget: &'a BodyBudget,
    bytes: usize,
}

impl BodyShare<'_> {
    /// Adds bytes that have arrived to the share.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let before = self.budget.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.bytes_max { Err(Exceeded) } else { Ok(()) }
    }
}

impl Drop for BodyShare<'_> {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_the_budget_and_give_it_back() {
        let budget = BodyBudget::new(256);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.grow(200).is_ok() && other.grow(56).is_ok());
        assert!(budget.share().grow(1).is_err());
        drop(one);
        assert!(other.grow(200).is_ok());
        assert!(other.grow(1).is_err());
        drop(other);
        assert!(budget.share().grow(256).is_ok());
    }
}
