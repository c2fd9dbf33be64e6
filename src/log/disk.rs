//! The seam under the log: the few things that it asks of a file system, so that tests can stand in for one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::LogError;
use super::error::Context;

/// A directory of files, to be read.
pub trait Files: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;

    /// The names in the directory, in no order.
    ///
    /// # Errors
    ///
    /// Those of the file system; so for all calls below.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file to read only.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn open_to_read(&self, name: &str) -> io::Result<Self::File>;
    /// Where a file of that name is, for people.
    fn path(&self, name: &str) -> PathBuf;
}

/// A directory of files.
pub trait Disk: Files {
    /// Opens a file to read and write.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Makes an empty file, in place of one of that name.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable: what was created, renamed and removed stays so.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
#[expect(clippy::missing_errors_doc, reason = "those of the file system")]
pub trait DiskFile: Send + 'static {
    /// Its length.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills the buffer from this offset on.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of the bytes from this offset on.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Takes room for so many bytes, or fails without having written anything.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Makes contents durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// How long a lock is waited for: a process that ends gives it back with its last breath, and one that is about to
/// start another program shares it with that for a moment.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
/// It is tried so often.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// A directory of this machine, held by a lock against every other process.
#[derive(Debug, Clone)]
pub struct RealDisk {
    files: DirToRead,
    /// Open all the time, so that its syncs need no file of a process that has too many.
    dir: Arc<File>,
    /// Gives the lock back when the last clone is dropped.
    _lock: Arc<File>,
}

impl RealDisk {
    /// Makes the directory if it is missing, and takes its lock, which is held until the last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`LogError::InUse`] where another process has the lock; [`LogError::Directory`] where the directory
    /// cannot be made, read or written.
    pub fn lock(dir: &Path) -> Result<Self, LogError> {
        let unusable = |source| LogError::Directory { dir: dir.to_owned(), source };
        make_durable(dir).map_err(unusable)?;
        let path = dir.join("LOCK");
        let patient_until = Instant::now() + LOCK_PATIENCE;
        loop {
            let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let lock = lock.map_err(unusable)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < patient_until => {
                    std::thread::sleep(LOCK_INTERVAL);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(LogError::InUse { dir: dir.to_owned() }),
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
            // Whoever held it may have removed it meanwhile; then another process could lock another file.
            if is_at(&lock, &path).map_err(unusable)? {
                let files = DirToRead { dir: dir.to_owned() };
                let dir = File::open(dir).map_err(unusable)?;
                return Ok(Self { files, dir: Arc::new(dir), _lock: Arc::new(lock) });
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory if it is missing, and those around it, so that their names survive a power cut.
///
/// **Invariant:** a directory's name is synced before anything is made in it. So if a crash cuts this short, only the
/// innermost directory that is there may have a name that is not durable, and its name is synced at every start.
fn make_durable(dir: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if parent == dir {
        return Ok(());
    }
    if !dir.is_dir() {
        make_durable(parent)?;
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            other => other?,
        }
    }
    match File::open(parent).and_then(|parent| parent.sync_all()) {
        // What may not be read, or cannot be synced, holds no name that we have made.
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput) => Ok(()),
        other => other,
    }
}

/// A directory of this machine that another process may be writing in meanwhile. It is left as it is: nothing is
/// locked, synced or changed.
#[derive(Debug, Clone)]
pub struct DirToRead {
    dir: PathBuf,
}

impl DirToRead {
    /// # Errors
    ///
    /// [`LogError::Directory`] where it is missing, no directory, or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        std::fs::read_dir(dir).map_err(|source| LogError::Directory { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl Files for DirToRead {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            // A name that is not UTF-8 is not one of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        File::open(self.dir.join(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Files for RealDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.files.open_to_read(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }
}

impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

impl DiskFile for File {
    fn bytes(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; writing the zeros will tell.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A name that begins so, and that no file has.
pub(super) fn free_name<D: Disk>(disk: &D, stem: &str) -> Result<String, LogError> {
    let taken = disk.list().doing("list", || disk.path(""))?;
    let mut names = (1..=u32::MAX).map(|number| format!("{stem}-{number}"));
    Ok(names.find(|name| !taken.contains(name)).expect("numbers do not end"))
}

/// Removes a file that may not be there.
pub(super) fn remove_if_there<D: Disk>(disk: &D, name: &str) -> Result<(), LogError> {
    match disk.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.doing("remove", || disk.path(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Whoever gives a directory up removes its lock while others try to take it.
    #[test]
    fn a_lock_that_is_removed_by_its_holder_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().expect("made");
        let (holders, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        let contend = || {
            while taken.load(Ordering::SeqCst) < 3_000 {
                let Ok(lock) = RealDisk::lock(dir.path()) else { continue };
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "held by another one");
                taken.fetch_add(1, Ordering::SeqCst);
                holders.fetch_sub(1, Ordering::SeqCst);
                std::fs::remove_file(dir.path().join("LOCK")).expect("there");
                drop(lock);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(contend);
            }
        });
    }
}
