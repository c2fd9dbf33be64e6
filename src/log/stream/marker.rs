//! The file `STREAM` in a data directory, which says that the directory is a copy of a stream. Without it, a server
//! alone could write to the copy, and so begin another history.

use std::io::ErrorKind;

use super::StreamError;
use super::copied::Copied;
use crate::log::chain;
use crate::log::disk::{Disk, DiskFile, ReadDisk, remove_if_there};
use crate::log::error::Context;
use crate::log::{EventLog, FileLog, LogError, LogId, SEGMENT_BYTES_MIN};

const NAME: &str = "STREAM";
const UNFINISHED: &str = "STREAM.new";
/// Maximum length of a mark, in bytes.
const BYTES_MAX: usize = 1024;
/// Beginning of the line that says up to which frame the copy may have been rewritten.
const SCRUBBED: &str = "scrubbed ";

/// Marks a directory as a copy of this stream, durably. The log's id is for people.
///
/// # Errors
///
/// The file system failed.
pub fn mark(disk: &impl Disk, stream: &str, log: LogId) -> Result<(), LogError> {
    write(disk, &format!("{stream} {log}\n"))
}

/// Notes in the mark of a copy, durably, that its frames up to here may have been rewritten.
pub(in crate::log) fn note_scrubbed(disk: &impl Disk, log: LogId, upto: &Copied) -> Result<(), LogError> {
    let stream = marked(disk)?.ok_or_else(|| StreamError::IsNoCopy { dir: disk.path("") })?;
    write(disk, &format!("{stream} {log}\n{SCRUBBED}{upto}\n"))
}

fn write(disk: &impl Disk, text: &str) -> Result<(), LogError> {
    let path = || disk.path(NAME);
    let file = disk.create(UNFINISHED).doing("create", || disk.path(UNFINISHED))?;
    file.write_at(text.as_bytes(), 0).doing("write", || disk.path(UNFINISHED))?;
    file.sync().doing("sync", || disk.path(UNFINISHED))?;
    disk.rename(UNFINISHED, NAME).doing("rename to", path)?;
    disk.sync().doing("sync the directory of", path)
}

/// Returns the name of the stream that this directory is a copy of.
fn marked(disk: &impl ReadDisk) -> Result<Option<String>, LogError> {
    let text = read(disk)?;
    Ok(text.map(|text| text.split_whitespace().next().unwrap_or_default().to_owned()))
}

/// Returns up to where the frames of this copy may have been rewritten: up to none, if nothing says so.
pub(super) fn scrubbed(disk: &impl ReadDisk) -> Result<Copied, LogError> {
    let text = read(disk)?.unwrap_or_default();
    let noted = text.lines().find_map(|line| line.strip_prefix(SCRUBBED)).map(Copied::parse);
    match noted {
        None => Ok(Copied::default()),
        Some(Some(noted)) => Ok(noted),
        Some(None) => Err(StreamError::BrokenMark { file: disk.path(NAME) }.into()),
    }
}

fn read(disk: &impl ReadDisk) -> Result<Option<String>, LogError> {
    let path = || disk.path(NAME);
    let file = match disk.open_to_read(NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.doing("open", path)?,
    };
    let bytes = file.bytes().doing("measure", path)?;
    // A longer file was not written here. If its second line is cut off, it is a broken mark.
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(BYTES_MAX)];
    file.read_at(&mut text, 0).doing("read", path)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Returns whether this directory is a copy of a stream.
pub(in crate::log) fn is_copy(disk: &impl ReadDisk) -> Result<bool, LogError> {
    Ok(marked(disk)?.is_some())
}

/// Checks that this directory is not a copy of a stream: it may be served alone, and begin a new stream.
///
/// # Errors
///
/// It is a copy of a stream, or cannot be read.
pub fn check_is_own(disk: &impl ReadDisk) -> Result<(), LogError> {
    match marked(disk)? {
        None => Ok(()),
        Some(stream) => Err(StreamError::IsCopy { dir: disk.path(""), stream }.into()),
    }
}

/// Checks that this directory may become, or is, a copy of this stream.
///
/// # Errors
///
/// It holds a log of its own, is a copy of another stream, or cannot be read.
pub fn check_is_copy(disk: &impl ReadDisk, stream: &str) -> Result<(), LogError> {
    let dir = || disk.path("");
    match marked(disk)? {
        Some(of) if of == stream => Ok(()),
        Some(of) => Err(StreamError::IsCopyOf { dir: dir(), of, stream: stream.to_owned() }.into()),
        None if chain::segments(disk)?.is_empty() => Ok(()),
        None => Err(StreamError::IsNoCopy { dir: dir() }.into()),
    }
}

/// Checks that this directory is a copy of a stream, and not of this one.
///
/// # Errors
///
/// It is not, or cannot be read.
pub fn check_is_copy_of_another(disk: &impl ReadDisk, stream: &str) -> Result<(), LogError> {
    match marked(disk)? {
        Some(of) if of != stream => Ok(()),
        Some(stream) => Err(StreamError::IsCopyOfNew { dir: disk.path(""), stream }.into()),
        None => Err(StreamError::IsNoCopy { dir: disk.path("") }.into()),
    }
}

/// Makes a copy of a stream a log of its own, durably. Returns the stream's name.
///
/// # Errors
///
/// The directory holds no log, or is not a copy of a stream, or cannot be read or written.
pub fn detach(disk: &impl Disk) -> Result<String, LogError> {
    let dir = || disk.path("");
    let stream = match marked(disk)? {
        Some(stream) => stream,
        None if chain::segments(disk)?.is_empty() => return Err(LogError::NoLog { dir: dir() }),
        None => return Err(StreamError::IsNoCopy { dir: dir() }.into()),
    };
    // The mark distinguishes a torn write from damage, so the torn end is cut off before the mark is removed.
    FileLog::new(disk.clone(), SEGMENT_BYTES_MIN).make_ready()?;
    remove_if_there(disk, NAME)?;
    disk.sync().doing("sync", dir)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Actor, Event, Position, Record, Timestamp};
    use crate::log::stream::simulated::{Chance, SimDisk, SimStream};
    use crate::log::{Frame, RealDisk};

    #[test]
    fn a_copy_is_served_on_its_stream_only() {
        let dir = tempfile::tempdir().expect("made");
        let disk = RealDisk::lock(dir.path()).expect("locked");
        // Given an empty directory, which may become anything.
        check_is_own(&disk).expect("its own");
        check_is_copy(&disk, "tea").expect("a copy soon");
        // When it is marked, it is a copy of that stream alone.
        mark(&disk, "tea", LogId::from_bytes([7; 16])).expect("marked");
        check_is_copy(&disk, "tea").expect("a copy");
        let refused = check_is_own(&disk).expect_err("a copy").to_string();
        assert!(refused.contains("copy of stream tea") && refused.contains("stream detach"), "{refused}");
        let refused = check_is_copy(&disk, "te").expect_err("of another stream").to_string();
        assert!(refused.contains("of stream tea, not of stream te"), "{refused}");
        // When it is detached, it is its own again.
        assert_eq!(detach(&disk).expect("detached"), "tea");
        check_is_own(&disk).expect("its own");
        assert!(detach(&disk).is_err(), "there is nothing to detach");
    }

    #[test]
    fn a_directory_is_marked_when_it_joins_a_stream() {
        let [disk, stream] = [1, 2].map(Chance::from_seed);
        let (disk, stream) = (SimDisk::new(disk), SimStream::new(stream));
        let mut log = stream.log(disk.clone());
        log.make_ready().expect("ready");
        check_is_own(&disk).expect("nothing has happened yet");
        log.catch_up(&mut |_| Ok(())).expect("joined");
        check_is_own(&disk).expect_err("a copy");
        check_is_copy(&disk, "test").expect("a copy of this stream");
    }

    #[test]
    fn a_log_of_its_own_does_not_become_a_copy() {
        let dir = tempfile::tempdir().expect("made");
        let disk = RealDisk::lock(dir.path()).expect("locked");
        let mut log = FileLog::new(disk.clone(), SEGMENT_BYTES_MIN);
        log.make_ready().expect("ready");
        let mut frame = Frame::new(Position(1));
        let (time, by) = (Timestamp::from_micros(1).expect("a time"), Actor::Unknown);
        frame.push(&Record { time, by, key: None, event: Event::NothingChanged });
        log.append(&mut frame).expect("appended");
        let refused = check_is_copy(&disk, "tea").expect_err("a log").to_string();
        assert!(refused.contains("holds a log that is not a copy"), "{refused}");
    }
}
