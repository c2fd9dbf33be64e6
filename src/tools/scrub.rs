//! Takes what was erased, or deleted for long enough, out of a log.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::{ToolError, print};
use crate::domain::Position;
use crate::log::{
    LogError, LogId, LogReader, ReadOnlyDisk, RealDisk, find_due, place_up_to, scrub as scrub_log,
};
use crate::system_clock;

/// Takes what is due out of the log in this directory, which no server uses: what was erased, and what was edited or
/// deleted longer ago than `keep_deleted`. If `erasures_of` is given, the log in that directory says what is
/// due, and this log must be an earlier copy of it.
///
/// # Errors
///
/// The log is in use, damaged or of an unknown version, or cannot be read or written; or the other one is another log.
pub fn scrub(
    dir: &Path,
    erasures_of: Option<&Path>,
    keep_deleted: Duration,
    out: impl Write,
) -> Result<(), ToolError> {
    // Locking would create the directory.
    drop(LogReader::open(dir)?);
    let disk = RealDisk::lock(dir)?;
    let until = system_clock::now().saturating_sub(keep_deleted);
    let Some(own) = LogReader::new(disk.clone())?.id()? else {
        return Err(LogError::NoLog { dir: dir.to_owned() }.into());
    };
    let due = match erasures_of {
        None => find_due(disk.clone(), until)?,
        Some(dir) => {
            let live = ReadOnlyDisk::open(dir)?;
            check_continues(&disk, own, &live, dir)?;
            find_due(live, until)?
        }
    };
    let erasures = due.erasures;
    let scrubbed = scrub_log(&disk, &erasures, None)?;
    print(
        &[
            ("segments", format!("{} rewritten", scrubbed.segments)),
            ("copies", format!("{} of broken bytes removed", scrubbed.copies)),
        ],
        out,
    )
}

/// Checks that a log holds all that the one on this disk holds.
fn check_continues(disk: &RealDisk, own: LogId, live: &ReadOnlyDisk, dir: &Path) -> Result<(), ToolError> {
    let other = LogReader::new(live.clone())?.id()?;
    if let Some(id) = other.filter(|id| *id != own) {
        return Err(ToolError::OtherLog { dir: dir.to_owned(), id, own });
    }
    let Some(last) = place_up_to(disk.clone(), Position(u64::MAX))? else { return Ok(()) };
    if place_up_to(live.clone(), last.position)? != Some(last) {
        return Err(ToolError::NoContinuation { dir: dir.to_owned(), last: last.position });
    }
    Ok(())
}
