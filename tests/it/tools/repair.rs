//! `log repair`.

use chinwag::domain::{Actor, Event, Position, Record, Timestamp};
use chinwag::log::{EventLog, FileLog, Frame, RealDisk, SEGMENT_BYTES_MIN};
use tempfile::TempDir;
use uuid::Uuid;

use super::{OLD_LOG_EVENTS, alter, contents, export, last_used, log_of_version, old_log, tool};
use crate::support::{TestServer, segments, serve_to_end};

#[tokio::test]
async fn a_damaged_log_is_usable_after_repair() {
    let log = old_log();
    let whole = export(log.path());
    let [first, second] = segments(log.path()).try_into().unwrap();
    let original = std::fs::read(&first).unwrap();
    alter(&first, |bytes| bytes[30_000] ^= 1);
    let damaged = [std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()];
    assert_eq!(serve_to_end(log.path(), &[]).code, Some(3));

    let said = tool(&["log", "repair"], log.path());
    let last = said.position();
    assert!((1..408).contains(&last), "{last}");
    assert_eq!(said.found("lost"), format!("events {} to {OLD_LOG_EVENTS}", last + 1));
    assert!(said.found("damage").contains(first.to_str().unwrap()), "{}", said.stdout);

    let kept: Vec<_> =
        said.stdout.lines().filter_map(|line| line.strip_prefix("kept in")).map(str::trim).collect();
    let [tail, later] = kept.as_slice() else { panic!("{}", said.stdout) };
    assert_eq!(std::fs::read(later).unwrap(), damaged[1], "the later segment, whole");
    let (_, offset) = tail.split_once(".damaged-").unwrap();
    let offset: usize = offset.strip_suffix("-1").unwrap().parse().unwrap();
    let used = last_used(&damaged[0]) + 1;
    assert_eq!(std::fs::read(tail).unwrap(), damaged[0][offset..used], "the tail of the damaged one");
    assert_eq!(std::fs::read(&first).unwrap()[..offset], original[..offset]);

    let left = export(log.path());
    assert!(whole.starts_with(&left) && left.lines().count() as u64 == last);
    let again = tool(&["log", "repair"], log.path());
    assert_eq!((again.found("sound"), again.position()), ("nothing was changed", last));
    let server = TestServer::start_at(log.path(), &[]);
    assert_eq!(server.position().await, last);
    server.add_user("somebody else").await;
}

#[test]
fn repair_leaves_sound_and_torn_logs_alone() {
    let log = old_log();
    std::fs::write(log.path().join("LOCK"), "").unwrap();
    let before = contents(log.path());
    assert_eq!(tool(&["log", "repair"], log.path()).position(), OLD_LOG_EVENTS);
    assert_eq!(contents(log.path()), before);
    alter(&segments(log.path())[1], |bytes| {
        let used = last_used(bytes);
        bytes[used - 20] ^= 1;
    });
    let torn = contents(log.path());
    assert_eq!(tool(&["log", "repair"], log.path()).position(), OLD_LOG_EVENTS - 1);
    assert_eq!(contents(log.path()), torn);
}

#[test]
fn a_missing_first_segment_sets_everything_aside() {
    let log = old_log();
    let [first, second] = segments(log.path()).try_into().unwrap();
    let bytes = std::fs::read(&second).unwrap();
    std::fs::remove_file(first).unwrap();
    let said = tool(&["log", "repair"], log.path());
    assert_eq!((said.position(), said.found("lost")), (0, "events 1 to 612"));
    assert_eq!(std::fs::read(said.found("kept in")).unwrap(), bytes);
}

#[test]
fn a_log_of_an_unknown_version_is_not_touched() {
    let log = old_log();
    alter(&segments(log.path())[1], |bytes| {
        bytes[12] = 9;
        let checksum = crc32c::crc32c(&bytes[12..4096]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    });
    std::fs::write(log.path().join("LOCK"), "").unwrap();
    let before = contents(log.path());
    tool(&["log", "repair"], log.path()).refused(3, &["unknown version, 9"]);
    assert_eq!(contents(log.path()), before);
}

/// Writes a log of sound frames whose events were never decided: users with these names, added at these
/// times.
fn undecided(users: [(&'static str, u64); 3]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let mut log = FileLog::new(RealDisk::lock(dir.path()).unwrap(), SEGMENT_BYTES_MIN);
    log.make_ready().unwrap();
    for ((username, micros), position) in users.into_iter().zip(1..) {
        let (time, id) = (Timestamp::from_micros(micros).unwrap(), Uuid::from_u128(position.into()).into());
        let mut frame = Frame::new(Position(position));
        frame.push(&Record {
            time,
            by: Actor::Unknown,
            key: None,
            event: Event::UserAdded { id, username: username.into() },
        });
        log.append(&mut frame).unwrap();
    }
    dir
}

#[test]
fn contradicting_events_are_damage_everywhere() {
    let log = undecided([("ann", 1), ("bob", 2), ("ann", 3)]);
    let ended = serve_to_end(log.path(), &[]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("event 3 contradicts"), "{}", ended.stderr);
    assert_eq!(tool(&["log", "verify"], log.path()).position(), 3, "that takes a model");
    let said = tool(&["log", "repair"], log.path());
    assert_eq!((said.position(), said.found("lost")), (2, "event 3"));
}

#[test]
fn times_out_of_order_are_damage() {
    let log = undecided([("ann", 0), ("bob", 2), ("cid", 2)]);
    tool(&["log", "verify"], log.path()).refused(3, &["event 3 is not later", "event 3 is lost"]);
    assert_eq!(serve_to_end(log.path(), &[]).code, Some(3));
    assert_eq!(tool(&["log", "repair"], log.path()).position(), 2);
}

#[test]
fn a_damaged_header_copy_is_reported_and_mended() {
    let log = log_of_version("2");
    let segment = segments(log.path()).remove(1);
    let sound = std::fs::read(&segment).unwrap();
    alter(&segment, |bytes| bytes[700] ^= 1);
    let damaged = std::fs::read(&segment).unwrap();
    let said = tool(&["log", "verify"], log.path());
    assert_eq!(said.position(), 612);
    assert!(said.found("header").contains(segment.to_str().unwrap()), "{}", said.stdout);
    let said = tool(&["log", "repair"], log.path());
    assert_eq!((said.position(), said.found("lost")), (612, "nothing"));
    assert_eq!(std::fs::read(said.found("kept in")).unwrap(), damaged[..8192]);
    assert!(std::fs::read(&segment).unwrap() == sound, "as it was");
}

/// Segments of version 1 have one header.
#[test]
fn a_damaged_header_of_sound_frames_loses_no_event() {
    let log = old_log();
    for segment in segments(log.path()) {
        let sound = std::fs::read(&segment).unwrap();
        alter(&segment, |bytes| bytes[700] ^= 1);
        tool(&["log", "verify"], log.path()).refused(3, &["no sound segment header"]);
        let said = tool(&["log", "repair"], log.path());
        assert_eq!((said.position(), said.found("lost")), (612, "nothing"));
        assert!(std::fs::read(&segment).unwrap() == sound, "as it was");
    }
}
