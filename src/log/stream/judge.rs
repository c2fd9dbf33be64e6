//! The rule of what counts.
//!
//! **Invariant:** a message counts if, and only if, it was decided on the last message that counts. Every server judges
//! every message by this rule, in the order of the stream. So all have the same log, whatever the nodes let through: of
//! all messages that were decided on one state, the first one counts, and the others never will.

use super::message::{self, ChainValue, Checksum, Genesis, Head, Unreadable};
use crate::domain::Position;
use crate::log::frame::{self, FrameHeader};
use crate::log::segment::{FrameFormat, Version};

/// What the messages so far add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judge {
    pub(super) genesis: Genesis,
    /// The sequence of the last message that was judged.
    pub(super) judged: u64,
    /// The last sound message that was judged, and its sequence.
    pub(super) last: (u64, Checksum),
    /// The sequence of the last message that counts.
    pub(super) counted: u64,
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
    pub(super) fn after_genesis(genesis: Genesis, message: &[u8]) -> Self {
        let (last, chain) = ((1, Checksum::of(message)), ChainValue::default());
        Self { genesis, judged: 1, last, counted: 1, chain, next: Position(1) }
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

    /// Goes on to the next message, which is this one.
    pub(super) fn pass(&mut self, message: &[u8], verdict: &Verdict<'_>) {
        self.judged += 1;
        if !matches!(verdict, Verdict::Stray) {
            self.last = (self.judged, Checksum::of(message));
        }
        if let Verdict::Counts(Counting { header, frame, .. }) = verdict {
            self.counted = self.judged;
            self.chain = self.chain.after(&frame[..frame::HEADER_BYTES]);
            self.next = header.end();
        }
    }

    pub(super) fn format(&self) -> FrameFormat {
        FrameFormat { log: self.genesis.log, version: Version::Two }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Epoch;
    use crate::log::Frame;
    use crate::log::segment::LogId;
    use crate::log::stream::message::WriterId;
    use crate::log::tests::user_added;

    const GENESIS: Genesis = Genesis { log: LogId::from_bytes([1; 16]), epoch: Epoch(7) };

    fn start() -> Judge {
        Judge::after_genesis(GENESIS, &GENESIS.message(WriterId::random()))
    }

    /// Returns a message with one event, which was decided by this judge's state.
    fn decided_on(judge: &Judge, user: u64) -> Vec<u8> {
        let mut frame = Frame::new(judge.next);
        frame.push(&user_added(user));
        let head = Head { writer: WriterId::random(), number: 1, prev: judge.counted, chain: judge.chain };
        let mut message = Vec::new();
        head.write_frame(GENESIS.log, frame.seal(GENESIS.log, GENESIS.epoch), &mut message);
        message
    }

    /// Returns the judge after this message.
    fn after(mut judge: Judge, message: &[u8]) -> Judge {
        let verdict = judge.judge(message).expect("no reason to stop");
        judge.pass(message, &verdict);
        judge
    }

    fn counts(judge: &Judge, message: &[u8]) -> bool {
        matches!(judge.judge(message), Ok(Verdict::Counts(_)))
    }

    #[test]
    fn the_first_of_those_decided_on_one_state_counts() {
        // Given three messages that were decided on the genesis,
        let start = start();
        let [first, second, third] = [1, 2, 3].map(|user| decided_on(&start, user));
        // When the first is judged, it counts, and the others never do,
        assert!(counts(&start, &first));
        let state = after(start, &first);
        assert_eq!((state.judged, state.counted, state.next), (2, 2, Position(2)));
        for late in [&second, &third, &first] {
            assert!(matches!(state.judge(late), Ok(Verdict::Superseded)));
        }
        // Then the next one is decided on the first, wherever it stands.
        let next = decided_on(&state, 2);
        let state = after(after(state, &second), &third);
        assert_eq!((state.judged, state.counted, state.next), (4, 2, Position(2)));
        assert!(counts(&state, &next));
        assert_eq!(after(state, &next).next, Position(3));
    }

    #[test]
    fn strays_are_passed_over() {
        let start = start();
        let first = decided_on(&start, 1);
        for stray in [&b""[..], b"hello", &first[..first.len() - 1], &GENESIS.message(WriterId::random())] {
            assert!(matches!(start.judge(stray), Ok(Verdict::Stray)));
            assert!(counts(&after(start, stray), &first));
        }
    }

    #[test]
    fn another_history_stops_the_server() {
        let start = start();
        let (ours, theirs) = (after(start, &decided_on(&start, 1)), after(start, &decided_on(&start, 2)));
        let next = decided_on(&theirs, 3);
        assert!(counts(&theirs, &next));
        assert_eq!(ours.judge(&next).expect_err("their chain"), Stop::OtherHistory);
        assert_eq!(start.judge(&next).expect_err("their message is not there"), Stop::OtherHistory);
    }

    #[test]
    fn a_frame_that_is_not_the_next_stops_the_server() {
        let start = start();
        let with_frame = |frame: &[u8]| {
            let head = Head { writer: WriterId::random(), number: 1, prev: 1, chain: start.chain };
            let mut message = Vec::new();
            head.write_frame(GENESIS.log, frame, &mut message);
            start.judge(&message).map(|verdict| matches!(verdict, Verdict::Counts(_)))
        };
        let sealed = |first| {
            let mut frame = Frame::new(Position(first));
            frame.push(&user_added(1));
            frame.seal(GENESIS.log, GENESIS.epoch).to_vec()
        };
        assert_eq!(with_frame(&sealed(1)), Ok(true));
        assert_eq!(with_frame(&sealed(2)), Err(Stop::Contradiction));
        assert_eq!(with_frame(&[sealed(1), vec![0; 8]].concat()), Err(Stop::Contradiction));
        assert_eq!(with_frame(b""), Err(Stop::Contradiction));
    }
}
