//! What a log on a stream notes of the stream, and what it makes of what the nodes tell.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use uuid::Uuid;

use super::simulated::{Chance, Faults, Presence, SimDisk, SimStream};
use super::{StreamError, StreamStatus};
use crate::domain::{Actor, Event, Position, Record, Timestamp};
use crate::log::{AppendError, Caught, EventLog, Frame, LogError};

/// A server on a simulated stream, alone.
struct Server {
    stream: SimStream,
    log: Box<dyn EventLog>,
    status: Arc<StreamStatus>,
    /// The number of events so far.
    events: u64,
}

impl Server {
    fn start() -> Self {
        Self::start_on(SimStream::new(Chance::from_seed(1)))
    }

    fn start_on(stream: SimStream) -> Self {
        Self::start_with(stream, SimDisk::default())
    }

    fn start_with(stream: SimStream, copy: SimDisk) -> Self {
        let mut log = stream.log(copy);
        log.make_ready().expect("an empty copy");
        assert_eq!(log.catch_up(&mut |_| Ok(())).expect("a sound stream"), Caught::Nothing);
        let status = log.stream_status().expect("it is shared");
        Self { stream, log, status, events: 0 }
    }

    fn append(&mut self) -> Result<(), AppendError> {
        let number = self.events + 1;
        let event = Event::UserAdded {
            id: Uuid::from_u64_pair(0, number).into(),
            username: number.to_string().into(),
        };
        let time = Timestamp::from_micros(number).expect("in range");
        let mut frame = Frame::new(Position(number));
        frame.push(&Record { time, by: Actor::Unknown, key: None, event });
        self.log.append(&mut frame)?;
        self.events = number;
        Ok(())
    }

    fn look(&mut self) {
        self.log.others(&mut |_| Ok(())).expect("nothing is lost");
    }

    /// Returns whether there is room, as far as that is known.
    fn has_room(&mut self) -> bool {
        self.log.look_for_room(1).is_some_and(|looked| looked.is_ok())
    }
}

#[test]
fn a_stream_is_not_shorter_for_what_is_written_meanwhile() {
    // Given a server that writes all the time: when it looks, it has more than the nodes told of.
    let mut server = Server::start();
    for _ in 0..2_000 {
        server.look();
        server.stream.pass(Duration::from_millis(10));
        server.append().expect("stored");
    }
    // Then it has gone on for more than the time after which a shorter stream ends it.
    assert!(server.events == 2_000);
}

#[test]
fn a_server_is_stale_until_its_leader_tells_again() {
    let mut server = Server::start();
    // Given a leader that is silent.
    server.stream.set_faults(Faults { nowhere: Some(1), ..Faults::default() });
    sleep(Duration::from_millis(100));
    server.stream.pass(Duration::from_secs(2));
    server.look();
    let stale = server.status.stale();
    assert!(stale >= Duration::from_millis(100), "{stale:?}");
    // When it tells that there is nothing new.
    server.stream.set_faults(Faults::default());
    server.stream.pass(Duration::from_secs(2));
    server.look();
    assert!(server.status.stale() < stale);
}

#[test]
fn a_full_stream_is_not_writable_until_it_takes_a_write() {
    let mut server = Server::start();
    let mut other = Server::start_on(server.stream.clone());
    server.stream.set_faults(Faults { full: Some(1), ..Faults::default() });
    assert!(matches!(server.append(), Err(AppendError::NoRoom(_))));
    server.stream.pass(Duration::from_secs(2));
    server.look();
    assert!(!server.status.is_writable() && !server.has_room());
    server.stream.set_faults(Faults::default());
    server.append().expect("stored");
    assert!(server.status.is_writable() && server.has_room());
    // It has room, too, when it takes the write of another server.
    server.status.note_full();
    other.look();
    other.events = 1;
    other.append().expect("stored");
    server.look();
    assert!(server.status.is_writable() && server.has_room());
}

#[test]
fn a_stream_is_writable_again_when_its_leader_tells() {
    let mut server = Server::start();
    server.stream.set_faults(Faults { nowhere: Some(1), ..Faults::default() });
    assert!(matches!(server.append(), Err(AppendError::Unavailable)));
    server.look();
    assert!(!server.status.is_writable());
    server.stream.set_faults(Faults::default());
    server.stream.pass(Duration::from_secs(2));
    server.look();
    assert!(server.status.is_writable());
}

#[test]
fn messages_that_do_not_count_are_counted() {
    let mut server = Server::start();
    server.append().expect("stored");
    assert_eq!(server.status.sequence(), 2);
    // Given a node that stores a message twice, and then one that lets others publish.
    server.stream.set_faults(Faults { doubled: Some(1), ..Faults::default() });
    server.append().expect("stored");
    server.stream.set_faults(Faults { stray: Some(1), no_compare_and_set: true, ..Faults::default() });
    server.append().expect("stored");
    server.stream.settle();
    server.look();
    assert_eq!((server.status.superseded(), server.status.strays()), (1, 1));
    assert_eq!(server.status.sequence(), server.stream.messages() as u64);
}

#[test]
fn a_server_that_a_node_keeps_waiting_is_behind() {
    let mut server = Server::start();
    let mut other = Server::start_on(server.stream.clone());
    let mut was_behind = false;
    for _ in 0..20 {
        // Given a message of another server, which some nodes do not have yet.
        other.append().expect("stored");
        server.stream.set_faults(Faults { lagging: Some(2), ..Faults::default() });
        // When the server hears of it, and looks, it may be behind.
        server.look();
        was_behind |= server.log.is_behind();
        // Then it has it sooner or later, and is not behind any more.
        server.stream.settle();
        server.look();
        assert!(!server.log.is_behind());
    }
    assert!(was_behind, "some node kept it waiting");
}

#[test]
fn a_stream_that_was_cut_short_and_has_grown_again_is_another_one() {
    // Given a server whose last message the stream loses.
    let mut server = Server::start();
    server.append().expect("stored");
    server.stream.roll_back(1);
    // When another server's message comes to stand there.
    let mut other = Server::start_on(server.stream.clone());
    other.append().expect("stored");
    server.stream.pass(Duration::from_secs(2));
    // Then the first one stops, although the stream is as long as it was.
    let stopped = server.log.others(&mut |_| Ok(())).expect_err("its message is gone").to_string();
    assert!(stopped.contains("message 2 is another one"), "{stopped}");
    other.look();
}

#[test]
fn a_server_whose_clock_is_far_ahead_writes_nothing() {
    let mut server = Server::start();
    server.append().expect("stored");
    // Given a clock that is as far ahead as it may be.
    server.stream.set_clock_ahead_ms(5_000);
    server.stream.pass(Duration::from_secs(2));
    server.look();
    server.append().expect("stored");
    assert!(server.status.is_writable());
    // When it is further ahead, nothing is published.
    server.stream.set_clock_ahead_ms(5_001);
    server.stream.pass(Duration::from_secs(2));
    server.look();
    let messages = server.stream.messages();
    assert!(matches!(server.append(), Err(AppendError::Unavailable)));
    assert_eq!(server.stream.messages(), messages);
    assert!(!server.status.is_writable() && server.status.clock_ahead_ms() == 5_001);
    // When the clock is no longer ahead, writes go on.
    server.stream.set_clock_ahead_ms(-60_000);
    server.stream.pass(Duration::from_secs(2));
    server.look();
    server.append().expect("stored");
    assert!(server.status.is_writable());
}

/// Starts a server on this copy of a stream, and looks for the stream for this time at most.
fn start_within(stream: &SimStream, copy: &SimDisk, time: Duration) -> Result<Caught, LogError> {
    let mut log = stream.log(copy.clone());
    log.make_ready()?;
    let mut waited = Duration::ZERO;
    loop {
        let caught = log.catch_up(&mut |_| Ok(()))?;
        if caught != Caught::Unreachable || waited >= time {
            return Ok(caught);
        }
        stream.pass(Duration::from_secs(1));
        waited += Duration::from_secs(1);
    }
}

#[test]
fn a_copy_whose_stream_is_gone_is_another_history() {
    // Given a copy that holds an event, and an empty directory.
    let (copy, empty) = (SimDisk::default(), SimDisk::default());
    let mut server = Server::start_with(SimStream::new(Chance::from_seed(1)), copy.clone());
    server.append().expect("stored");
    let stream = server.stream.clone();
    drop(server);
    // When a node says for a while that there is no stream, the server waits.
    stream.set_presence(Presence::Gone);
    let seconds = Duration::from_secs;
    assert_eq!(start_within(&stream, &copy, seconds(5)).expect("it waits"), Caught::Unreachable);
    // When it goes on to say so, the copy is what the stream is restored from.
    let gone = start_within(&stream, &copy, seconds(60)).expect_err("it is gone");
    assert!(matches!(gone, LogError::Stream(StreamError::Diverged { .. })), "{gone}");
    let gone = gone.to_string();
    assert!(gone.contains("does not exist") && gone.contains("`chinwag stream restore`"), "{gone}");
    // A server that has seen nothing of it says at once how it is created.
    let gone = start_within(&stream, &empty, Duration::ZERO).expect_err("it is not there").to_string();
    assert!(gone.contains("does not exist; `chinwag stream create`"), "{gone}");
    stream.set_presence(Presence::There);
    assert_eq!(start_within(&stream, &copy, Duration::ZERO).expect("it is there"), Caught::Nothing);
}

#[test]
fn a_stream_that_is_gone_before_a_silence_is_not_believed_to_be() {
    let copy = SimDisk::default();
    let mut server = Server::start_with(SimStream::new(Chance::from_seed(1)), copy.clone());
    server.append().expect("stored");
    let stream = server.stream.clone();
    drop(server);
    let mut log = stream.log(copy);
    log.make_ready().expect("a copy");
    // Given nodes that say for a moment that there is no stream, say nothing for long, and then say so again.
    for (presence, seconds) in [(Presence::Gone, 12), (Presence::Silent, 60), (Presence::Gone, 12)] {
        stream.set_presence(presence);
        for _ in 0..seconds {
            assert_eq!(log.catch_up(&mut |_| Ok(())).expect("it waits"), Caught::Unreachable);
            stream.pass(Duration::from_secs(1));
        }
    }
    // When they have it, the server goes on.
    stream.set_presence(Presence::There);
    assert_eq!(log.catch_up(&mut |_| Ok(())).expect("it is there"), Caught::Nothing);
}
