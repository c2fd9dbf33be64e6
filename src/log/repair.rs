//! Mends damaged headers, and cuts a damaged log where its damage begins. Everything that is overwritten or
//! cut off is kept beside the log.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::LogError;
use super::chain;
use super::disk::{Disk, DiskFile, free_name, keep_copy};
use super::error::Context;
use super::frame::FrameHeader;
use super::recovery::{self, last_not_zero};
use super::segment::{self, BadHeader, FrameFormat, HEADER_BYTES, Header, LogId, SEGMENT_BYTES_MAX, Version};
use crate::domain::Position;

/// The part that was cut off a log.
#[derive(Debug)]
pub struct Cut {
    /// The files in which it is kept.
    pub kept: Vec<PathBuf>,
    /// The position after the last event that is readable in it, or `None` if no event is.
    pub until: Option<Position>,
}

/// A segment whose header was damaged.
#[derive(Debug)]
pub struct MendedHeader {
    /// The segment.
    pub file: PathBuf,
    /// The file in which the damaged header is kept.
    pub kept: PathBuf,
}

/// Writes each damaged header anew whose contents are known: from its other copy, or from the segment's name
/// and a first frame that is sound. Returns the segments whose headers were mended.
///
/// **Invariant:** a damaged header is durable under another name before it is overwritten. If the write is
/// interrupted, the header is still damaged, and can be mended again.
///
/// # Errors
///
/// The file system failed.
pub fn mend_headers<D: Disk>(disk: &D) -> Result<Vec<MendedHeader>, LogError> {
    let segments = chain::segments(disk)?;
    let mut known_logs = Vec::new();
    for &segment in &segments {
        let header = Header::decode(&read(disk, segment, 0..HEADER_BYTES as u64)?);
        known_logs.extend(header.map(|header| header.format.log));
    }
    known_logs.dedup();
    let mut mended = Vec::new();
    for &segment in &segments {
        let bytes = read(disk, segment, 0..HEADER_BYTES as u64)?;
        let header = match Header::decode(&bytes) {
            Ok(header) if header.is_whole(&bytes) => continue,
            Ok(header) => Some(header),
            Err(BadHeader::Damaged) => {
                header_of_frames(segment, &read(disk, segment, 0..SEGMENT_BYTES_MAX)?, &known_logs)
            }
            Err(BadHeader::UnknownVersion(_) | BadHeader::UnknownCodec) => None,
        };
        let Some(header) = header else { continue };
        let name = segment::file_name(segment);
        let path = || disk.path(&name);
        let kept = keep(disk, &name, 0, &bytes[..header.bytes().min(bytes.len())])?;
        disk.sync().doing("sync", || disk.path(""))?;
        let file = disk.open(&name).doing("open", path)?;
        file.write_at(&header.encode(), 0).doing("write", path)?;
        file.sync().doing("sync", path)?;
        mended.push(MendedHeader { file: path(), kept });
    }
    Ok(mended)
}

/// Returns the header with which a segment's first frame is sound. The log's id is the one of another
/// segment, or the one in the damaged header, in which one bit may be wrong.
fn header_of_frames(first: Position, bytes: &[u8], known_logs: &[LogId]) -> Option<Header> {
    const ID_BITS: usize = 128;
    let unchecked = Header::unchecked_id(bytes);
    let flipped = unchecked.into_iter().flat_map(|id| (0..ID_BITS).map(move |bit| id.with_flipped_bit(bit)));
    let logs: Vec<_> = known_logs.iter().copied().chain(unchecked).chain(flipped).collect();
    Version::ALL.into_iter().find_map(|version| {
        let frames = bytes.get(version.header_bytes()..)?;
        let formats = logs.iter().map(|&log| FrameFormat { log, version });
        let fits = |format: &FrameFormat| {
            FrameHeader::check(frames, *format).is_some_and(|frame| frame.first == first)
        };
        formats.into_iter().find(fits).map(|format| Header { format, first })
    })
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
    // A file whose header is damaged, or that is longer than any segment, is not cut, but renamed as a whole.
    let header = Header::decode(&read(disk, first, 0..HEADER_BYTES as u64)?);
    let is_segment = header.is_ok_and(|header| (header.bytes() as u64..SEGMENT_BYTES_MAX).contains(&offset));
    let mut tail = if is_segment { read(disk, first, offset..SEGMENT_BYTES_MAX)? } else { Vec::new() };
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

/// Reads these bytes of a segment, as far as it has them.
fn read<D: Disk>(disk: &D, segment: Position, at: Range<u64>) -> Result<Vec<u8>, LogError> {
    let name = segment::file_name(segment);
    let path = || disk.path(&name);
    let file = disk.open_to_read(&name).doing("open", path)?;
    let len = file.bytes().doing("measure", path)?.min(at.end).saturating_sub(at.start);
    let mut bytes = vec![0; usize::try_from(len).expect("at most SEGMENT_BYTES_MAX")];
    file.read_at(&mut bytes, at.start).doing("read", path)?;
    Ok(bytes)
}

/// Returns the position after the last event that is readable in a segment from this offset on.
fn last_event_end<D: Disk>(disk: &D, segment: Position, start: u64) -> Result<Option<Position>, LogError> {
    let bytes = read(disk, segment, 0..SEGMENT_BYTES_MAX)?;
    let Ok(header) = Header::decode(&bytes) else { return Ok(None) };
    let start = usize::try_from(start).expect("an offset in a segment").max(header.bytes());
    Ok(bytes.get(start..).and_then(|frames| recovery::last_sound_end(frames, header.format)))
}

/// Keeps a copy of bytes that are about to be overwritten or cut off, and returns its path.
fn keep<D: Disk>(disk: &D, name: &str, offset: u64, bytes: &[u8]) -> Result<PathBuf, LogError> {
    Ok(disk.path(&keep_copy(disk, &format!("{name}.damaged-{offset}"), bytes)?))
}
