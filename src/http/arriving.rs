//! How much of all bodies may be in memory before they are whole.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::fields::Fields;
use super::messages::AddMessages;

/// The bytes of all bodies that arrive in parts.
pub(super) struct Arriving {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// There is no room for more of a body.
#[derive(Debug)]
pub(super) struct NoRoom;

impl Arriving {
    /// Room for eight of the longest bodies there are, where others may have this length.
    pub(super) fn at_most(body_bytes_max: u32) -> Self {
        let longest = body_bytes_max as usize * AddMessages::BODY_FACTOR;
        Self { bytes: AtomicUsize::new(0), bytes_max: longest * 8 }
    }

    pub(super) fn body(&self) -> ArrivingBody<'_> {
        ArrivingBody { all: self, bytes: 0 }
    }
}

/// One body's share; given back when dropped.
pub(super) struct ArrivingBody<'a> {
    all: &'a Arriving,
    bytes: usize,
}

impl ArrivingBody<'_> {
    /// Counts what has come, in whole.
    ///
    /// # Errors
    ///
    /// It and all others together are too much.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let before = self.all.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.all.bytes_max { Err(NoRoom) } else { Ok(()) }
    }
}

impl Drop for ArrivingBody<'_> {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_the_room_and_give_it_back() {
        let all = Arriving::at_most(1);
        let (mut one, mut other) = (all.body(), all.body());
        assert!(one.grow(200).is_ok() && other.grow(56).is_ok());
        assert!(all.body().grow(1).is_err());
        drop(one);
        assert!(other.grow(200).is_ok());
        assert!(other.grow(1).is_err());
        drop(other);
        assert!(all.body().grow(256).is_ok());
    }
}
