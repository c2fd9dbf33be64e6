//! A log in memory: nothing outlives the process.

use super::segment::LogId;
use super::{AppendError, EventLog, Frame, LogError, Progress, SealedFrame, Visitor};

/// Keeps the sealed frames, as a file would.
#[derive(Debug)]
pub struct MemoryLog {
    id: LogId,
    frames: Vec<Box<[u8]>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self { id: LogId::random(), frames: Vec::new() }
    }
}

impl EventLog for MemoryLog {
    fn replay(&mut self, progress: &Progress, visit: &mut Visitor<'_>) -> Result<(), LogError> {
        progress.set_bytes_total(self.frames.iter().map(|frame| frame.len() as u64).sum());
        for bytes in &self.frames {
            let frame = SealedFrame::read(bytes, self.id).expect("memory keeps what it was given");
            visit(&frame).map_err(|cause| {
                LogError::undecodable("memory".into(), 0, &cause, (frame.first, frame.end()))
            })?;
            progress.add(u64::from(frame.count), frame.bytes as u64);
        }
        Ok(())
    }

    fn append(&mut self, frame: &mut Frame) -> Result<(), AppendError> {
        self.frames.push(frame.seal(self.id).into());
        Ok(())
    }
}
