//! The lives of a log on one disk.

use super::ledger::Unkept;
use super::{BETWEEN_CALLS, Ledger, Tally};
use crate::log::segment::{self, HEADER_BYTES, LogId};
use crate::log::tests::simulated_disk::{Among, Chance, Fault, Lie, SimDisk, Stop};
use crate::log::{AppendError, EventLog, FileLog, LogError};

/// Room for a few frames, so that most lives see a new segment.
pub(super) const SEGMENT_BYTES: u64 = HEADER_BYTES as u64 + 1024;

/// The activity of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Replay,
    Append,
}

/// A disk, the ledger of its log, and the source of all choices.
pub(super) struct Life {
    pub(super) chance: Chance,
    pub(super) disk: SimDisk,
    pub(super) ledger: Ledger,
    lie: Option<(Step, Lie)>,
    /// Whether the disk has a limit in this life.
    limited: bool,
    /// The last activity of the log.
    step: Step,
}

/// Whether a life goes on after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    GoesOn,
    Ends,
}

impl Life {
    pub(super) fn history(seed: u64, lie: Option<(Step, Lie)>) -> Self {
        let mut chance = Chance::from_seed(seed);
        let disk = SimDisk::new(Chance::from_seed(chance.below(usize::MAX) as u64));
        Self { lie, ..Self::on(disk, chance) }
    }

    pub(super) fn on(disk: SimDisk, chance: Chance) -> Self {
        Self { chance, disk, ledger: Ledger::default(), lie: None, limited: false, step: Step::Replay }
    }

    pub(super) fn log(&self) -> FileLog<SimDisk> {
        FileLog::reproducible(self.disk.clone(), SEGMENT_BYTES, LogId::from_bytes([7; 16]))
    }

    /// Lives one life: chooses what goes wrong, replays the log, appends to it, and ends.
    pub(super) fn live(&mut self, tally: &mut Tally) -> Result<(), String> {
        self.set_fate();
        tally.lives += 1;
        let mut log = self.log();
        if self.replay(&mut log, tally)? == Next::GoesOn {
            for _ in 0..self.chance.below(9) {
                self.change_room();
                if self.chance.one_in(6) {
                    // As the writer does while it waits; what it finds out does not matter here.
                    let frame_bytes = self.chance.below(1_500);
                    drop(log.look_for_room(frame_bytes));
                }
                let (count, text_bytes) = self.shape();
                if self.append(&mut log, count, text_bytes, tally)? == Next::Ends {
                    break;
                }
            }
        }
        drop(log);
        self.end_life(tally);
        Ok(())
    }

    fn set_fate(&mut self) {
        let among = if self.chance.one_in(5) { Among::All } else { Among::Changes };
        // Half of the stops come early, during the recovery; the others at any time.
        let calls = if self.chance.one_in(2) { 9 } else { 50 };
        let at = self.chance.below(calls);
        self.disk.stop_after(match self.chance.below(8) {
            0..4 => Some((Stop::Machine, at, among)),
            4..6 => Some((Stop::Process, at, among)),
            _ => None,
        });
        let after = self.chance.below(12);
        self.disk.fail_after(match self.chance.below(8) {
            0 => Some((Fault::Write, after)),
            1 | 2 => Some((Fault::Sync, after)),
            _ => None,
        });
        let cannot_allocate = self.chance.one_in(3);
        self.disk.set_cannot_allocate(cannot_allocate);
        let names_need_room = self.chance.one_in(3);
        self.disk.set_names_need_room(names_need_room);
        let limited = self.chance.one_in(5);
        self.set_limited(limited);
    }

    fn set_limited(&mut self, limited: bool) {
        let segments = self.chance.below(4);
        let room = self.chance.below(segments * usize::try_from(SEGMENT_BYTES).expect("small") + 1) as u64;
        self.limited = limited;
        self.disk.set_room(limited.then_some(room));
    }

    /// Fills or frees the disk now and then, as another process may.
    fn change_room(&mut self) {
        if self.chance.one_in(12) {
            let limited = self.chance.one_in(2);
            self.set_limited(limited);
        }
    }

    /// Chooses the number of events of the next frame, and the length of their texts.
    fn shape(&mut self) -> (u64, usize) {
        match self.chance.below(10) {
            0..3 => (1, self.chance.below(40)),
            3..5 => (2 + self.chance.below(4) as u64, self.chance.below(40)),
            5..9 => (1, 300 + self.chance.below(600)),
            _ => (1 + self.chance.below(3) as u64, 900 + self.chance.below(1200)),
        }
    }

    pub(super) fn replay(&mut self, log: &mut FileLog<SimDisk>, tally: &mut Tally) -> Result<Next, String> {
        self.begin(Step::Replay);
        self.disk.take_calls();
        let replayed = self.ledger.replay(log);
        let calls = self.disk.take_calls();
        tally.torn += calls.iter().filter(|call| call.starts_with("create") && is_copy(call)).count() as u64;
        match replayed {
            Ok(()) => Ok(Next::GoesOn),
            Err(Unkept::Failed(error @ LogError::Io { .. })) => self.excuse(&error, tally),
            Err(Unkept::Failed(error)) => Err(error.to_string()),
            Err(Unkept::Broken(how)) => Err(how),
        }
    }

    fn begin(&mut self, step: Step) {
        self.step = step;
        self.disk.set_lie(self.lie.and_then(|(when, lie)| (when == step).then_some(lie)));
    }

    pub(super) fn append(
        &mut self,
        log: &mut FileLog<SimDisk>,
        count: u64,
        text_bytes: usize,
        tally: &mut Tally,
    ) -> Result<Next, String> {
        self.begin(Step::Append);
        let mut frame = self.ledger.submit(count, text_bytes);
        match log.append(&mut frame) {
            Ok(()) => {
                tally.acked += 1;
                self.ledger.acknowledged();
                Ok(Next::GoesOn)
            }
            Err(AppendError::NoRoom(error)) => {
                tally.refused += 1;
                self.ledger.refused();
                if self.limited { Ok(Next::GoesOn) } else { Err(format!("refused without need: {error}")) }
            }
            Err(AppendError::Failed(error)) => self.excuse(&error, tally),
            Err(shared) => Err(format!("a log of one server failed as a shared one: {shared}")),
        }
    }

    /// Ends a life after a failure, which must be one that was chosen.
    fn excuse(&self, error: &LogError, tally: &mut Tally) -> Result<Next, String> {
        if self.disk.eio_met() {
            tally.failing += 1;
        } else if self.disk.stopped().is_none() {
            return Err(format!("{:?} failed on a sound disk: {error}", self.step));
        }
        Ok(Next::Ends)
    }

    /// Ends the process and, if that was chosen, the machine.
    pub(super) fn end_life(&mut self, tally: &mut Tally) {
        self.disk.fail_after(None);
        self.disk.set_room(None);
        let stopped = self.disk.stopped();
        let (stop, at) = match &stopped {
            Some((stop, call)) => (*stop, format!("{} {}", call.what, kind_of_name(&call.name))),
            None if self.chance.one_in(3) => (Stop::Machine, BETWEEN_CALLS.to_owned()),
            None => (Stop::Process, BETWEEN_CALLS.to_owned()),
        };
        match stop {
            Stop::Machine => self.disk.crash(),
            Stop::Process => self.disk.restart(),
        }
        *tally.stops.entry(format!("{stop:?} stopped, {:?}: {at}", self.step)).or_default() += 1;
    }

    /// Lives the last lives, on a disk without faults: everything is there, the recovery has nothing left to
    /// do, and the log works.
    pub(super) fn end(&mut self, tally: &mut Tally) -> Result<(), String> {
        self.limited = false;
        self.must_replay(tally)?;
        let copies = self.copies();
        self.disk.restart();
        let mut log = self.must_replay(tally)?;
        if self.copies() != copies {
            return Err("a torn write was cut off, and was there again".to_owned());
        }
        if self.disk.names().iter().any(|name| name == "spare-large") {
            return Err("a file that is no longer used is left".to_owned());
        }
        for (count, text_bytes) in [(1, 0), (2, 700), (1, 2000)] {
            self.append(&mut log, count, text_bytes, tally)?;
        }
        drop(log);
        let frames = self.ledger.frames();
        self.disk.crash();
        self.must_replay(tally)?;
        if self.ledger.frames() == frames { Ok(()) } else { Err("more than was appended".to_owned()) }
    }

    fn must_replay(&mut self, tally: &mut Tally) -> Result<FileLog<SimDisk>, String> {
        tally.lives += 1;
        let mut log = self.log();
        self.replay(&mut log, tally)?;
        Ok(log)
    }

    fn copies(&self) -> usize {
        self.disk.names().iter().filter(|name| is_copy(name)).count()
    }
}

fn is_copy(name: &str) -> bool {
    name.contains(".torn-")
}

fn kind_of_name(name: &str) -> &str {
    match name {
        "directory" | "spare" | "spare-large" => name,
        _ if segment::first_in_name(name).is_some() => "segment",
        _ => "copy of a torn write",
    }
}
