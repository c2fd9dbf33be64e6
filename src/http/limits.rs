//! Limits of the API that no flag changes. Those with a flag are in [`config`](crate::config::Limits).

use std::ops::RangeInclusive;
use std::time::Duration;

/// Elements that a `limit` may ask for.
pub(crate) const LIST_LIMIT: RangeInclusive<u64> = 1..=10_000;

/// Messages of one batch.
pub(crate) const BATCH_MESSAGES: RangeInclusive<usize> = 1..=1_000;

/// A batch's body may be this many times as long as other bodies.
pub(crate) const BATCH_BODY_FACTOR: usize = 32;

/// Bodies that arrive in parts share memory for eight of the longest. As a multiple of an ordinary body's maximum.
pub(crate) const BODIES_IN_PARTS_MAX: usize = 8 * BATCH_BODY_FACTOR;

/// Bytes of a refused request that are read and thrown away.
pub(crate) const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Time for which a refused request is read and thrown away.
pub(crate) const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Characters of a client's own text that an error shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 64;

/// Bytes of a request's head, with room for a head that is pipelined behind it.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Time after which a client that reads none of its answer is disconnected, however long a request may take to arrive.
pub(crate) const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// Characters of a request id that a client gives.
pub(crate) const REQUEST_ID_CHARS_MAX: usize = 128;
