//! Limits of the API that no flag changes. Those with a flag are in [`config`](crate::config::Limits).

use std::ops::RangeInclusive;
use std::time::Duration;

/// Range of the values of `limit`.
pub(crate) const LIST_LIMIT: RangeInclusive<u64> = 1..=10_000;

/// Range of the values of `limit` of a look-up by the beginning of a name, and the value where it is missing.
pub(crate) const FOUND_LIMIT: RangeInclusive<u64> = 1..=100;
pub(crate) const FOUND_LIMIT_DEFAULT: u64 = 20;

/// Range of the number of users that are looked up together.
pub(crate) const LOOKED_UP_USERS: RangeInclusive<usize> = 1..=1_000;

/// Range of the number of messages that are looked up together.
pub(crate) const LOOKED_UP_MESSAGES: RangeInclusive<usize> = 1..=1_000;

/// Range of the number of messages of one batch.
pub(crate) const BATCH_MESSAGES: RangeInclusive<usize> = 1..=1_000;

/// Maximum length of a batch's body, as a multiple of that of other bodies.
pub(crate) const BATCH_BODY_FACTOR: usize = 32;

/// Maximum memory of all bodies that arrive in parts, as a multiple of the maximum length of an ordinary
/// body. It is enough for eight of the longest batches.
pub(crate) const BODIES_IN_PARTS_MAX: usize = 8 * BATCH_BODY_FACTOR;

/// Maximum bytes of a refused request that are read and discarded.
pub(crate) const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Maximum time for which a refused request is read and discarded.
pub(crate) const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Maximum bytes of the body of a caller without the right credentials that are read and discarded, and the maximum
/// time for that.
pub(crate) const TURNED_AWAY_BYTES_MAX: usize = 64 * 1024;
pub(crate) const TURNED_AWAY_TIME_MAX: Duration = Duration::from_secs(1);

/// Maximum characters of a client's own text that an error shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 64;

/// Maximum bytes of a request's head, with room for a head that is pipelined behind it. It is also the
/// maximum of the bytes of an answer that wait for the client before more of the answer is made.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Maximum connections that wait in the kernel to be accepted. The system may grant fewer.
pub(crate) const CONNECTIONS_WAITING_MAX: u32 = 4096;

/// Maximum handshakes of TLS that are in progress. Further connections wait in the kernel.
pub(crate) const HANDSHAKES_MAX: usize = 1024;

/// Maximum time of a handshake of TLS.
pub(crate) const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Maximum time of a handshake while as many as possible are in progress.
pub(crate) const HANDSHAKE_TIME_CROWDED_MAX: Duration = Duration::from_secs(2);

/// Maximum time after which a client that reads nothing of its answer is disconnected. It holds even if a
/// request may take longer to arrive.
pub(crate) const UNREAD_TIME_MAX: Duration = Duration::from_secs(30);

/// Maximum characters of a request id that a client gives.
pub(crate) const REQUEST_ID_CHARS_MAX: usize = 128;
