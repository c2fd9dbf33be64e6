//! Repairs a damaged log, so that a server starts on it.

use std::io::Write;
use std::path::Path;

use super::{Stop, ToolError, print, walk};
use crate::domain::Position;
use crate::log::{Cut, Disk, LogError, LogReader, MendedHeader, RealDisk, cut, mend_headers};
use crate::model::Index;

/// Repairs the log in this directory, and prints which events were lost. Damaged headers of sound frames are
/// written anew, which loses no event. Then the log is cut where its first other damage begins, and a copy of
/// the rest is kept beside it. A sound log is not changed. A torn write at its end is left for the server to
/// cut off.
///
/// # Errors
///
/// The log is in use, of an unknown version, or cannot be read or written.
pub fn repair(dir: &Path, mut out: impl Write) -> Result<(), ToolError> {
    // Locking would create the directory.
    LogReader::open(dir)?;
    let disk = RealDisk::lock(dir)?;
    let mut is_sound = true;
    for MendedHeader { file, kept } in mend_headers(&disk)? {
        is_sound = false;
        let damage = format!("the header of {}", file.display());
        let found =
            [("damage", damage), ("lost", "nothing".to_owned()), ("kept in", kept.display().to_string())];
        print(&found, &mut out)?;
    }
    let position = repair_on(&disk, |damage, from, Cut { kept, until }| {
        is_sound = false;
        let mut found = vec![("damage", damage.to_string()), ("lost", lost(from, until))];
        found.extend(kept.iter().map(|path| ("kept in", path.display().to_string())));
        print(&found, &mut out)
    })?;
    if is_sound {
        print(&[("sound", "nothing was changed".to_owned())], &mut out)?;
    }
    print(&[("position", position.to_string())], out)
}

/// Cuts until the log is sound, and returns its last position. One cut may not be enough: it can make a
/// segment the last one, and the bytes behind the frames of a segment are checked only in the last one.
fn repair_on<D: Disk>(
    disk: &D,
    mut report: impl FnMut(&LogError, Position, Cut) -> Result<(), ToolError>,
) -> Result<Position, ToolError> {
    loop {
        let mut index = Index::default();
        let walked = walk(&LogReader::new(disk.clone())?, |position, record| {
            let contradiction = || Stop::Damage(format!("event {position} contradicts those before it"));
            index.try_apply(record).map(|_| ()).ok_or_else(contradiction)
        });
        let damage = match walked {
            Ok(contents) => return Ok(contents.last),
            Err(ToolError::Log(damage @ LogError::Damaged { .. })) => damage,
            Err(error) => return Err(error),
        };
        if let LogError::Damaged { file, offset, from, .. } = &damage {
            report(&damage, *from, cut(disk, file, *offset)?)?;
        }
    }
}

fn lost(from: Position, until: Option<Position>) -> String {
    match until {
        Some(until) if until == from.next() => format!("event {from}"),
        Some(until) if until > from => format!("events {from} to {}", until.0 - 1),
        _ => format!("event {from} and all after it, if there were any"),
    }
}
