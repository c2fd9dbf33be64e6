//! Segments' bytes, read while those before them are replayed.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use super::LogError;
use super::chain;
use super::disk::Disk;
use super::error::Context;
use super::segment;
use super::thread::spawn;
use crate::domain::Position;

/// A segment's file, and what [`chain::read`] read of it.
pub(super) struct ReadSegment<F> {
    pub(super) file: F,
    pub(super) bytes: Vec<u8>,
}

/// Reads segments, one ahead of what is asked for.
pub(super) struct ReadAhead<F> {
    /// None when nothing more is asked for.
    read: Option<Receiver<Result<ReadSegment<F>, LogError>>>,
    spent: Sender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: Send + 'static> ReadAhead<F> {
    /// Begins to read; `inline` reads all of them at once, in the caller's thread.
    ///
    /// # Errors
    ///
    /// [`LogError::Thread`].
    pub(super) fn start<D: Disk<File = F>>(
        disk: D,
        segments: Vec<Position>,
        inline: bool,
    ) -> Result<Self, LogError> {
        let (ahead, taken) = sync_channel(if inline { segments.len() } else { 0 });
        let (spent, buffers) = channel();
        let read_all = move || {
            for first in segments {
                let buffer = buffers.try_recv().unwrap_or_default();
                // Whoever has seen enough hangs up.
                if ahead.send(read(&disk, &segment::file_name(first), buffer)).is_err() {
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
        Ok(Self { read: Some(taken), spent, thread })
    }

    /// The next segment.
    ///
    /// # Panics
    ///
    /// After the last.
    pub(super) fn next(&self) -> Result<ReadSegment<F>, LogError> {
        let read = self.read.as_ref().expect("taken when dropped only");
        read.recv().expect("no more are asked for than there are")
    }

    /// Memory of a segment that is not needed any more, for another one.
    pub(super) fn give_back(&self, bytes: Vec<u8>) {
        // All may have been read.
        drop(self.spent.send(bytes));
    }
}

impl<F> Drop for ReadAhead<F> {
    /// The directory's lock is not given back while somebody still reads in it.
    fn drop(&mut self) {
        self.read.take();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("reading does not panic");
        }
    }
}

fn read<D: Disk>(disk: &D, name: &str, mut bytes: Vec<u8>) -> Result<ReadSegment<D::File>, LogError> {
    let path = || disk.path(name);
    let file = disk.open(name).doing("open", path)?;
    chain::read(&file, path, &mut bytes)?;
    Ok(ReadSegment { file, bytes })
}
