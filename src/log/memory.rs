//! A log in memory: its events are gone when the process ends.

use std::fmt::Display;

use super::frame::FrameHeader;
use super::segment::{FrameFormat, LogId, Version, random_epoch};
use super::{AppendError, EventLog, Frame, LogError, Progress, Replay, SealedFrame};
use crate::domain::{Epoch, Position};

/// Keeps the sealed frames, as a file would.
#[derive(Debug)]
pub struct MemoryLog {
    id: LogId,
    epoch: Epoch,
    frames: Vec<Box<[u8]>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self { id: LogId::random(), epoch: random_epoch(), frames: Vec::new() }
    }
}

impl EventLog for MemoryLog {
    fn replay<'l>(&'l mut self, progress: &'l Progress) -> Result<Box<dyn Replay + 'l>, LogError> {
        progress.set_bytes_total(self.frames.iter().map(|frame| frame.len() as u64).sum());
        let frames = self.frames.iter();
        let format = FrameFormat { log: self.id, version: Version::Two };
        Ok(Box::new(MemoryReplay { format, frames, progress, last: Position(0)..Position(0) }))
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        self.frames.push(frame.seal(self.id, self.epoch).into());
        Ok(())
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn id(&self) -> LogId {
        self.id
    }
}

struct MemoryReplay<'l> {
    format: FrameFormat,
    frames: std::slice::Iter<'l, Box<[u8]>>,
    progress: &'l Progress,
    /// The positions of the last returned frame.
    last: std::ops::Range<Position>,
}

impl Replay for MemoryReplay<'_> {
    fn next_frame(&mut self) -> Result<Option<SealedFrame<'_>>, LogError> {
        let Some(bytes) = self.frames.next() else { return Ok(None) };
        let header = FrameHeader::check(bytes, self.format).expect("memory keeps what it was given");
        self.last = header.first..header.end();
        self.progress.add(header.count, header.sealed_bytes());
        Ok(Some(header.frame(bytes)))
    }

    fn damaged(&self, cause: &dyn Display) -> LogError {
        LogError::unusable("memory".into(), 0, cause, self.last.clone())
    }
}
