//! The rule of what counts: **a message counts if, and only if, it was decided on the last message that counts.**
//!
//! Every server judges every message by this rule, in the order of the stream. So all have the same log, whatever the
//! nodes let through: of all messages that were decided on one state, the first one counts, and the others never will.

use super::message::{self, ChainValue, Genesis, Head, Unreadable};
use crate::domain::Position;
use crate::log::frame::{self, FrameHeader};
use crate::log::segment::{FrameFormat, Version};

/// What the messages so far add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judge {
    pub(super) genesis: Genesis,
    /// The sequence of the last message that was judged.
    pub(super) judged: u64,
    /// The sequence of the last message that counts.
    pub(super) counted: u64,
    /// What that message says of itself; `None` for the genesis.
    pub(super) head: Option<Head>,
    /// The chain value after it.
    pub(super) chain: ChainValue,
    /// The position of the next event.
    pub(super) next: Position,
}

/// What a message is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'m> {
    /// It counts: its frame is the next one of the log.
    Counts(Counting<'m>),
    /// It was decided on what was no longer the last message that counts, so it has happened for nobody.
    Superseded,
    /// It is no message of this log, or it was changed on its way or on a node's disk.
    Stray,
}

/// A frame that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counting<'m> {
    pub(super) head: Head,
    pub(super) header: FrameHeader,
    /// The sealed frame.
    pub(super) frame: &'m [u8],
}

/// The reason why a server cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The message is of a later release, whose messages may count.
    LaterRelease,
    /// The frame is not the next one, although the message counts: its writer had a bug.
    Contradiction,
    /// The message was decided on another history than this server has seen.
    OtherHistory,
}

impl Judge {
    /// Returns the judge of the messages that follow the genesis.
    pub(super) fn after_genesis(genesis: Genesis) -> Self {
        Self { genesis, judged: 1, counted: 1, head: None, chain: ChainValue::default(), next: Position(1) }
    }

    /// Judges the message after the last one that was judged.
    pub(super) fn judge<'m>(&self, bytes: &'m [u8]) -> Result<Verdict<'m>, Stop> {
        let (head, frame) = match message::read_frame(bytes, self.genesis.log) {
            Ok(read) => read,
            Err(Unreadable::Stray) => return Ok(Verdict::Stray),
            Err(Unreadable::Unknown) => return Err(Stop::LaterRelease),
        };
        if head.prev < self.counted {
            return Ok(Verdict::Superseded);
        }
        if head.prev > self.counted || head.chain != self.chain {
            return Err(Stop::OtherHistory);
        }
        let header = FrameHeader::check(frame, self.format()).ok_or(Stop::Contradiction)?;
        if header.first != self.next || header.sealed_bytes() != frame.len() {
            return Err(Stop::Contradiction);
        }
        Ok(Verdict::Counts(Counting { head, header, frame }))
    }

    /// Goes on to the next message.
    pub(super) fn pass(&mut self, verdict: &Verdict<'_>) {
        self.judged += 1;
        if let Verdict::Counts(Counting { head, header, frame }) = verdict {
            self.counted = self.judged;
            self.head = Some(*head);
            self.chain = self.chain.after(&frame[..frame::HEADER_BYTES]);
            self.next = header.end();
        }
    }

    /// Returns whether this is the last message that counts, as it is read again.
    pub(super) fn is_last_counted(&self, bytes: &[u8]) -> bool {
        match self.head {
            Some(head) => message::read_frame(bytes, self.genesis.log).is_ok_and(|(read, _)| read == head),
            None => message::read_genesis(bytes) == Ok(self.genesis),
        }
    }

    pub(super) fn format(&self) -> FrameFormat {
        FrameFormat { log: self.genesis.log, version: Version::Two }
    }
}
