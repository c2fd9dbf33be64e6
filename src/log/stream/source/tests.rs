use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::{Actor, Epoch, ErasedMessages, Event, Record, Timestamp, UserId};
use crate::log::segment::{FrameFormat, Header, Version};
use crate::log::stream::message::HEADER_BYTES;
use crate::log::stream::simulated::{Chance, Faults, SimDisk, SimStream};
use crate::log::tests::{message_added, old_frame, user_added};
use crate::log::{FileLog, Pace, ReadDisk, RealDisk, SEGMENT_BYTES_MIN};

/// Appends these events, each in a frame, as a server on the stream with its copy on this disk.
fn append(stream: &SimStream, disk: &SimDisk, events: std::ops::RangeInclusive<u64>) {
    let mut log = stream.log(disk.clone());
    log.make_ready().expect("a sound copy");
    log.catch_up(&mut |_| Ok(())).expect("a stream that fits");
    for event in events {
        let mut frame = Frame::new(Position(event));
        frame.push(&user_added(event));
        log.append(&mut frame).expect("stored");
    }
}

/// Starts a server on the stream. Returns the number of events in its copy, and of those that the stream has more.
fn start(stream: &SimStream, disk: &SimDisk) -> Result<(u64, u64), LogError> {
    let (mut log, progress) = (stream.log(disk.clone()), Progress::default());
    let mut replay = log.replay(&progress)?;
    while replay.next_frame()?.is_some() {}
    drop(replay);
    let mut more = 0;
    log.catch_up(&mut |frame| {
        more += u64::from(frame.count);
        Ok(())
    })?;
    Ok((progress.events(), more))
}

fn source<D: Disk>(disk: &D) -> Source<D> {
    Source::check(disk.clone(), &mut |_| {}).expect("a log")
}

fn publish<D: Disk>(disk: &D, stream: &SimStream) -> Result<u64, LogError> {
    source(disk).publish(stream.clone(), "test", &mut |_| {})
}

#[test]
fn a_stream_made_anew_gets_what_the_longest_copy_holds() {
    // Given two copies, of which one lacks the last two events,
    let (stream, long, short) =
        (SimStream::new(Chance::from_seed(1)), SimDisk::default(), SimDisk::default());
    append(&stream, &long, 1..=3);
    start(&stream, &short).expect("it joins");
    append(&stream, &long, 4..=5);
    // When the stream is lost, and the shorter copy is published, and then the longer one,
    stream.begin_anew(source(&short).genesis());
    assert_eq!(publish(&short, &stream).expect("published"), 3);
    assert_eq!(publish(&long, &stream).expect("published"), 2);
    assert_eq!(publish(&long, &stream).expect("it is there"), 0);
    // Then servers start on both, and writes go on.
    assert_eq!(start(&stream, &long).expect("it fits"), (5, 0));
    assert_eq!(start(&stream, &short).expect("it fits"), (3, 2));
    append(&stream, &short, 6..=6);
    assert_eq!(start(&stream, &long).expect("it fits"), (5, 1));
}

#[test]
fn a_lost_event_and_its_successor_differ_in_id() {
    // Given a copy that lacks the last event.
    let (stream, long, short) =
        (SimStream::new(Chance::from_seed(1)), SimDisk::default(), SimDisk::default());
    append(&stream, &long, 1..=2);
    start(&stream, &short).expect("it joins");
    append(&stream, &long, 3..=3);
    let epochs = |stream: &SimStream| all_frames(stream).iter().map(|frame| frame.1).collect::<Vec<_>>();
    let before = epochs(&stream);
    // When the stream is begun with it, and goes on.
    stream.begin_anew(source(&short).genesis());
    publish(&short, &stream).expect("published");
    append(&stream, &short, 3..=3);
    let after = epochs(&stream);
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2]);
}

#[test]
fn a_stream_that_was_cut_short_is_filled_up() {
    let (stream, copy) = (SimStream::new(Chance::from_seed(1)), SimDisk::default());
    append(&stream, &copy, 1..=5);
    stream.roll_back(3);
    assert_eq!(publish(&copy, &stream).expect("published"), 3);
    assert_eq!((start(&stream, &copy).expect("it fits"), stream.messages()), ((5, 0), 6));
}

#[test]
fn a_stream_of_another_history_stays_as_it_is() {
    let (stream, copy, other) =
        (SimStream::new(Chance::from_seed(1)), SimDisk::default(), SimDisk::default());
    append(&stream, &copy, 1..=3);
    let refused = |stream: &SimStream, why: &str| {
        let messages = stream.messages();
        let refused = publish(&copy, stream).expect_err(why).to_string();
        assert!(refused.contains(why) && refused.ends_with("; nothing was published"), "{refused}");
        assert_eq!(stream.messages(), messages);
    };
    // A stream that has more,
    append(&stream, &other, 4..=4);
    refused(&stream, "all events of the directory, and goes on with event 4");
    // one that has gone on with other events since it was cut short,
    stream.roll_back(3);
    let diverged = SimDisk::default();
    start(&stream, &diverged).expect("it joins");
    let mut log = stream.log(diverged);
    log.make_ready().expect("a sound copy");
    log.catch_up(&mut |_| Ok(())).expect("a stream that fits");
    let mut frame = Frame::new(Position(3));
    frame.push(&user_added(33));
    log.append(&mut frame).expect("stored");
    refused(&stream, "other events than the directory, from event 3 on");
    // and one that was begun by `stream create`.
    stream.recreate();
    refused(&stream, "and the directory holds log");
}

/// An acknowledgement is lost, a publication arrives late or twice, strangers publish, no node leads.
#[test]
fn a_restore_is_carried_out_whatever_the_nodes_do() {
    for seed in 0..100 {
        let mut chance = Chance::from_seed(seed);
        let (stream, copy) = (SimStream::new(Chance::from_seed(seed)), SimDisk::default());
        append(&stream, &copy, 1..=20);
        if chance.one_in(2) {
            stream.roll_back(1 + chance.below(20));
        } else {
            stream.begin_anew(source(&copy).genesis());
        }
        let mut published = Err(String::new());
        for _ in 0..5 {
            let no_compare_and_set = false;
            stream.set_faults(Faults { no_compare_and_set, ..Faults::any(&mut chance) });
            published = publish(&copy, &stream).map_err(|error| error.to_string());
            if let Err(why) = &published {
                let may_fail = ["cannot be reached", "is full", "is on no node that answers"];
                assert!(may_fail.iter().any(|what| why.contains(what)), "{seed}: {why}");
            }
        }
        stream.settle();
        let published = published.or_else(|_| publish(&copy, &stream).map_err(|error| error.to_string()));
        published.unwrap_or_else(|why| panic!("{seed}: {why}"));
        assert_eq!(start(&stream, &copy).expect("it fits"), (20, 0), "{seed}");
    }
}

/// Returns all frames that a server gets from the stream: the first event, the epoch, and the records as text.
fn all_frames(stream: &SimStream) -> Vec<(Position, Epoch, Vec<String>)> {
    let (mut log, mut frames) = (stream.log(SimDisk::default()), Vec::new());
    log.make_ready().expect("an empty copy");
    log.catch_up(&mut |frame| {
        let records = frame.records().map(|record| text(&record.expect("decodes"))).collect();
        frames.push((frame.first, frame.epoch, records));
        Ok(())
    })
    .expect("a sound stream");
    frames
}

fn text(record: &Record<'_>) -> String {
    format!("{record:?}")
}

const LOG: LogId = LogId::from_bytes([3; 16]);

#[test]
fn a_log_of_version_1_keeps_its_events_and_their_ids() {
    // Given a log that was begun by an early release, and has gone on.
    let dir = tempfile::tempdir().expect("made");
    let header = Header { format: FrameFormat { log: LOG, version: Version::One }, first: Position(1) };
    let mut segment = [header.encode(), old_frame(LOG, 1, 3)].concat();
    segment.resize(64 * 1024, 0);
    std::fs::write(dir.path().join("00000000000000000001.log"), segment).expect("written");
    let disk = RealDisk::lock(dir.path()).expect("locked");
    let mut log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
    log.make_ready().expect("a sound log");
    let mut frame = Frame::new(Position(4));
    frame.push(&user_added(4));
    log.append(&mut frame).expect("appended");
    let epoch = log.epoch();
    drop(log);
    // When a stream begins with it, all events are there, at their positions and in their epochs.
    let stream = SimStream::new(Chance::from_seed(1));
    let names = || disk.list().expect("listed").into_iter().collect::<std::collections::BTreeSet<_>>();
    let before = names();
    stream.begin_anew(source(&disk).genesis());
    assert_eq!(publish(&disk, &stream).expect("published"), 2);
    assert_eq!(names(), before, "the directory is as it was");
    let [one, two, three, four] = [1, 2, 3, 4].map(|number| text(&user_added(number)));
    let expected = [(Position(1), Epoch::UNKNOWN, vec![one, two, three]), (Position(4), epoch, vec![four])];
    assert_eq!(all_frames(&stream), expected);
    assert_eq!(publish(&disk, &stream).expect("it is there"), 0);
}

#[test]
fn a_frame_that_no_message_can_hold_becomes_several() {
    // Given a frame of many messages, by several actors.
    let dir = tempfile::tempdir().expect("made");
    let disk = RealDisk::lock(dir.path()).expect("locked");
    let mut log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
    log.make_ready().expect("an empty log");
    let author = UserId::from(Uuid::from_u128(9));
    let by = |number: u64| match number % 3 {
        0 => Actor::User(author),
        1 => Actor::key("bot".to_owned()).expect("a name"),
        _ => Actor::Unknown,
    };
    let records: Vec<_> = (1..=50).map(|number| message_added(number, author, by(number))).collect();
    let mut frame = Frame::new(Position(1));
    for record in &records {
        frame.push(record);
    }
    let whole = frame.sealed_bytes();
    log.append(&mut frame).expect("appended");
    let epoch = log.epoch();
    drop(log);
    let stream = SimStream::new(Chance::from_seed(1));
    stream.begin_anew(source(&disk).genesis());
    // When a message holds less than half of it.
    stream.set_message_bytes_max(whole * 2 / 5);
    publish(&disk, &stream).expect("published");
    let frames = all_frames(&stream);
    assert!((3..=4).contains(&frames.len()), "{}", frames.len());
    let (mut next, mut read) = (Position(1), Vec::new());
    for (first, of, records) in frames {
        assert_eq!((first, of), (next, epoch));
        next = Position(next.0 + records.len() as u64);
        read.extend(records);
    }
    assert_eq!(read, records.iter().map(text).collect::<Vec<_>>());
    // A message that holds not even one event is no use.
    stream.begin_anew(source(&disk).genesis());
    stream.set_message_bytes_max(100);
    let refused = publish(&disk, &stream).expect_err("too long").to_string();
    assert!(refused.contains("begins with event 1 has"), "{refused}");
}

#[test]
fn a_frame_of_a_copy_stays_whole() {
    // Given a copy, whose second frame has two events.
    let (stream, copy) = (SimStream::new(Chance::from_seed(1)), SimDisk::default());
    append(&stream, &copy, 1..=1);
    let mut log = stream.log(copy.clone());
    log.make_ready().expect("a sound copy");
    log.catch_up(&mut |_| Ok(())).expect("a stream that fits");
    let mut frame = Frame::new(Position(2));
    frame.push(&user_added(2));
    frame.push(&user_added(3));
    let whole = frame.sealed_bytes();
    log.append(&mut frame).expect("stored");
    drop(log);
    // When the nodes accept only shorter messages, nothing is published: another copy would not fit the stream.
    stream.begin_anew(source(&copy).genesis());
    stream.set_message_bytes_max(HEADER_BYTES + whole - 1);
    let refused = publish(&copy, &stream).expect_err("too long").to_string();
    assert!(refused.contains(&format!("begins with event 2 has {whole} bytes")), "{refused}");
    assert_eq!(stream.messages(), 1);
}

#[test]
fn an_empty_directory_is_no_source() {
    let refused = Source::check(SimDisk::default(), &mut |_| {}).map(drop).expect_err("no log");
    assert!(matches!(refused, LogError::NoLog { .. }));
}

/// Erases a user, with the event at the position `next`, and scrubs the copy on this disk.
fn scrub_copy(stream: &SimStream, disk: &SimDisk, user: u128, next: u64) {
    let mut log = stream.log(disk.clone());
    log.make_ready().expect("a sound copy");
    log.catch_up(&mut |_| Ok(())).expect("a stream that fits");
    let mut frame = Frame::new(Position(next));
    let event =
        Event::UserErased { user: UserId::from(Uuid::from_u128(user)), messages: ErasedMessages::Keep };
    frame.push(&Record { event, ..user_added(next) });
    log.append(&mut frame).expect("stored");
    // The copy has it, too.
    log.end_segment().expect("written");
    let pace = Arc::new(Pace::of(u64::MAX));
    let to_scrub = log.to_scrub(pace).expect("it has a copy");
    let until = Timestamp::UNIX_EPOCH;
    let (scrubbed, last) = to_scrub.scrub(until, &mut || log.end_segment()).expect("scrubbed");
    assert_eq!((scrubbed.segments, last), (1, Position(next)));
}

#[test]
fn a_scrubbed_copy_stays_one_of_its_stream() {
    let (stream, copy, other) =
        (SimStream::new(Chance::from_seed(1)), SimDisk::default(), SimDisk::default());
    append(&stream, &copy, 1..=5);
    scrub_copy(&stream, &copy, 1, 6);
    // Then a server on it finds its end in the stream, and writes go on,
    assert_eq!(start(&stream, &copy).expect("it fits"), (6, 0));
    append(&stream, &copy, 7..=8);
    assert_eq!(start(&stream, &copy).expect("it fits"), (8, 0));
    // also if others have written meanwhile, and after a second scrub.
    append(&stream, &other, 9..=9);
    scrub_copy(&stream, &copy, 9, 10);
    assert_eq!(start(&stream, &copy).expect("it fits"), (10, 0));
    // So it is if what is due the next time comes earlier in the log.
    scrub_copy(&stream, &copy, 2, 11);
    append(&stream, &copy, 12..=12);
    assert_eq!(start(&stream, &copy).expect("it fits"), (12, 0));
    // But a stream that has lost something does not get it from there.
    stream.roll_back(3);
    let refused = publish(&copy, &stream).expect_err("it differs").to_string();
    assert!(refused.contains("does not hold a beginning of the log"), "{refused}");
}

#[test]
fn a_new_stream_is_made_of_a_scrubbed_copy() {
    let (stream, copy, other) =
        (SimStream::new(Chance::from_seed(1)), SimDisk::default(), SimDisk::default());
    append(&stream, &copy, 1..=5);
    scrub_copy(&stream, &copy, 1, 6);
    let new = SimStream::new(Chance::from_seed(2));
    new.begin_anew(source(&copy).genesis());
    assert_eq!(publish(&copy, &new).expect("published"), 6);
    marker::mark(&copy, "test", source(&copy).id()).expect("marked");
    // Then a server goes on with it, and one on an empty directory gets what is left.
    assert_eq!(start(&new, &copy).expect("it fits"), (6, 0));
    append(&new, &copy, 7..=7);
    assert_eq!(start(&new, &other).expect("it joins"), (0, 7));
    assert_eq!(start(&new, &other).expect("it fits"), (7, 0));
    assert!(!format!("{:?}", all_frames(&new)).contains("\"user 1\""));
}
