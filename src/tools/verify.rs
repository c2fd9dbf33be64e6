//! Is the log sound?

use std::io::Write;
use std::path::Path;

use super::{Stop, ToolError, print, walk};
use crate::domain::Timestamp;
use crate::log::LogReader;

/// Checks every header and frame of the log in this directory, that every event can be read, and that events follow
/// one another in position and time; prints what there is.
///
/// That no event contradicts those before it is left to the server, which checks it at every start: it takes as much
/// memory as the server has, and no crash and no disk can bring it about.
///
/// # Errors
///
/// The first damage, or why the directory cannot be read.
pub fn verify(dir: &Path, out: impl Write) -> Result<(), ToolError> {
    let mut last: Option<Timestamp> = None;
    let contents = walk(&LogReader::open(dir)?, |position, record| {
        if last.is_some_and(|last| record.time <= last) {
            return Err(Stop::Contradiction(format!("event {position} is not later than the one before")));
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
    if let Some(torn) = contents.torn {
        let bytes = torn.at.end - torn.at.start;
        found.push(("torn", format!("{bytes} bytes in {} at byte {}", torn.file.display(), torn.at.start)));
    }
    print(&found, out)
}
