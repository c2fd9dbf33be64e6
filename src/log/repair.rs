//! Cuts a damaged log where its damage begins, and keeps everything that is cut off beside it.

use std::path::{Path, PathBuf};

use super::LogError;
use super::chain;
use super::disk::{Disk, DiskFile, free_name, remove_if_there};
use super::error::Context;
use super::recovery::{self, last_not_zero};
use super::segment::{self, HEADER_BYTES, Header, SEGMENT_BYTES_MAX};
use crate::domain::Position;

/// The part that was cut off a log.
#[derive(Debug)]
pub struct Cut {
    /// The files in which it is kept.
    pub kept: Vec<PathBuf>,
    /// The position after the last event that is readable in it, or `None` if no event is.
    pub until: Option<Position>,
}

/// Cuts the log at this byte of this segment, and renames all later segments.
///
/// **Invariant:** what is cut off is durable under another name before it is removed under its own. So a cut
/// that is interrupted at any point can be repeated: the log is then still damaged or torn at the same place,
/// or is cut.
///
/// # Errors
///
/// The file system failed. If it has no room for the copy, the log is unchanged.
///
/// # Panics
///
/// Panics if the file is not a segment.
pub fn cut<D: Disk>(disk: &D, file: &Path, offset: u64) -> Result<Cut, LogError> {
    let name = file.file_name().and_then(|name| name.to_str());
    let first = name.and_then(segment::first_in_name).expect("damage is in a segment");
    let mut segments = chain::segments(disk)?;
    segments.retain(|&segment| segment >= first);
    let mut until = None;
    for &segment in &segments {
        let start = if segment == first { offset } else { 0 };
        until = until.max(last_event_end(disk, segment, start)?);
    }
    // A file that has no sound header or is longer than any segment is not cut, but renamed as a whole.
    let is_segment = (HEADER_BYTES as u64..SEGMENT_BYTES_MAX).contains(&offset);
    let mut tail = if is_segment { read(disk, first, offset)? } else { Vec::new() };
    tail.truncate(last_not_zero(&tail).map_or(0, |last| last + 1));
    let later = segments.iter().filter(|&&segment| !is_segment || segment != first);

    let mut kept = Vec::new();
    if !tail.is_empty() {
        kept.push(keep(disk, &segment::file_name(first), offset, &tail)?);
    }
    for &segment in later {
        let name = segment::file_name(segment);
        let aside = free_name(disk, &format!("{name}.damaged"))?;
        disk.rename(&name, &aside).doing("rename", || disk.path(&name))?;
        kept.push(disk.path(&aside));
    }
    disk.sync().doing("sync", || disk.path(""))?;
    if !tail.is_empty() {
        let name = segment::file_name(first);
        let path = || disk.path(&name);
        let file = disk.open(&name).doing("open", path)?;
        file.write_at(&vec![0; tail.len()], offset).doing("cut", path)?;
        file.sync().doing("sync", path)?;
    }
    kept.sort();
    Ok(Cut { kept, until })
}

/// Reads the bytes of a segment from this offset on.
fn read<D: Disk>(disk: &D, segment: Position, offset: u64) -> Result<Vec<u8>, LogError> {
    let name = segment::file_name(segment);
    let path = || disk.path(&name);
    let file = disk.open_to_read(&name).doing("open", path)?;
    let len = file.bytes().doing("measure", path)?.min(SEGMENT_BYTES_MAX).saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(len).expect("at most SEGMENT_BYTES_MAX")];
    file.read_at(&mut bytes, offset).doing("read", path)?;
    Ok(bytes)
}

/// Returns the position after the last event that is readable in a segment from this offset on.
fn last_event_end<D: Disk>(disk: &D, segment: Position, start: u64) -> Result<Option<Position>, LogError> {
    let bytes = read(disk, segment, 0)?;
    let Ok(header) = Header::decode(&bytes) else { return Ok(None) };
    let start = usize::try_from(start.max(HEADER_BYTES as u64)).expect("an offset in a segment");
    Ok(bytes.get(start..).and_then(|frames| recovery::last_sound_end(frames, header.log)))
}

/// Writes a copy. Its contents are durable afterwards, its name is not.
fn keep<D: Disk>(disk: &D, name: &str, offset: u64, bytes: &[u8]) -> Result<PathBuf, LogError> {
    let copy = free_name(disk, &format!("{name}.damaged-{offset}"))?;
    let written = disk.create(&copy).and_then(|file| {
        file.write_at(bytes, 0)?;
        file.sync()
    });
    match written.doing("write", || disk.path(&copy)) {
        Ok(()) => Ok(disk.path(&copy)),
        Err(error) => {
            if error.is_no_room() {
                remove_if_there(disk, &copy)?;
            }
            Err(error)
        }
    }
}
