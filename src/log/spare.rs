//! The next segment, made ready ahead of need.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::LogError;
use super::disk::{Disk, DiskFile, remove_if_there};
use super::error::Context;
use super::thread::spawn;

pub(super) const SPARE: &str = "spare";
pub(super) const SPARE_LARGE: &str = "spare-large";

/// The next segment, filled with zeros in the background: a write to a block that the file already has is made
/// durable in half the time of one that makes it longer.
pub(super) struct Spare<D: Disk> {
    disk: D,
    segment_bytes: u64,
    preparing: Option<Preparing<D::File>>,
    /// Whoever prepares one may give up.
    unwanted: Arc<AtomicBool>,
    inline: bool,
}

/// One being prepared.
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
    pub(super) fn new(disk: D, segment_bytes: u64) -> Self {
        Self { disk, segment_bytes, preparing: None, unwanted: Arc::default(), inline: false }
    }

    /// Whether it does its work at once, in the caller's thread.
    pub(super) fn is_inline(&self) -> bool {
        self.inline
    }

    /// Begins to prepare one, unless that is begun.
    ///
    /// **Invariant:** one at a time: a second one would fill the first with zeros after it has been put to use.
    pub(super) fn start(&mut self) {
        if self.preparing.is_some() {
            return;
        }
        if self.inline {
            self.preparing = Some(Preparing::Done(self.prepare()));
            return;
        }
        let (disk, segment_bytes, unwanted) =
            (self.disk.clone(), self.segment_bytes, Arc::clone(&self.unwanted));
        let spawned = spawn("spare-segment", move || prepare(&disk, SPARE, segment_bytes, &unwanted));
        // Without a thread, the segment is made when it is needed.
        self.preparing = spawned.ok().map(Preparing::Thread);
    }

    pub(super) fn take(&mut self) -> Result<D::File, LogError> {
        match self.preparing.take().map(Preparing::wait) {
            Some(Ok(file)) => Ok(file),
            Some(Err(error)) if !error.is_no_room() => Err(error),
            // There may be room by now.
            Some(Err(_)) | None => self.prepare(),
        }
    }

    fn prepare(&self) -> Result<D::File, LogError> {
        prepare(&self.disk, SPARE, self.segment_bytes, &self.unwanted)
    }

    /// One of another length, for now.
    pub(super) fn large(&self, bytes: u64) -> Result<D::File, LogError> {
        prepare(&self.disk, SPARE_LARGE, bytes, &self.unwanted)
    }
}

#[cfg(test)]
impl<D: Disk> Spare<D> {
    /// One that does its work at once, in the caller's thread.
    pub(super) fn inline(disk: D, segment_bytes: u64) -> Self {
        let mut spare = Self::new(disk, segment_bytes);
        spare.inline = true;
        spare
    }

    /// Waits until the one that is being prepared is ready.
    pub(super) fn prepared(&self) {
        while matches!(&self.preparing, Some(Preparing::Thread(handle)) if !handle.is_finished()) {
            std::thread::yield_now();
        }
    }
}

impl<D: Disk> Drop for Spare<D> {
    /// The directory's lock is not given back while somebody still writes in it.
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        if let Some(preparing) = self.preparing.take() {
            // Nobody is left to need the file; a failure to make it has no meaning any more.
            drop(preparing.wait());
        }
    }
}

/// A file of so many durable zeros; nothing where that fails.
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
    /// So many wait for the disk at a time: nobody else's sync, and no end of the server, waits for more.
    const UNSYNCED_BYTES_MAX: u64 = 4 * 1024 * 1024;
    let mut filled = 0;
    while filled < bytes {
        let piece = ZEROS.len().min(usize::try_from(bytes - filled).unwrap_or(usize::MAX));
        file.write_at(&ZEROS[..piece], filled)?;
        filled += piece as u64;
        if filled % UNSYNCED_BYTES_MAX == 0 || filled == bytes {
            file.sync()?;
            if filled < bytes && unwanted.load(Ordering::Relaxed) {
                return Err(io::Error::other("nobody needs it any more"));
            }
        }
    }
    Ok(())
}
