//! The next segment, prepared before it is needed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::LogError;
use super::disk::{Disk, DiskFile, remove_if_there};
use super::error::Context;
use super::segment::SEGMENT_BYTES_FIRST;
use crate::thread::spawn;

pub(super) const SPARE: &str = "spare";
pub(super) const SPARE_LARGE: &str = "spare-large";

/// The next segment, filled with zeros in the background: syncing a write to a block that the file already
/// has takes half the time of syncing a write that makes the file longer.
pub(super) struct Spare<D: Disk> {
    disk: D,
    /// Length of the segment that is prepared, or will be.
    bytes: u64,
    bytes_max: u64,
    preparing: Option<Preparing<D::File>>,
    /// Whether the segment that is being prepared is no longer needed.
    unwanted: Arc<AtomicBool>,
    inline: bool,
}

/// A segment that is being prepared.
enum Preparing<F> {
    Thread(JoinHandle<Result<F, LogError>>),
    Done(Result<F, LogError>),
}

impl<F> Preparing<F> {
    fn wait(self) -> Result<F, LogError> {
        match self {
            Self::Thread(handle) => handle.join().expect("preparing does not panic"),
            Self::Done(result) => result,
        }
    }
}

impl<D: Disk> Spare<D> {
    pub(super) fn new(disk: D, bytes_max: u64) -> Self {
        let bytes = SEGMENT_BYTES_FIRST.min(bytes_max);
        Self { disk, bytes, bytes_max, preparing: None, unwanted: Arc::default(), inline: false }
    }

    /// Returns the length of the next segment.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether segments are prepared at once, in the caller's thread.
    pub(super) fn is_inline(&self) -> bool {
        self.inline
    }

    /// Begins to prepare a segment, unless one is being prepared. `log_bytes` is the length of all segments:
    /// a new one is as long as all before it, up to the maximum, so that a small log takes little of the
    /// disk.
    ///
    /// **Invariant:** one spare segment is prepared at a time. A second one would fill the first with zeros,
    /// perhaps after it has become the active segment.
    pub(super) fn start(&mut self, log_bytes: u64) {
        if self.preparing.is_some() {
            return;
        }
        self.bytes = log_bytes.max(SEGMENT_BYTES_FIRST).min(self.bytes_max);
        self.begin();
    }

    fn begin(&mut self) {
        if self.inline {
            self.preparing = Some(Preparing::Done(self.prepare()));
            return;
        }
        let (disk, bytes, unwanted) = (self.disk.clone(), self.bytes, Arc::clone(&self.unwanted));
        let spawned = spawn("spare-segment", move || prepare(&disk, SPARE, bytes, &unwanted));
        // Without a thread, the segment is prepared when it is needed.
        self.preparing = spawned.ok().map(Preparing::Thread);
    }

    /// Returns the prepared segment; waits for it, or prepares one.
    pub(super) fn take(&mut self) -> Result<D::File, LogError> {
        match self.preparing.take().map(Preparing::wait) {
            Some(Ok(file)) => Ok(file),
            Some(Err(error)) if !error.is_no_room() => Err(error),
            // The disk may have room by now.
            Some(Err(_)) | None => self.prepare(),
        }
    }

    /// Looks whether the next segment is prepared, without waiting for it. Returns `None` while it is being
    /// prepared, and an error if there was no room for it; then the next attempt is begun. Every other error
    /// is kept for [`take`](Self::take).
    pub(super) fn look_for_room(&mut self) -> Option<Result<(), LogError>> {
        match self.preparing.take() {
            Some(Preparing::Thread(handle)) if !handle.is_finished() => {
                self.preparing = Some(Preparing::Thread(handle));
                None
            }
            Some(preparing) => match preparing.wait() {
                Err(error) if error.is_no_room() => {
                    self.begin();
                    Some(Err(error))
                }
                prepared => {
                    self.preparing = Some(Preparing::Done(prepared));
                    Some(Ok(()))
                }
            },
            None => {
                self.begin();
                None
            }
        }
    }

    fn prepare(&self) -> Result<D::File, LogError> {
        prepare(&self.disk, SPARE, self.bytes, &self.unwanted)
    }

    /// Prepares a segment of another length.
    pub(super) fn large(&self, bytes: u64) -> Result<D::File, LogError> {
        prepare(&self.disk, SPARE_LARGE, bytes, &self.unwanted)
    }
}

#[cfg(test)]
impl<D: Disk> Spare<D> {
    /// Creates a spare whose segments are prepared at once, in the caller's thread.
    pub(super) fn inline(disk: D, bytes_max: u64) -> Self {
        let mut spare = Self::new(disk, bytes_max);
        spare.inline = true;
        spare
    }

    /// Waits until the segment that is being prepared is ready.
    pub(super) fn wait(&self) {
        while matches!(&self.preparing, Some(Preparing::Thread(handle)) if !handle.is_finished()) {
            std::thread::yield_now();
        }
    }
}

impl<D: Disk> Drop for Spare<D> {
    /// Waits for the thread, so that the directory's lock is not released while the thread writes in it.
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        if let Some(preparing) = self.preparing.take() {
            // The file is no longer needed, so a failure to prepare it does not matter.
            drop(preparing.wait());
        }
    }
}

/// Creates a file of durable zeros. Leaves no file behind if that fails.
fn prepare<D: Disk>(disk: &D, name: &str, bytes: u64, unwanted: &AtomicBool) -> Result<D::File, LogError> {
    let path = || disk.path(name);
    let file = disk.create(name).doing("create", path)?;
    let filled = file.allocate(bytes).and_then(|()| fill_with_zeros(&file, bytes, unwanted));
    match filled.doing("fill", path) {
        Ok(()) => Ok(file),
        Err(error) => {
            remove_if_there(disk, name)?;
            Err(error)
        }
    }
}

fn fill_with_zeros(file: &impl DiskFile, bytes: u64, unwanted: &AtomicBool) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 256 * 1024];
    /// Maximum bytes written between two syncs. The sync of a frame, or a shutdown, waits for no more than
    /// these.
    const UNSYNCED_BYTES_MAX: u64 = 4 * 1024 * 1024;
    let mut filled = 0;
    while filled < bytes {
        let piece = ZEROS.len().min(usize::try_from(bytes - filled).unwrap_or(usize::MAX));
        file.write_at(&ZEROS[..piece], filled)?;
        filled += piece as u64;
        if filled % UNSYNCED_BYTES_MAX == 0 || filled == bytes {
            file.sync()?;
            if filled < bytes && unwanted.load(Ordering::Relaxed) {
                return Err(io::Error::other("no longer needed"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ReadDisk, RealDisk, SEGMENT_BYTES_MAX};

    #[test]
    fn a_spare_that_is_dropped_is_given_up() {
        let dir = tempfile::tempdir().expect("made");
        let disk = RealDisk::lock(dir.path()).expect("free");
        let mut spare = Spare::new(disk.clone(), SEGMENT_BYTES_MAX);
        spare.start(SEGMENT_BYTES_MAX);
        drop(spare);
        assert!(!disk.list().expect("listed").contains(&SPARE.to_owned()), "it was filled to its end");
    }
}
