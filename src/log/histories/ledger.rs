//! What was submitted and what must be there: the other side of the log's account.

use uuid::Uuid;

use crate::domain::{Event, Position, Record, Timestamp};
use crate::log::{EventLog, Frame, LogError, Progress};

/// A frame as it was submitted; its number stands in each of its records.
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
            key: None,
            event: Event::MessageAdded {
                id: id(number).into(),
                chat: id(0).into(),
                author: id(0).into(),
                // The same in all frames, so that their sectors can take each other's place.
                text: "x".repeat(self.text_bytes).into(),
            },
        }
    }
}

#[derive(Default)]
pub(super) struct Ledger {
    submitted: Vec<Submitted>,
    /// The frames, by number, that were acknowledged or seen after a restart.
    certain: Vec<usize>,
    /// The frame that was submitted last and not answered.
    unanswered: Option<usize>,
}

impl Ledger {
    /// The position of the next event.
    pub(super) fn next(&self) -> u64 {
        self.certain.last().map_or(1, |&number| {
            let last = &self.submitted[number];
            last.first + last.count
        })
    }

    pub(super) fn frames(&self) -> usize {
        self.certain.len()
    }

    /// A frame that follows what is certain.
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

    /// Replays the log and compares: what is certain and nothing else, but for the frame that was not answered.
    /// From then on, what was seen is certain.
    pub(super) fn replay(&mut self, log: &mut dyn EventLog) -> Result<(), Replay> {
        let mut seen = Vec::new();
        log.replay(&Progress::default(), &mut |frame| {
            let mut records = Vec::new();
            frame.records(|record| {
                records.push((record.time, record.event));
                Ok(())
            })?;
            seen.push((frame.first, records.len(), self.number_of(&records)));
            Ok(())
        })
        .map_err(Replay::Failed)?;
        let numbers: Vec<_> = seen.iter().filter_map(|(_, _, number)| *number).collect();
        if numbers.len() < seen.len() {
            return Err(Replay::Broken(format!("a frame that was never submitted: {seen:?}")));
        }
        let with_unanswered = self.certain.iter().copied().chain(self.unanswered);
        if numbers != self.certain && !numbers.iter().copied().eq(with_unanswered) {
            let (certain, unanswered) = (&self.certain, self.unanswered);
            return Err(Replay::Broken(format!(
                "recovered {numbers:?}, acknowledged {certain:?}, not answered {unanswered:?}"
            )));
        }
        self.certain = numbers;
        self.unanswered = None;
        Ok(())
    }

    /// The number of the submitted frame that these records are, all of them.
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

/// Why a replay did not do.
pub(super) enum Replay {
    /// The log said so.
    Failed(LogError),
    /// It broke the promise.
    Broken(String),
}
