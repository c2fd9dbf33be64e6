//! A disk that is read and written no faster than a pace, so that what is done in the background leaves the rest to
//! others.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Disk, DiskFile, ReadDisk};

/// Bytes that are read or written at once.
const SLICE_BYTES: usize = 1024 * 1024;

/// A rate that the disks that share it keep together, until it is stopped.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: u64,
    is_stopped: Mutex<bool>,
    stopped: Condvar,
}

impl Pace {
    /// Creates a pace.
    ///
    /// # Panics
    ///
    /// Panics if the rate is 0.
    #[must_use]
    pub fn of(bytes_per_s: u64) -> Self {
        assert!(bytes_per_s > 0, "nothing would ever be read");
        Self { bytes_per_s, is_stopped: Mutex::new(false), stopped: Condvar::new() }
    }

    /// Makes every later read and write fail, and those fail that wait.
    pub fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.stopped.notify_all();
    }

    /// Returns whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.is_stopped.lock()
    }

    /// Waits for this time, or until it is stopped. Returns whether it was.
    pub fn wait(&self, time: Duration) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        self.stopped.wait_while_for(&mut is_stopped, |is_stopped| !*is_stopped, time);
        *is_stopped
    }

    /// Waits as long as these bytes take.
    fn take(&self, bytes: usize) -> io::Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "a slice is short")]
        let time = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        if self.wait(time) { Err(io::Error::new(io::ErrorKind::Interrupted, "stopped")) } else { Ok(()) }
    }
}

/// A disk whose files are read and written at a pace.
#[derive(Debug, Clone)]
pub struct PacedDisk<D> {
    disk: D,
    pace: Arc<Pace>,
}

impl<D> PacedDisk<D> {
    /// Returns this disk, to be read and written at this pace.
    #[must_use]
    pub fn new(disk: D, pace: Arc<Pace>) -> Self {
        Self { disk, pace }
    }

    fn file<F>(&self, file: io::Result<F>) -> io::Result<PacedFile<F>> {
        file.map(|file| PacedFile { file, pace: Arc::clone(&self.pace) })
    }
}

impl<D: ReadDisk> ReadDisk for PacedDisk<D> {
    type File = PacedFile<D::File>;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open_to_read(&self, name: &str) -> io::Result<Self::File> {
        self.file(self.disk.open_to_read(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

impl<D: Disk> Disk for PacedDisk<D> {
    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.file(self.disk.open(name))
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.file(self.disk.create(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn is_named(&self, name: &str, file: &Self::File) -> io::Result<bool> {
        self.disk.is_named(name, &file.file)
    }

    fn check_length(&self, bytes: u64) -> io::Result<()> {
        self.disk.check_length(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

/// An open file of a paced disk.
pub struct PacedFile<F> {
    file: F,
    pace: Arc<Pace>,
}

impl<F: DiskFile> DiskFile for PacedFile<F> {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        for (slice, at) in buffer.chunks_mut(SLICE_BYTES).zip((offset..).step_by(SLICE_BYTES)) {
            self.pace.take(slice.len())?;
            self.file.read_at(slice, at)?;
        }
        Ok(())
    }

    /// Makes each slice durable by itself, so that a sync of another file on this disk waits for at most one slice.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        for (slice, at) in bytes.chunks(SLICE_BYTES).zip((offset..).step_by(SLICE_BYTES)) {
            self.pace.take(slice.len())?;
            self.file.write_at(slice, at)?;
            self.file.sync()?;
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::log::RealDisk;

    #[test]
    fn a_pace_is_kept_and_what_is_written_is_read() {
        let dir = tempfile::tempdir().expect("made");
        let pace = Arc::new(Pace::of(40 * 1024 * 1024));
        let disk = PacedDisk::new(RealDisk::lock(dir.path()).expect("locked"), Arc::clone(&pace));
        let written: Vec<u8> = (0..=250).cycle().take(5 * SLICE_BYTES / 2).collect();
        let began = Instant::now();
        disk.create("file").expect("created").write_at(&written, 7).expect("written");
        let mut read = vec![0; written.len()];
        disk.open_to_read("file").expect("there").read_at(&mut read, 7).expect("read");
        assert!(read == written, "slice by slice, each in its place");
        assert!(began.elapsed() >= Duration::from_millis(125), "5 MiB at 40 MiB/s");
    }

    #[test]
    fn who_waits_is_stopped() {
        let dir = tempfile::tempdir().expect("made");
        let pace = Arc::new(Pace::of(1));
        let disk = PacedDisk::new(RealDisk::lock(dir.path()).expect("locked"), Arc::clone(&pace));
        let file = disk.create("file").expect("created");
        let writing = std::thread::spawn(move || file.write_at(&vec![0; SLICE_BYTES], 0));
        pace.stop();
        let refused = writing.join().expect("ended").expect_err("it would take twelve days");
        assert_eq!(refused.kind(), io::ErrorKind::Interrupted);
        assert!(pace.is_stopped() && pace.wait(Duration::MAX));
    }
}
