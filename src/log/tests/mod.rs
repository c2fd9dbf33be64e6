//! The log's tests that need more than one of its modules, and the disk that they run on.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `byte_changes` | each change of a log's bytes is judged exactly, by a replay and by the tools |
//! | `file_log` | the writes and syncs of a log, their order, and its behaviour on a full disk and after a failure |
//! | `golden_bytes` | the bytes of the format |
//! | `histories` | on a disk that fails at any call, what was acknowledged is kept |
//! | `reader` | a log is read while a server writes it |
//! | `scrub` | what is due leaves the disk, and nothing else does, whenever the disk fails |
//! | `simulated_disk` | the disk of these tests |

mod byte_changes;
mod file_log;
mod golden_bytes;
mod histories;
mod reader;
mod scrub;
pub(crate) mod simulated_disk;

use uuid::Uuid;

use super::segment::LogId;
use super::{LogError, Replay, codec};
use crate::domain::{Actor, Event, Record, Timestamp, UserId};

/// Returns an event that can be recognised by its number.
pub(super) fn user_added(number: u64) -> Record<'static> {
    let id = Uuid::from_u128(u128::from(number));
    record(number, Event::UserAdded { id: id.into(), username: format!("user {number}").into() })
}

/// Returns a chat without users, whose number of users is its last eight bytes.
pub(super) fn chat_added(number: u64) -> Record<'static> {
    record(number, Event::ChatAdded { id: Uuid::nil().into(), name: "tea".into(), users: vec![] })
}

/// Returns a message of this author, which this actor sent.
pub(super) fn message_added(number: u64, author: UserId, by: Actor<'static>) -> Record<'static> {
    let (id, chat) = (Uuid::from_u128(u128::from(number)).into(), Uuid::nil().into());
    Record { by, ..record(number, Event::MessageAdded { id, chat, author, text: "hello".into() }) }
}

/// Returns a sealed frame of version 1, as earlier releases wrote it, with this number of [`user_added`].
pub(super) fn old_frame(log: LogId, first: u64, count: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    (first..first + count).for_each(|number| codec::encode(&user_added(number), &mut payload));
    let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
    let count = u32::try_from(count).expect("few").to_le_bytes();
    let mut body = [&length[..], &count, &first.to_le_bytes(), &payload].concat();
    body.resize(body.len().next_multiple_of(8), 0);
    [&[0xFF, b'c', b'w', 0xFE][..], &log.checksum(&body).to_le_bytes(), &body].concat()
}

fn record(number: u64, event: Event<'static>) -> Record<'static> {
    Record { time: Timestamp::from_micros(number).expect("small"), by: Actor::Unknown, key: None, event }
}

/// Replays the whole log, whose events must be those of [`user_added`] from 1 on. Returns the number after
/// the last.
fn read_users(replay: &mut dyn Replay) -> Result<u64, LogError> {
    let mut next = 1;
    while let Some(frame) = replay.next_frame()? {
        for record in frame.records() {
            assert_eq!(record.expect("decodes"), user_added(next), "each event once, in order");
            next += 1;
        }
    }
    Ok(next)
}
