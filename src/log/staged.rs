//! A log that is made whole before it is there: a server sees all of it, or none.
//!
//! It is made in a directory of its own inside the data directory, whose name the server does not know. Then its
//! segments are moved to their place, the first one last.

use std::path::{Path, PathBuf};

use super::LogError;
use super::chain;
use super::disk::{Disk, Files, RealDisk, remove_if_there};
use super::error::Context;
use super::files::FileLog;
use super::segment;
use super::spare::SPARE;
use crate::domain::Position;

const UNFINISHED: &str = "import-unfinished";

/// A data directory that a log is being made for. Dropped before it is [published](Self::publish), it leaves nothing
/// behind.
pub struct StagedLog {
    /// The data directory, locked.
    disk: RealDisk,
    dir: PathBuf,
    /// What was made on the way, innermost first.
    made: Made,
    published: bool,
}

/// What was not there before.
struct Made {
    lock: bool,
    /// The data directory and those around it, innermost first.
    dirs: Vec<PathBuf>,
}

impl StagedLog {
    /// Takes the directory, which is made if it is missing, and clears away what an import that was killed has left.
    ///
    /// # Errors
    ///
    /// [`LogError::HoldsLog`], or what [`RealDisk::lock`] fails with.
    pub fn begin(dir: &Path) -> Result<Self, LogError> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let dirs = dir.ancestors().take_while(missing).map(Path::to_owned).collect();
        let made = Made { lock: !dir.join("LOCK").exists(), dirs };
        let staged = Self { disk: RealDisk::lock(dir)?, dir: dir.to_owned(), made, published: false };
        staged.clear()?;
        Ok(staged)
    }

    /// The empty log, with segments of this length.
    ///
    /// # Errors
    ///
    /// Its directory cannot be made.
    pub fn log(&self, segment_bytes: u64) -> Result<FileLog<RealDisk>, LogError> {
        Ok(FileLog::new(RealDisk::lock(&self.unfinished())?, segment_bytes))
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(UNFINISHED)
    }

    /// **Invariant:** segments without the first of them, while that is still among the unfinished, are those of an
    /// import that was stopped while it moved them. All others are a log.
    fn clear(&self) -> Result<(), LogError> {
        let unfinished = self.unfinished();
        let segments = chain::segments(&self.disk)?;
        let first_is_unfinished = unfinished.join(segment::file_name(Position(1))).exists();
        if segments.contains(&Position(1)) || !(segments.is_empty() || first_is_unfinished) {
            return Err(LogError::HoldsLog { dir: self.dir.clone() });
        }
        for segment in segments {
            let name = segment::file_name(segment);
            self.disk.remove(&name).doing("remove", || self.disk.path(&name))?;
        }
        self.disk.sync().doing("sync", || self.dir.clone())?;
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).doing("remove", || unfinished)?;
        }
        Ok(())
    }

    /// Puts the log in place, durably. It must have been dropped.
    ///
    /// # Errors
    ///
    /// The file system failed.
    pub fn publish(mut self) -> Result<(), LogError> {
        let unfinished = self.unfinished();
        let from = RealDisk::lock(&unfinished)?;
        remove_if_there(&from, SPARE)?;
        let segments = chain::segments(&from)?;
        for &segment in segments.iter().rev() {
            if segment == Position(1) {
                self.disk.sync().doing("sync", || self.dir.clone())?;
            }
            let name = segment::file_name(segment);
            let to = self.dir.join(&name);
            std::fs::rename(from.path(&name), &to).doing("rename to", || to)?;
        }
        self.disk.sync().doing("sync", || self.dir.clone())?;
        // The log is there, whatever becomes of the rest.
        self.published = true;
        std::fs::remove_dir_all(&unfinished).doing("remove", || unfinished)
    }
}

impl Drop for StagedLog {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let mut failed = None;
        let mut note = |path: &Path, removed: std::io::Result<()>| {
            if let Err(error) = removed {
                failed.get_or_insert_with(|| format!("{}: {error}", path.display()));
            }
        };
        match self.clear() {
            Ok(()) | Err(LogError::HoldsLog { .. }) => {}
            Err(error) => tracing::warn!("failed to clear an import away: {error}"),
        }
        if self.made.lock {
            let lock = self.dir.join("LOCK");
            note(&lock, std::fs::remove_file(&lock));
        }
        for dir in &self.made.dirs {
            note(dir, std::fs::remove_dir(dir));
        }
        if let Some(failed) = failed {
            tracing::warn!("failed to clear an import away: {failed}");
        }
    }
}
