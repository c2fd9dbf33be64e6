//! Reads a segment while the one before it is replayed.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use super::LogError;
use super::chain;
use super::disk::Disk;
use super::error::Context;
use super::segment;
use crate::domain::Position;
use crate::thread::spawn;

/// A segment's file, and its bytes as [`chain::read`] read them.
pub(super) struct ReadSegment<F> {
    pub(super) file: F,
    pub(super) bytes: Vec<u8>,
}

/// Reads each segment before the replay needs it.
pub(super) struct ReadAhead<F> {
    /// `None` once no more segments are wanted.
    read: Option<Receiver<Result<ReadSegment<F>, LogError>>>,
    spent: Sender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: Send + 'static> ReadAhead<F> {
    /// Begins to read. `inline` reads all segments at once, in the caller's thread.
    ///
    /// # Errors
    ///
    /// [`LogError::Thread`] if the thread does not start.
    pub(super) fn start<D: Disk<File = F>>(
        disk: D,
        segments: Vec<Position>,
        inline: bool,
    ) -> Result<Self, LogError> {
        let (ahead, read) = sync_channel(if inline { segments.len() } else { 0 });
        let (spent, buffers) = channel();
        let read_all = move || {
            for first in segments {
                let buffer = buffers.try_recv().unwrap_or_default();
                // A replay that ends early drops the receiver.
                if ahead.send(read_segment(&disk, &segment::file_name(first), buffer)).is_err() {
                    break;
                }
            }
        };
        let thread = if inline {
            read_all();
            None
        } else {
            Some(spawn("read-ahead", read_all)?)
        };
        Ok(Self { read: Some(read), spent, thread })
    }

    /// Waits for the next segment.
    ///
    /// # Panics
    ///
    /// Panics after the last segment.
    pub(super) fn next(&self) -> Result<ReadSegment<F>, LogError> {
        let read = self.read.as_ref().expect("`drop` alone removes it");
        read.recv().expect("the caller stops after the last segment")
    }

    /// Gives the memory of a finished segment back, to read another one into it.
    pub(super) fn give_back(&self, bytes: Vec<u8>) {
        // The thread ends with the last segment, and needs no more memory then.
        drop(self.spent.send(bytes));
    }
}

impl<F> Drop for ReadAhead<F> {
    /// Waits for the thread, so that the directory's lock is not released while the thread reads in it.
    fn drop(&mut self) {
        self.read.take();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("reading does not panic");
        }
    }
}

fn read_segment<D: Disk>(disk: &D, name: &str, mut bytes: Vec<u8>) -> Result<ReadSegment<D::File>, LogError> {
    let path = || disk.path(name);
    let file = disk.open(name).doing("open", path)?;
    chain::read(&file, path, &mut bytes)?;
    Ok(ReadSegment { file, bytes })
}
