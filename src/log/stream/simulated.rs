//! A stream in memory for tests, which may behave as badly as a real one, and worse.
//!
//! An acknowledgement is lost. A publication arrives late, twice, or after its writer's death. It is refused for what is
//! never committed. The compare-and-set is not kept at all. A node lags, or has lost a message and leaves it out, or
//! holds a flipped bit. Strangers publish. No node leads. The stream is full, is cut short, or is deleted and created
//! again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Heard, Published, Stream, StreamError, StreamLog, Told, Unreachable, new_genesis};
pub(crate) use crate::log::tests::simulated_disk::{Among, Chance, Fault, SimDisk, Stop};
use crate::log::{EventLog, FileLog, LogError, LogId};

/// Number of nodes that can be read.
const NODES: usize = 3;

/// The messages, and the faults that nodes and connections have.
pub(crate) struct Sea {
    chance: Chance,
    messages: Vec<Vec<u8>>,
    /// Publications that may still arrive, and what they expect.
    late: Vec<(u64, Vec<u8>)>,
    nodes: [Node; NODES],
    created: u64,
    /// What the nodes say of the stream to one who starts.
    presence: Presence,
    /// What the node that leads told last, which it does once a second.
    told: Told,
    message_bytes_max: usize,
    /// The time by which the servers' clocks are ahead, in milliseconds.
    clock_ahead_ms: i64,
    time: Duration,
    pub(crate) faults: Faults,
}

/// What the nodes say of the stream to one who starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence {
    There,
    /// Nobody answers.
    Silent,
    /// There is no such stream.
    Gone,
}

/// A node, as a reader sees it.
#[derive(Default)]
struct Node {
    /// The number of messages that it has not got yet.
    lag: usize,
    /// Sequences of the messages that it has lost.
    lost: BTreeSet<u64>,
    /// Sequences of the messages that it holds with a flipped bit.
    flipped: BTreeSet<u64>,
}

/// What goes wrong. One in so many calls has the fault; `None` if it never occurs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost_ack: Option<usize>,
    pub(crate) late: Option<usize>,
    pub(crate) doubled: Option<usize>,
    pub(crate) false_conflict: Option<usize>,
    pub(crate) stray: Option<usize>,
    pub(crate) nowhere: Option<usize>,
    pub(crate) lagging: Option<usize>,
    pub(crate) lost_by_node: Option<usize>,
    pub(crate) flipped_by_node: Option<usize>,
    /// Expected sequences are not looked at.
    pub(crate) no_compare_and_set: bool,
    pub(crate) full: Option<usize>,
}

impl Faults {
    /// Returns a mixture of faults.
    pub(crate) fn any(chance: &mut Chance) -> Self {
        // Some faults occur always, for a while.
        let always = [chance.one_in(8), chance.one_in(8)].map(|always| always.then_some(1));
        let mut odds = || [None, Some(2), Some(5), Some(20)][chance.below(4)];
        Self {
            lost_ack: odds(),
            late: always[0].or_else(&mut odds),
            doubled: odds(),
            false_conflict: odds(),
            stray: odds(),
            nowhere: always[1].or_else(&mut odds),
            lagging: odds(),
            lost_by_node: odds(),
            flipped_by_node: odds(),
            no_compare_and_set: odds().is_some_and(|odds| odds == 2),
            full: odds(),
        }
    }
}

/// A connection to the simulated stream. Clones share it.
#[derive(Clone)]
pub(crate) struct SimStream(Arc<Mutex<Sea>>);

impl SimStream {
    /// Creates a stream that holds a genesis alone.
    pub(crate) fn new(chance: Chance) -> Self {
        let messages = vec![new_genesis()];
        Self(Arc::new(Mutex::new(Sea {
            chance,
            messages,
            late: Vec::new(),
            nodes: Default::default(),
            created: 1,
            presence: Presence::There,
            told: Told { last: 1, created: 1, at: Duration::ZERO, clock_ahead_ms: 0 },
            message_bytes_max: usize::MAX,
            clock_ahead_ms: 0,
            time: Duration::ZERO,
            faults: Faults::default(),
        })))
    }

    /// Returns the log of a server on this stream, with its copy on this disk.
    pub(crate) fn log(&self, disk: SimDisk) -> Box<dyn EventLog> {
        /// Room for a few frames, so that most copies have several segments.
        const SEGMENT_BYTES: u64 = 16 * 1024;
        let copy = FileLog::reproducible(disk, SEGMENT_BYTES, LogId::from_bytes([7; 16]));
        Box::new(StreamLog::new(self.clone(), "test".to_owned(), copy, Duration::from_secs(10)))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub(crate) fn set_message_bytes_max(&self, bytes_max: usize) {
        self.0.lock().message_bytes_max = bytes_max;
    }

    /// Sets the time by which the servers' clocks are ahead of the nodes', which are told it within a second.
    pub(crate) fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.0.lock().clock_ahead_ms = ahead_ms;
    }

    /// Lets all late publications arrive, or never arrive, and makes all nodes equal: what happens in the end.
    pub(crate) fn settle(&self) {
        let mut sea = self.0.lock();
        sea.faults = Faults::default();
        while !sea.late.is_empty() {
            sea.land_one();
        }
        sea.nodes = Default::default();
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.0.lock().pass(time);
    }

    /// Sets what the nodes say of the stream to one who starts.
    pub(crate) fn set_presence(&self, presence: Presence) {
        self.0.lock().presence = presence;
    }

    /// Returns the number of messages.
    pub(crate) fn messages(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Cuts the stream to this number of messages, as if all nodes had been put back to an earlier state.
    pub(crate) fn roll_back(&self, messages: usize) {
        let mut sea = self.0.lock();
        sea.messages.truncate(messages);
        sea.late.clear();
    }

    /// Deletes the stream, and creates another one.
    pub(crate) fn recreate(&self) {
        self.begin_anew(new_genesis());
    }

    /// Deletes the stream, and creates another one with this first message.
    pub(crate) fn begin_anew(&self, genesis: Vec<u8>) {
        let mut sea = self.0.lock();
        sea.messages = vec![genesis];
        sea.late.clear();
        sea.created += 1;
    }
}

impl Sea {
    fn happens(&mut self, odds: Option<usize>) -> bool {
        odds.is_some_and(|odds| self.chance.one_in(odds))
    }

    fn last(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Stores a message if its expectation is met, or if nobody looks at that.
    fn store(&mut self, expected: u64, message: &[u8]) -> Option<u64> {
        if !self.faults.no_compare_and_set && expected != self.last() {
            return None;
        }
        self.messages.push(message.to_vec());
        Some(self.last())
    }

    /// Decides about a late publication: it arrives, or is lost.
    fn land_one(&mut self) {
        let index = self.chance.below(self.late.len());
        let (expected, message) = self.late.swap_remove(index);
        if self.chance.one_in(2) {
            self.store(expected, &message);
        }
    }

    /// Lets time pass, and things go wrong meanwhile.
    fn pass(&mut self, time: Duration) {
        self.time += time;
        if self.time.saturating_sub(self.told.at) >= Duration::from_secs(1)
            && !self.happens(self.faults.nowhere)
        {
            // A node that led before may tell of fewer messages, but it gives up after 10 s.
            let may_tell_less = self.time.as_secs() % 20 < 10;
            let less = u64::from(may_tell_less && self.happens(self.faults.lagging));
            let (last, created, at) = (self.last() - less, self.created, self.time);
            self.told = Told { last, created, at, clock_ahead_ms: self.clock_ahead_ms };
        }
        if !self.late.is_empty() && self.chance.one_in(30) {
            self.land_one();
        }
        let (node, last) = (self.chance.below(NODES), self.last());
        let sequence = 1 + self.chance.below(self.messages.len()) as u64;
        let others_have_it = |nodes: &[Node; NODES]| {
            let is_bad = |node: &Node| node.lost.contains(&sequence) || node.flipped.contains(&sequence);
            !nodes.iter().any(is_bad)
        };
        if self.happens(self.faults.lost_by_node) && sequence < last && others_have_it(&self.nodes) {
            self.nodes[node].lost.insert(sequence);
        }
        if self.happens(self.faults.flipped_by_node) && others_have_it(&self.nodes) {
            self.nodes[node].flipped.insert(sequence);
        }
        self.nodes[node].lag = if self.happens(self.faults.lagging) { self.chance.below(5) } else { 0 };
    }

    fn publish(&mut self, expected: u64, message: &[u8]) -> Published {
        self.pass(Duration::from_millis(2));
        if self.happens(self.faults.stray) {
            let length = self.chance.below(100);
            self.messages.push(vec![0xff; length]);
        }
        if self.happens(self.faults.nowhere) {
            return Published::Nowhere;
        }
        if self.happens(self.faults.full) {
            return Published::Full;
        }
        if self.happens(self.faults.false_conflict) {
            return Published::Conflict;
        }
        if self.happens(self.faults.late) {
            self.late.push((expected, message.to_vec()));
            self.time += Duration::from_secs(2);
            return Published::Unknown;
        }
        let Some(sequence) = self.store(expected, message) else { return Published::Conflict };
        if self.happens(self.faults.doubled) {
            self.late.push((expected, message.to_vec()));
            self.messages.push(message.to_vec());
        }
        if self.happens(self.faults.lost_ack) {
            self.time += Duration::from_secs(2);
            return Published::Unknown;
        }
        Published::At(sequence)
    }

    fn read(&mut self, from: u64, bytes_max: usize) -> Vec<(u64, Vec<u8>)> {
        self.pass(Duration::from_millis(1));
        let node = self.chance.below(NODES);
        let Node { lag, lost, flipped } = &self.nodes[node];
        let there = &self.messages[..self.messages.len().saturating_sub(*lag)];
        let before = from.saturating_sub(1).min(there.len() as u64);
        let there = (before + 1..).zip(&there[usize::try_from(before).expect("few")..]);
        let read = there.filter(|(sequence, _)| !lost.contains(sequence));
        let mut bytes = 0;
        let read = read.take_while(|(_, message)| {
            let fits = bytes < bytes_max;
            bytes += message.len();
            fits
        });
        let flip = |(sequence, message): (u64, &Vec<u8>)| {
            let mut message = message.clone();
            if let Some(last) = message.last_mut().filter(|_| flipped.contains(&sequence)) {
                *last ^= 1;
            }
            (sequence, message)
        };
        read.map(flip).collect()
    }
}

impl Stream for SimStream {
    fn check(&mut self) -> Result<bool, LogError> {
        match self.0.lock().presence {
            Presence::There => Ok(true),
            Presence::Silent => Ok(false),
            Presence::Gone => Err(StreamError::Missing { stream: "test".to_owned() }.into()),
        }
    }

    fn message_bytes_max(&self) -> usize {
        self.0.lock().message_bytes_max
    }

    fn publish(&mut self, expected: u64, message: &[u8], _patience: Duration) -> Published {
        self.0.lock().publish(expected, message)
    }

    fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable> {
        let mut sea = self.0.lock();
        let nowhere = sea.faults.nowhere;
        if sea.happens(nowhere) { Err(Unreachable) } else { Ok(sea.read(from, bytes_max)) }
    }

    fn probe(&mut self) -> Option<u64> {
        let mut sea = self.0.lock();
        sea.pass(Duration::from_millis(1));
        let Faults { nowhere, false_conflict, .. } = sea.faults;
        if sea.happens(nowhere) {
            return None;
        }
        // What the leader has given out may never be committed.
        Some(sea.last() + u64::from(sea.happens(false_conflict)))
    }

    fn heard(&self) -> Heard {
        let mut sea = self.0.lock();
        let lagging = sea.faults.lagging;
        let last = sea.last() - u64::from(sea.happens(lagging));
        Heard { last, told: Some(sea.told) }
    }

    fn wake_by(&mut self, _wake: Box<dyn Fn() + Send + Sync>) {}

    fn time(&self) -> Duration {
        self.0.lock().time
    }

    fn wait(&mut self, time: Duration) {
        self.0.lock().pass(time);
    }
}
