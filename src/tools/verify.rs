//! Checks whether a log is sound.

use std::io::Write;
use std::path::Path;

use super::{Stop, ToolError, print, walk};
use crate::domain::Timestamp;
use crate::log::{LogError, LogReader};

/// Checks the log in this directory and prints what it holds. Every header and frame must be sound, every
/// event must decode, and events must follow one another in position and time.
///
/// It does not check whether an event contradicts those before it. The server checks that at every start; the
/// check needs as much memory as the server, and neither a crash nor a disk can cause such a contradiction.
///
/// # Errors
///
/// The first damage, or an error if the directory cannot be read or holds no log.
pub fn verify(dir: &Path, out: impl Write) -> Result<(), ToolError> {
    let mut last: Option<Timestamp> = None;
    let log = LogReader::open(dir)?;
    if log.is_empty() {
        return Err(LogError::NoLog { dir: dir.to_owned() }.into());
    }
    let contents = walk(&log, |position, record| {
        if last.is_some_and(|last| record.time <= last) {
            return Err(Stop::Damage(format!("event {position} is not later than the one before")));
        }
        last = Some(record.time);
        Ok(())
    })?;
    let mut found = vec![
        ("segments", contents.segments.to_string()),
        ("frames", contents.frames.to_string()),
        ("events", contents.events.to_string()),
        ("bytes", contents.bytes.to_string()),
        ("position", contents.last.to_string()),
    ];
    for header in &contents.damaged_headers {
        found.push(("header", format!("one copy in {} is damaged; `log repair` mends it", header.display())));
    }
    if let Some(torn) = contents.torn {
        let bytes = torn.at.end - torn.at.start;
        found.push(("torn", format!("{bytes} bytes in {} at byte {}", torn.file.display(), torn.at.start)));
    }
    print(&found, out)
}
