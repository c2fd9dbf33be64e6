//! What is due leaves the disk, whatever happens to the disk meanwhile, and nothing else does.

use uuid::Uuid;

use super::simulated_disk::{Among, Chance, Fault, SimDisk, Stop};
use crate::domain::{
    Actor, ChatId, Epoch, ErasedMessages, Erasures, Event, Fingerprint, IdempotencyKey, Position, Record,
    Seq, Timestamp, UserId,
};
use crate::log::frame::FrameHeader;
use crate::log::segment::{FrameFormat, Header, LogId, Version};
use crate::log::stream::copied::CopyScan;
use crate::log::stream::marker;
use crate::log::{
    Disk, DiskFile, EventLog, FileLog, Frame, LogReader, Progress, Replay, SEGMENT_BYTES_MIN, find_due, scrub,
};

const LOG: LogId = LogId::from_bytes([5; 16]);
/// What every text begins with that is to leave the disk.
const CANARY: &str = "CANARY";
const MESSAGES: u64 = 30;
/// The time up to which what was edited or deleted is due.
const UNTIL: u64 = 1_000_000;

fn user(number: u128) -> UserId {
    Uuid::from_u128(number).into()
}

fn chat() -> ChatId {
    Uuid::from_u128(7).into()
}

fn time(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros).expect("in range")
}

/// Returns a text long enough that a few frames fill a segment.
fn long(begins: &str, number: u64) -> String {
    format!("{begins} {number} {}", "x".repeat(4_000))
}

/// Returns the events of a log in which a user is erased, and messages are edited and deleted. All that is due begins with
/// the canary, and nothing else does.
fn events() -> Vec<Event<'static>> {
    let (ann, bob) = (user(1), user(2));
    let mut events = vec![
        Event::UserAdded { id: ann, username: format!("{CANARY} ann").into() },
        Event::UserAdded { id: bob, username: "bob".into() },
        Event::ChatAdded { id: chat(), name: format!("{CANARY} tea").into(), users: vec![ann, bob] },
    ];
    for number in 1..=MESSAGES {
        // Ann is erased; of Bob's messages, every fifth is edited.
        let (author, is_due) = if number % 3 == 0 { (ann, true) } else { (bob, number % 5 == 0) };
        let text = long(if is_due { CANARY } else { "kept" }, number).into();
        events.push(Event::MessageAdded {
            id: Uuid::from_u128(number.into()).into(),
            chat: chat(),
            author,
            text,
        });
    }
    let (seq, emoji) = (Seq(1), format!("{CANARY}👍").into());
    events.push(Event::ReactionAdded { chat: chat(), seq, user: ann, emoji });
    for begins in [CANARY, "edited"] {
        for number in (5..=MESSAGES).step_by(5).filter(|number| number % 3 != 0) {
            let text = Some(long(begins, number).into());
            events.push(Event::MessageEdited {
                chat: chat(),
                seq: Seq(number),
                user: None,
                text,
                metadata: None,
            });
        }
    }
    events.push(Event::ChatEdited { chat: chat(), name: Some("tea".into()), metadata: None });
    events.push(Event::UserErased { user: ann, messages: ErasedMessages::Erase });
    events
}

fn record(position: u64, event: Event<'static>) -> Record<'static> {
    let key = format!("key-{position}").into();
    let key = Some(IdempotencyKey::recorded(key, Fingerprint([9; 16]), &Actor::Unknown));
    Record { time: time(position), by: Actor::Unknown, key, event }
}

fn append(log: &mut FileLog<SimDisk>, position: u64, event: Event<'static>) {
    let mut frame = Frame::new(Position(position));
    frame.push(&record(position, event));
    log.append(&mut frame).expect("room");
}

/// Writes the log, one event a frame, and returns its disk and its next position.
fn written(is_copy: bool) -> (SimDisk, FileLog<SimDisk>, u64) {
    let disk = SimDisk::default();
    if is_copy {
        marker::mark(&disk, "tea", LOG).expect("marked");
    }
    let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES_MIN, LOG);
    log.make_ready().expect("empty");
    let mut next = 1;
    for event in events() {
        append(&mut log, next, event);
        next += 1;
    }
    (disk, log, next)
}

/// Replays a log as a server does at its start, and returns its records, and what they are of a stream.
fn replayed(disk: &SimDisk) -> (Vec<Record<'static>>, CopyScan) {
    let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES_MIN, LOG);
    let (progress, mut records) = (Progress::default(), Vec::new());
    let mut scan = CopyScan::begin(disk).expect("readable");
    let mut replay = log.replay(&progress).expect("begun");
    while let Some(frame) = replay.next_frame().expect("sound") {
        scan.add(&frame);
        records.extend(frame.records().map(|record| owned(&record.expect("decodes"))));
    }
    (records, scan)
}

/// Decodes a copy of the record that borrows nothing.
fn owned(record: &Record<'_>) -> Record<'static> {
    let mut frame = Frame::new(Position(1));
    frame.push(record);
    let bytes = frame.seal(LOG, Epoch::UNKNOWN).to_vec().leak();
    let format = Header::new(LOG, Position(1)).format;
    let frame = FrameHeader::check(bytes, format).expect("sound").frame(bytes);
    frame.records().next().expect("one").expect("decodes")
}

fn due(disk: &SimDisk) -> Erasures {
    find_due(disk.clone(), time(UNTIL)).expect("readable").erasures
}

fn holds_canary(disk: &SimDisk) -> Option<String> {
    let has_canary = |name: &String| {
        let bytes = disk.contents(name);
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
    };
    disk.names().into_iter().find(has_canary)
}

/// Checks that each record is as it was, or lacks what is due.
fn check_kept(records: &[Record<'_>], scrubbed: &[Record<'_>]) {
    assert_eq!(records.len(), scrubbed.len(), "every position stays");
    for (before, after) in records.iter().zip(scrubbed) {
        assert_eq!((before.time, &before.by), (after.time, &after.by));
        if before != after {
            let (before, after) = (format!("{before:?}"), format!("{after:?}"));
            assert!(before.contains(CANARY) && !after.contains(CANARY), "{before} became {after}");
        }
    }
}

#[test]
fn what_is_due_leaves_the_disk_and_nothing_else_does() {
    let (disk, log, _) = written(false);
    drop(log);
    let (before, _) = replayed(&disk);
    assert!(holds_canary(&disk).is_some());
    let scrubbed = scrub(&disk, &due(&disk), None).expect("scrubbed");
    assert!(scrubbed.segments > 1, "{scrubbed:?}");
    assert_eq!(holds_canary(&disk), None);
    let (after, _) = replayed(&disk);
    check_kept(&before, &after);
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!(
        changed,
        2 + 10 + 4 + 4 + 1,
        "two names, Ann's messages, edited ones, their edits, and a reaction"
    );
    let erased = |record: &&Record<'_>| {
        record.key.as_ref().is_some_and(|key| key.fingerprint() == Fingerprint::ERASED)
    };
    assert_eq!(after.iter().filter(erased).count(), changed, "each of these requests is forgotten");
    // Nothing is due a second time.
    let again = scrub(&disk, &due(&disk), None).expect("scrubbed");
    assert_eq!((again.segments, again.keys), (0, scrubbed.keys));
}

#[test]
fn a_crash_at_any_call_loses_nothing_and_the_next_scrub_finishes() {
    for is_copy in [false, true] {
        let (disk, log, _) = written(is_copy);
        drop(log);
        let (before, of_stream) = replayed(&disk);
        let files: Vec<_> = disk.names().into_iter().map(|name| (disk.contents(&name), name)).collect();
        for stop in [Stop::Machine, Stop::Process] {
            let mut calls = 0;
            loop {
                let disk = SimDisk::with_files(files.iter().map(|(bytes, name)| (&**name, &**bytes)));
                disk.set_chance(Chance::from_seed(calls as u64));
                disk.stop_after(Some((stop, calls, Among::Changes)));
                let is_whole = scrub(&disk, &due(&disk), None).is_ok() && disk.stopped().is_none();
                match stop {
                    Stop::Machine => disk.crash(),
                    Stop::Process => disk.restart(),
                }
                let (after, scan) = replayed(&disk);
                check_kept(&before, &after);
                if is_copy {
                    assert_eq!(scan.copied(), of_stream.copied(), "the copy is found in its stream");
                }
                scrub(&disk, &due(&disk), None).expect("scrubbed");
                assert_eq!(holds_canary(&disk), None, "after a {stop:?} stopped at change {calls}");
                if is_whole {
                    assert!(calls > 5, "{calls}");
                    break;
                }
                calls += 1;
            }
        }
    }
}

#[test]
fn a_failed_scrub_loses_nothing() {
    let (disk, log, _) = written(false);
    drop(log);
    let (before, _) = replayed(&disk);
    for fault in [Fault::Write, Fault::Sync] {
        disk.fail_next(fault);
        scrub(&disk, &due(&disk), None).expect_err("failed");
        check_kept(&before, &replayed(&disk).0);
    }
    disk.set_room(Some(10_000));
    scrub(&disk, &due(&disk), None).expect_err("full");
    assert!(disk.names().iter().all(|name| !name.contains(".scrub")), "what was written is removed");
    check_kept(&before, &replayed(&disk).0);
    disk.set_room(None);
    scrub(&disk, &due(&disk), None).expect("scrubbed");
    assert_eq!(holds_canary(&disk), None);
}

#[test]
fn a_segment_that_is_written_ends_before_it_is_scrubbed() {
    let (disk, mut log, mut next) = written(false);
    let before = usize::try_from(next).expect("small") - 1;
    let erasures = due(&disk);
    let mut ended = 0;
    scrub(
        &disk,
        &erasures,
        Some(&mut || {
            // Frames come until it ends, and after.
            for is_ended in [false, true] {
                append(&mut log, next, Event::NothingChanged);
                next += 1;
                if !is_ended {
                    log.end_segment()?;
                }
            }
            ended += 1;
            Ok(())
        }),
    )
    .expect("scrubbed");
    assert_eq!(ended, 1);
    append(&mut log, next, Event::NothingChanged);
    drop(log);
    assert_eq!(holds_canary(&disk), None);
    assert_eq!(replayed(&disk).0.len(), before + 3, "all that was appended is there");
}

#[test]
fn copies_of_broken_bytes_leave_the_disk() {
    let (disk, log, _) = written(false);
    drop(log);
    for name in [
        "00000000000000000001.log.torn-8192-1",
        "00000000000000000001.log.damaged-1",
        "00000000000000000001.log.scrub",
    ] {
        let bytes = format!("{CANARY} torn");
        let file = disk.create(name).expect("created");
        file.write_at(bytes.as_bytes(), 0).expect("written");
    }
    let note = disk.create("CANARY.torn-1").expect("created");
    drop(note);
    replayed(&disk);
    let scrubbed = scrub(&disk, &due(&disk), None).expect("scrubbed");
    assert_eq!(scrubbed.copies, 2);
    assert_eq!(holds_canary(&disk), None);
    assert!(disk.names().contains(&"CANARY.torn-1".to_owned()), "other files stay");
}

#[test]
fn a_log_of_version_1_is_scrubbed_into_version_2() {
    let mut segment =
        Header { format: FrameFormat { log: LOG, version: Version::One }, first: Position(1) }.encode();
    segment.extend(super::old_frame(LOG, 1, 3));
    segment.resize(65_536, 0);
    let disk = SimDisk::with_files([("00000000000000000001.log", &segment[..])]);
    let mut log = FileLog::reproducible(disk.clone(), SEGMENT_BYTES_MIN, LOG);
    log.make_ready().expect("sound");
    append(&mut log, 4, Event::UserErased { user: user(2), messages: ErasedMessages::Keep });
    drop(log);
    scrub(&disk, &due(&disk), None).expect("scrubbed");
    let names: Vec<_> = replayed(&disk)
        .0
        .into_iter()
        .filter_map(
            |record| if let Event::UserAdded { username, .. } = record.event { Some(username) } else { None },
        )
        .collect();
    assert_eq!(names, ["user 1", "", "user 3"]);
    let (reader, progress) = (LogReader::new(disk).expect("listed"), Progress::default());
    let mut walk = reader.walk(&progress);
    let first = walk.next_frame().expect("sound").expect("a frame");
    assert_eq!((first.count, first.epoch), (3, Epoch::UNKNOWN));
}
