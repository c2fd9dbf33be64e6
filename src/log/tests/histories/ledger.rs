//! The ledger of a history: the frames that were submitted, and those that must be in the log.

use uuid::Uuid;

use crate::domain::{Actor, Event, Position, Record, Timestamp};
use crate::log::{EventLog, Frame, LogError, Progress};

/// A frame as it was submitted. Each of its records holds its number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Submitted {
    first: u64,
    count: u64,
    text_bytes: usize,
}

impl Submitted {
    fn record(&self, number: usize, position: u64) -> Record<'static> {
        let id = |number: usize| Uuid::from_u128(number as u128);
        Record {
            time: Timestamp::from_micros(position).expect("small"),
            // Some frames have a table of actors.
            by: if number.is_multiple_of(2) { Actor::Unknown } else { Actor::Key("bot".into()) },
            key: None,
            event: Event::MessageAdded {
                id: id(number).into(),
                chat: id(0).into(),
                author: id(0).into(),
                // The same text in all frames, so that a sector of one frame can pass for a sector of
                // another.
                text: "x".repeat(self.text_bytes).into(),
            },
        }
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    submitted: Vec<Submitted>,
    /// The numbers of the frames that were acknowledged, or recovered after a restart.
    certain: Vec<usize>,
    /// The number of the last submitted frame, if the log has not answered it.
    unanswered: Option<usize>,
}

impl Ledger {
    /// Returns the position of the next event.
    pub(super) fn next(&self) -> u64 {
        self.certain.last().map_or(1, |&number| {
            let last = &self.submitted[number];
            last.first + last.count
        })
    }

    pub(super) fn frames(&self) -> usize {
        self.certain.len()
    }

    /// Creates a frame that follows the certain ones.
    pub(super) fn submit(&mut self, count: u64, text_bytes: usize) -> Frame {
        let plan = Submitted { first: self.next(), count, text_bytes };
        let number = self.submitted.len();
        let mut frame = Frame::new(Position(plan.first));
        (0..count).for_each(|index| frame.push(&plan.record(number, plan.first + index)));
        self.submitted.push(plan);
        self.unanswered = Some(number);
        frame
    }

    pub(super) fn acknowledged(&mut self) {
        self.certain.extend(self.unanswered.take());
    }

    pub(super) fn refused(&mut self) {
        self.unanswered = None;
    }

    /// Replays the log and compares: it must hold the certain frames, and may hold the unanswered one behind
    /// them. From then on, the recovered frames are the certain ones.
    pub(super) fn replay(&mut self, log: &mut dyn EventLog) -> Result<(), Unkept> {
        let seen = self.read(log).map_err(Unkept::Failed)?;
        let numbers: Vec<_> = seen.iter().filter_map(|frame| frame.number).collect();
        if numbers.len() < seen.len() {
            return Err(Unkept::Broken(format!("a frame that was never submitted: {seen:?}")));
        }
        let with_unanswered = self.certain.iter().copied().chain(self.unanswered);
        if numbers != self.certain && !numbers.iter().copied().eq(with_unanswered) {
            let (certain, unanswered) = (&self.certain, self.unanswered);
            return Err(Unkept::Broken(format!(
                "recovered {numbers:?}, acknowledged {certain:?}, not answered {unanswered:?}"
            )));
        }
        self.certain = numbers;
        self.unanswered = None;
        Ok(())
    }

    fn read(&self, log: &mut dyn EventLog) -> Result<Vec<Recovered>, LogError> {
        let (progress, mut seen) = (Progress::default(), Vec::new());
        let mut replay = log.replay(&progress)?;
        while let Some(frame) = replay.next_frame()? {
            let decoded = frame.records().map(|record| record.expect("decodes"));
            let records: Vec<_> = decoded.map(|record| (record.time, record.event)).collect();
            seen.push(Recovered {
                first: frame.first,
                count: records.len(),
                number: self.number_of(&records),
            });
        }
        Ok(seen)
    }

    /// Returns the number of the submitted frame that has exactly these records.
    fn number_of(&self, records: &[(Timestamp, Event<'_>)]) -> Option<usize> {
        let (_, Event::MessageAdded { id, .. }) = records.first()? else { return None };
        let number = usize::try_from(Uuid::from(*id).as_u128()).ok()?;
        let plan = self.submitted.get(number)?;
        let whole = (plan.first..plan.first + plan.count).map(|position| {
            let record = plan.record(number, position);
            (record.time, record.event)
        });
        whole.eq(records.iter().cloned()).then_some(number)
    }
}

/// A frame that a replay returned.
#[derive(Debug)]
#[expect(dead_code, reason = "printed when a promise is broken")]
struct Recovered {
    first: Position,
    count: usize,
    /// `None` if no such frame was submitted.
    number: Option<usize>,
}

/// The reason why a replay is not as it must be.
pub(super) enum Unkept {
    /// The log refused it.
    Failed(LogError),
    /// The log broke this promise.
    Broken(String),
}
