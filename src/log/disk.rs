//! The calls that the log makes to a file system. They are few, so that tests can simulate a disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use rustix::fs::StatxFlags;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::LogError;
use super::error::Context;

/// A directory of files that can be read.
pub trait ReadDisk: Clone + Send + 'static {
    /// An open file.
    type File: DiskFile;

    /// Returns the names in the directory, in no particular order.
    ///
    /// # Errors
    ///
    /// The file system failed. The same holds for all calls below.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading only.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn open_to_read(&self, name: &str) -> io::Result<Self::File>;
    /// Returns the path of a file of this name, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// A directory of files that can be read and written.
pub trait Disk: ReadDisk {
    /// Opens a file for reading and writing.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Creates an empty file, or empties the file of this name.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Renames a file.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns whether the file of this name is this open one.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn is_named(&self, name: &str, file: &Self::File) -> io::Result<bool>;
    /// Fails if the system does not let this process write a file of this length, however much room the disk
    /// has.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn check_length(&self, bytes: u64) -> io::Result<()>;
    /// Makes names durable: every create, rename and remove so far.
    #[expect(clippy::missing_errors_doc, reason = "see `list`")]
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
#[expect(clippy::missing_errors_doc, reason = "those of the file system")]
pub trait DiskFile: Send + 'static {
    /// Returns the length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills the whole buffer from this offset on.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of the bytes from this offset on.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reserves room for a length of `bytes`, or fails without having written anything.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Makes the contents durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// Maximum time to wait for the lock. A process that ends releases it only as it exits, and a process that
/// starts another program shares it with that program for a moment.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(200);
/// Time between two attempts to lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// Permissions of a directory that is created: nobody else may read or lock what is in it.
const DIRECTORY_MODE: u32 = 0o700;
/// Permissions of a file that is created.
const FILE_MODE: u32 = 0o600;

/// A directory of this machine, locked against every other process.
#[derive(Debug, Clone)]
pub struct RealDisk {
    files: ReadOnlyDisk,
    /// Locked, and kept open, so that a sync succeeds even when the process has reached its limit of open
    /// files.
    dir: Arc<File>,
    /// Also locked. Both locks are released when the last clone is dropped.
    _lock: Arc<File>,
}

impl RealDisk {
    /// Creates the directory if it is missing, and locks it until the last clone is dropped.
    ///
    /// **Invariant:** at most one process writes a log. Two writers would overwrite each other's acknowledged
    /// frames. The lock is on the directory itself, so it holds even if files in it are removed or replaced.
    /// `LOCK` is for earlier releases, and for file systems that do not lock directories.
    ///
    /// # Errors
    ///
    /// [`LogError::InUse`] if another process holds the lock; [`LogError::Directory`] if the directory cannot
    /// be created, read or written.
    pub fn lock(dir: &Path) -> Result<Self, LogError> {
        let unusable = |source| LogError::Directory { dir: dir.to_owned(), source };
        make_durable(dir).map_err(unusable)?;
        let path = dir.join("LOCK");
        let deadline = Instant::now() + LOCK_WAIT_MAX;
        let try_lock = |file: &File| match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                Err(LogError::InUse { dir: dir.to_owned() })
            }
            other => Ok(other),
        };
        loop {
            let locked_dir = File::open(dir).map_err(unusable)?;
            // Where directories cannot be locked, `LOCK` alone decides.
            if let Err(TryLockError::WouldBlock) = try_lock(&locked_dir)? {
                std::thread::sleep(LOCK_INTERVAL);
                continue;
            }
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(FILE_MODE);
            let lock = options.open(&path).map_err(unusable)?;
            match try_lock(&lock)? {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(LOCK_INTERVAL);
                    continue;
                }
                Err(TryLockError::Error(source)) => return Err(unusable(source)),
            }
            // The former holder may have removed the directory or the file meanwhile; then another process
            // could lock a new one.
            if is_at(&locked_dir, dir).map_err(unusable)? && is_at(&lock, &path).map_err(unusable)? {
                let files = ReadOnlyDisk { dir: dir.to_owned() };
                return Ok(Self { files, dir: Arc::new(locked_dir), _lock: Arc::new(lock) });
            }
        }
    }

    /// Warns if other users of this machine can open the directory.
    ///
    /// # Errors
    ///
    /// [`LogError::Io`] if its permissions cannot be read.
    pub fn warn_if_others_may_open_it(&self) -> Result<(), LogError> {
        let dir = self.path("");
        let mode = self.dir.metadata().doing("read the permissions of", || dir.clone())?.mode() & 0o777;
        if mode & !DIRECTORY_MODE != 0 {
            tracing::warn!(
                dir = %dir.display(), mode = format_args!("{mode:o}"),
                "other users of this machine may open the data directory; `chmod 700` keeps them out"
            );
        }
        Ok(())
    }
}

impl RealDisk {
    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        // That is `FILE_MODE`, whose type depends on the system.
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || rustix::fs::openat(&*self.dir, name, flags | OFlags::CLOEXEC, mode);
        Ok(File::from(rustix::io::retry_on_intr(open)?))
    }
}

/// Returns whether the open file is the one at this path.
///
/// Only the inode's number is requested. If the times were also requested, Linux 6.13 and later would give the
/// next write a new, exact time. The next sync would then also have to write the inode.
#[cfg(target_os = "linux")]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |dir: BorrowedFd<'_>, path: &Path, flags| {
        let found = rustix::fs::statx(dir, path, flags, StatxFlags::INO)?;
        Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
    };
    let own = identity(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?;
    match identity(rustix::fs::CWD, path, AtFlags::empty()) {
        Ok(there) => Ok(there == own),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the open file is the one at this path.
#[cfg(not(target_os = "linux"))]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (own, there) = (file.metadata()?, std::fs::metadata(path));
    match there {
        Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Creates a directory and its parents if they are missing, so that their names survive a power cut.
///
/// **Invariant:** a directory's name is synced before anything is created in the directory. So after a crash
/// only the innermost directory may have a name that is not durable, and that name is synced at every start.
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
        match DirBuilder::new().mode(DIRECTORY_MODE).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            other => other?,
        }
    }
    match File::open(parent).and_then(|parent| parent.sync_all()) {
        // This process did not create the directory's name in a parent that it cannot read or sync.
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput) => Ok(()),
        other => other,
    }
}

/// A directory of this machine in which another process may be writing. Nothing in it is locked, synced or
/// changed.
#[derive(Debug, Clone)]
pub struct ReadOnlyDisk {
    dir: PathBuf,
}

impl ReadOnlyDisk {
    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// [`LogError::Directory`] if the directory is missing, is not a directory, or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        std::fs::read_dir(dir).map_err(|source| LogError::Directory { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl ReadDisk for ReadOnlyDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            // The log uses no name that is not UTF-8.
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

impl ReadDisk for RealDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&*self.dir)? {
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDONLY)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }
}

/// **Invariant:** a server changes files in the directory that it has locked only, even if the path leads to
/// another one by now, which may be another server's. So names are relative to the open directory.
impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.dir, from, &*self.dir, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.dir, name, AtFlags::empty())?)
    }

    /// Follows the path, so that it also shows whether the directory is still at its path.
    fn is_named(&self, name: &str, file: &File) -> io::Result<bool> {
        is_at(file, &self.path(name))
    }

    fn check_length(&self, bytes: u64) -> io::Result<()> {
        match file_length_max() {
            Some(max) if bytes > max => Err(longer_than(max)),
            _ => Ok(()),
        }
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
        self.write_all_at(bytes, offset).map_err(name_limit)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(self, FallocateFlags::empty(), 0, bytes)) {
            // Not every file system can reserve room; there, writing the zeros shows whether it suffices.
            Err(Errno::OPNOTSUPP) => Ok(()),
            other => other.map_err(|error| name_limit(error.into())),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Returns the system's limit on the length of a file (`RLIMIT_FSIZE`), in bytes, if there is one.
fn file_length_max() -> Option<u64> {
    rlimit::Resource::FSIZE.get_soft().ok().filter(|&max| max != rlimit::INFINITY)
}

/// Adds the limit on the length of a file to the error of a write beyond it.
fn name_limit(error: io::Error) -> io::Error {
    match file_length_max() {
        Some(max) if error.kind() == io::ErrorKind::FileTooLarge => longer_than(max),
        _ => error,
    }
}

fn longer_than(max: u64) -> io::Error {
    let what = format!("the limit on the length of a file (ulimit -f) is {max} bytes");
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

/// Returns a name that begins with `stem` and that no file has.
pub(super) fn free_name<D: Disk>(disk: &D, stem: &str) -> Result<String, LogError> {
    let existing = disk.list().doing("list", || disk.path(""))?;
    let mut names = (1..=u32::MAX).map(|number| format!("{stem}-{number}"));
    Ok(names.find(|name| !existing.contains(name)).expect("a directory has fewer than 2^32 names"))
}

/// Writes a copy to a new file whose name begins with `stem`, and returns the name. The contents are durable
/// afterwards, the name is not. If there is no room for the whole copy, no part of it stays.
pub(super) fn keep_copy<D: Disk>(disk: &D, stem: &str, bytes: &[u8]) -> Result<String, LogError> {
    let name = free_name(disk, stem)?;
    let written = disk.create(&name).and_then(|file| {
        file.write_at(bytes, 0)?;
        file.sync()
    });
    match written.doing("write", || disk.path(&name)) {
        Ok(()) => Ok(name),
        Err(error) => {
            if error.is_no_room() {
                remove_if_there(disk, &name)?;
            }
            Err(error)
        }
    }
}

/// Removes a file, if it exists.
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

    /// Each holder removes the file that it has locked, while others try to lock it.
    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().expect("made");
        let (holders, locked) = (AtomicU32::new(0), AtomicU32::new(0));
        let contend = || {
            while locked.load(Ordering::SeqCst) < 3_000 {
                let Ok(lock) = RealDisk::lock(dir.path()) else { continue };
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "held twice");
                locked.fetch_add(1, Ordering::SeqCst);
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
