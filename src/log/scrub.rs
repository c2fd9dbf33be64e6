//! Scrubbing: what is due leaves the disk when the segments that hold it are rewritten.
//!
//! A segment that was rewritten has the same frames, with the same positions, epochs and numbers of events, and
//! new checksums. It is written beside the old one, made durable, and renamed to its name.
//!
//! **Invariant:** nobody appends to a segment that is rewritten.

use std::ops::Range;

use super::chain::{self, Chain};
use super::codec::FRAME_BYTES_MAX;
use super::disk::{Disk, DiskFile, ReadDisk, remove_if_there};
use super::error::Context;
use super::frame::{Frame, SealedFrame};
use super::segment::{self, Header, LogId, Version};
use super::stream::copied::CopyScan;
use super::stream::marker;
use super::{LogError, LogReader, Progress, Replay};
use crate::domain::{ChatId, Epoch, Eraser, Erasures, KeyDigest, Position, Record, Seq, Timestamp};

/// Suffix of the name of a segment that is being rewritten.
const SUFFIX: &str = ".scrub";
/// Bytes of a new segment that are gathered before they are written.
const WRITE_BYTES: usize = 1024 * 1024;

/// Makes the writer of a log end its segment.
pub type EndSegment<'e> = &'e mut dyn FnMut() -> Result<(), LogError>;

/// A log on a disk, to be scrubbed while another thread appends to it.
pub trait Scrub: Send {
    /// Takes what is due out of the log, as [`scrub`] does. What was edited or deleted up to this time is due. Also returns
    /// the position of the last event that was looked at: a copy of a stream may lack the latest ones.
    ///
    /// # Errors
    ///
    /// Those of [`find_due`] and [`scrub`].
    fn scrub(&self, until: Timestamp, end_segment: EndSegment<'_>) -> Result<(Scrubbed, Position), LogError>;
}

impl<D: Disk> Scrub for D {
    fn scrub(&self, until: Timestamp, end_segment: EndSegment<'_>) -> Result<(Scrubbed, Position), LogError> {
        let DueInLog { erasures, last, .. } = find_due(self.clone(), until)?;
        Ok((scrub(self, &erasures, Some(end_segment))?, last))
    }
}

/// What a scrub has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Number of segments that were rewritten.
    pub segments: u64,
    /// The length of those segments before, in bytes.
    pub bytes: u64,
    /// Number of copies of broken bytes that were removed.
    pub copies: u64,
    /// The keys whose fingerprints left the log, some of them perhaps twice.
    pub keys: Vec<KeyDigest>,
    /// The messages of which something is not in the log any more, besides those of erased users.
    pub messages: Vec<(ChatId, Seq)>,
}

/// What is due in a log.
#[derive(Debug)]
pub struct DueInLog {
    /// What is due.
    pub erasures: Erasures,
    /// The log's id; `None` if the log is empty.
    pub id: Option<LogId>,
    /// The position of the last event that was looked at.
    pub last: Position,
}

/// Finds what is due in a log, which a server may be writing. What was edited or deleted up to this time is due.
///
/// # Errors
///
/// The log cannot be read, is damaged or of an unknown version.
pub fn find_due<D: ReadDisk>(disk: D, until: Timestamp) -> Result<DueInLog, LogError> {
    let (reader, progress) = (LogReader::new(disk)?, Progress::default());
    let mut erasures = Erasures::of_changes_until(until);
    let mut walk = reader.walk(&progress);
    while let Some(frame) = walk.next_frame()? {
        let noted = (frame.first.0..)
            .map(Position)
            .zip(frame.records())
            .try_for_each(|(position, record)| record.map(|record| erasures.note(position, &record)));
        noted.map_err(|error| walk.damaged(&error))?;
    }
    let id = walk.log_id();
    Ok(DueInLog { erasures, id, last: walk.into_contents().last })
}

/// An event of a log. Two logs that hold the same one are the same up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The event's position.
    pub position: Position,
    epoch: Epoch,
    time: Timestamp,
}

/// Returns the event at this position of a log, or the last one before it. Returns `None` if the log is empty.
///
/// # Errors
///
/// The log cannot be read, is damaged or of an unknown version.
pub fn place_up_to<D: ReadDisk>(disk: D, position: Position) -> Result<Option<Place>, LogError> {
    match last_place(&LogReader::new(disk.clone())?.starting_at(position), position)? {
        // The last segment may be empty.
        None => last_place(&LogReader::new(disk)?, position),
        found => Ok(found),
    }
}

fn last_place<D: ReadDisk>(reader: &LogReader<D>, upto: Position) -> Result<Option<Place>, LogError> {
    let progress = Progress::default();
    let mut walk = reader.walk(&progress);
    let mut found = None;
    while let Some(frame) = walk.next_frame()? {
        for (position, record) in (frame.first.0..=upto.0).map(Position).zip(frame.records()) {
            let Ok(Record { time, .. }) = record else { break };
            found = Some(Place { position, epoch: frame.epoch, time });
        }
        if frame.first > upto {
            break;
        }
    }
    Ok(found)
}

/// Takes what is due out of the log on this disk. If a server writes it, `end_segment` is called before the last segment
/// is rewritten: the writer must have begun another one then, or begin one with its next frame. If nobody writes it, a
/// torn end of the last segment is also taken out.
///
/// # Errors
///
/// The log cannot be read or written, is damaged or of an unknown version, or `end_segment` failed. Segments that were
/// already rewritten stay so.
pub fn scrub<D: Disk>(
    disk: &D,
    erasures: &Erasures,
    mut end_segment: Option<EndSegment<'_>>,
) -> Result<Scrubbed, LogError> {
    if erasures.is_empty() {
        return Ok(Scrubbed::default());
    }
    let mut scrubbed = Scrubbed::default();
    let copy = if marker::is_copy(disk)? { Some(CopyScan::begin(disk)?) } else { None };
    let is_written = end_segment.is_some();
    let mut pass = Pass { disk, eraser: Eraser::of(erasures), next: Position(1), copy, is_written };
    let segments = chain::segments(disk)?;
    for (index, &first) in segments.iter().enumerate() {
        let until = segments.get(index + 1).copied();
        let before = until.is_none().then(|| pass.clone());
        let mut rewritten = pass.read(first, until)?;
        if rewritten.is_none() {
            continue;
        }
        if let (Some(before), Some(end_segment)) = (before, &mut end_segment) {
            // It may have more frames by now.
            end_segment()?;
            pass = before;
            rewritten = pass.read(first, until)?;
        }
        let Some(rewritten) = rewritten else { continue };
        if scrubbed.segments == 0 {
            scrubbed.copies = remove_copies(disk)?;
        }
        scrubbed.segments += 1;
        scrubbed.bytes += rewritten.bytes.len() as u64;
        pass.write(&rewritten)?;
    }
    scrubbed.keys = pass.eraser.into_keys();
    scrubbed.messages = erasures.messages().collect();
    Ok(scrubbed)
}

/// Removes the unfinished segments of a scrub that was killed.
pub(super) fn remove_unfinished(disk: &impl Disk) -> Result<(), LogError> {
    let names = disk.list().doing("list", || disk.path(""))?;
    for name in names {
        if name.strip_suffix(SUFFIX).and_then(segment::first_in_name).is_some() {
            remove_if_there(disk, &name)?;
        }
    }
    Ok(())
}

/// Removes the copies of torn and of damaged bytes, which may hold what is due. Returns how many there were.
fn remove_copies(disk: &impl Disk) -> Result<u64, LogError> {
    let mut removed = 0;
    for name in disk.list().doing("list", || disk.path(""))? {
        let of_segment = [".torn", ".damaged"].iter().find_map(|kept| name.split_once(kept));
        if of_segment.and_then(|(segment, _)| segment::first_in_name(segment)).is_some() {
            tracing::warn!(file = %disk.path(&name).display(), "removing a copy of broken bytes, which may hold erased texts");
            remove_if_there(disk, &name)?;
            removed += 1;
        }
    }
    if removed > 0 {
        disk.sync().doing("sync", || disk.path(""))?;
    }
    Ok(removed)
}

/// A pass over the segments of a log.
struct Pass<'d, 'e, D> {
    disk: &'d D,
    eraser: Eraser<'e>,
    /// The position at which the next segment must begin.
    next: Position,
    /// The frames so far, if the log is a copy of a stream.
    copy: Option<CopyScan>,
    /// Whether a server may be writing the last segment.
    is_written: bool,
}

impl<D> Clone for Pass<'_, '_, D> {
    fn clone(&self) -> Self {
        let Self { disk, next, is_written, .. } = *self;
        Self { disk, eraser: self.eraser.clone(), next, copy: self.copy.clone(), is_written }
    }
}

/// A segment that is to be rewritten.
struct Rewritten {
    header: Header,
    /// The segment as it is.
    bytes: Vec<u8>,
    /// The range of its frames.
    frames_at: Range<usize>,
    /// The frames that change, by the offset of each, with its length before.
    frames: Vec<(usize, usize, Vec<u8>)>,
}

impl<D: Disk> Pass<'_, '_, D> {
    /// Reads a segment. Returns `None` if nothing in it is due.
    fn read(&mut self, first: Position, until: Option<Position>) -> Result<Option<Rewritten>, LogError> {
        let name = segment::file_name(first);
        let path = || self.disk.path(&name);
        let mut bytes = Vec::new();
        chain::read(&self.disk.open_to_read(&name).doing("open", path)?, path, &mut bytes)?;
        let mut chain = Chain::beginning_at(self.disk.clone(), self.next);
        chain.begin(first, bytes, until)?;
        let (header, progress) = (chain.header(), Progress::default());
        let is_old = header.format.version != Version::Two;
        let (mut frames, mut is_due) = (Vec::new(), false);
        while chain.advance(&progress)? {
            let frame = chain.frame();
            if let Some(copy) = &mut self.copy {
                copy.add(&frame);
            }
            let records = frame.records().collect::<Result<Vec<_>, _>>();
            let mut records = records.map_err(|error| chain.unusable(&error))?;
            let is_changed = self.eraser.erase(frame.first, &mut records);
            is_due |= is_changed;
            if is_changed || is_old {
                let at = chain.last_frame().expect("it was read");
                let sealed = seal(&frame, &records, header)
                    .ok_or_else(|| chain.unusable(&"it does not fit a frame of version 2"))?;
                frames.push((at.start, at.len(), sealed));
            }
        }
        if until.is_none() && !self.is_written {
            is_due |= chain.torn(self.copy.is_some())?.is_some();
        }
        self.next = chain.next();
        let frames_at = chain.frames();
        let header = Header::new(header.format.log, first);
        Ok(is_due.then(|| Rewritten { header, bytes: chain.take_buffer(), frames_at, frames }))
    }

    /// Puts the segment in the place of the one that it is made of.
    fn write(&self, rewritten: &Rewritten) -> Result<(), LogError> {
        let name = segment::file_name(rewritten.header.first);
        let unfinished = format!("{name}{SUFFIX}");
        let written = self.write_beside(rewritten, &unfinished);
        if written.is_err() {
            // What is left of it is removed at the next start, if it cannot be removed now.
            drop(remove_if_there(self.disk, &unfinished));
        }
        written?;
        // **Invariant:** before a copy differs from its stream, it says so.
        if let Some(upto) = self.copy.as_ref().and_then(CopyScan::newly_passed) {
            marker::note_scrubbed(self.disk, rewritten.header.format.log, upto)?;
        }
        let path = || self.disk.path(&name);
        self.disk.rename(&unfinished, &name).doing("rename to", path)?;
        self.disk.sync().doing("sync the directory of", path)
    }

    fn write_beside(
        &self,
        Rewritten { header, bytes, frames_at, frames }: &Rewritten,
        name: &str,
    ) -> Result<(), LogError> {
        let path = || self.disk.path(name);
        let file = self.disk.create(name).doing("create", path)?;
        let (mut offset, mut gathered) = (0, header.encode());
        let mut put = |bytes: &[u8], is_last: bool| -> Result<(), LogError> {
            gathered.extend_from_slice(bytes);
            if is_last || gathered.len() >= WRITE_BYTES {
                file.write_at(&gathered, offset).doing("write", path)?;
                offset += gathered.len() as u64;
                gathered.clear();
            }
            Ok(())
        };
        let mut from = frames_at.start;
        for (at, length, sealed) in frames {
            put(&bytes[from..*at], false)?;
            put(sealed, false)?;
            from = at + length;
        }
        put(&bytes[from..frames_at.end], true)?;
        file.sync().doing("sync", path)
    }
}

/// Returns the frame with these records in the place of its own, or `None` if it would be too long.
fn seal(frame: &SealedFrame<'_>, records: &[Record<'_>], header: Header) -> Option<Vec<u8>> {
    let mut new = Frame::new(frame.first);
    for record in records {
        new.push(record);
    }
    (new.sealed_bytes() <= FRAME_BYTES_MAX).then(|| new.seal(header.format.log, frame.epoch).to_vec())
}
