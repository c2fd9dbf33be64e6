//! A cache of the latest events in the form in which streams send them.

use axum::body::Bytes;
use parking_lot::Mutex;

use crate::domain::Position;

/// Maximum number of cached events.
const SLOTS: usize = 512;
/// Maximum bytes of a cached event. The longest message takes 96 KiB if all of its characters must be
/// escaped.
const KEPT_BYTES_MAX: usize = 128 * 1024;

/// The latest events, each in the slot that its position falls into.
pub(crate) struct EventCache(Box<[Mutex<Slot>]>);

#[derive(Default)]
struct Slot {
    position: Position,
    bytes: Bytes,
}

impl Default for EventCache {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Mutex::default()).collect())
    }
}

impl EventCache {
    /// Returns the event at this position. The first stream that needs it renders it, while others wait.
    pub(super) fn get_or_render(&self, position: Position, render: impl FnOnce() -> Vec<u8>) -> Bytes {
        let index = usize::try_from(position.0 % SLOTS as u64).expect("less than SLOTS");
        let mut slot = self.0[index].lock();
        if slot.position == position {
            return slot.bytes.clone();
        }
        let bytes = Bytes::from(render());
        if slot.position < position && bytes.len() <= KEPT_BYTES_MAX {
            *slot = Slot { position, bytes: bytes.clone() };
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_rendered_once_until_a_later_one_takes_its_slot() {
        let cache = EventCache::default();
        let get = |position: u64, text: &str| {
            let mut is_new = false;
            let bytes = cache.get_or_render(Position(position), || {
                is_new = true;
                text.as_bytes().to_vec()
            });
            (is_new, bytes)
        };
        assert_eq!(get(5, "five"), (true, Bytes::from("five")));
        assert_eq!(get(5, "not again"), (false, Bytes::from("five")));
        let later = 5 + SLOTS as u64;
        assert_eq!(get(later, "later"), (true, Bytes::from("later")));
        // An older event is rendered, but not kept.
        assert_eq!(get(5, "five"), (true, Bytes::from("five")));
        assert_eq!(get(later, "not again"), (false, Bytes::from("later")));
        // Nor is one that is too long.
        let long = "x".repeat(KEPT_BYTES_MAX + 1);
        assert!(get(later + SLOTS as u64, &long).0 && get(later + SLOTS as u64, &long).0);
    }
}
