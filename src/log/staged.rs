//! A log that is published as a whole: a server sees all of its events, or no log.
//!
//! The log is written in a directory inside the data directory that the server ignores. Then its segments are
//! moved to their place, and the first segment is moved last.

use std::path::{Path, PathBuf};

use super::LogError;
use super::chain;
use super::disk::{Disk, ReadDisk, RealDisk};
use super::error::Context;
use super::file_log::FileLog;
use super::segment;
use crate::domain::Position;

const UNFINISHED: &str = "import-unfinished";

/// A log that is being written for a data directory. If it is dropped before it is
/// [published](Self::publish), nothing of it is left behind.
pub struct StagedLog {
    /// The data directory, locked.
    disk: RealDisk,
    dir: PathBuf,
    created: CreatedPaths,
    published: bool,
}

/// The paths that did not exist before.
struct CreatedPaths {
    lock: bool,
    /// The data directory and its parents, innermost first.
    dirs: Vec<PathBuf>,
}

impl StagedLog {
    /// Locks the directory, which is created if it is missing, and removes what a killed import has left in
    /// it.
    ///
    /// # Errors
    ///
    /// [`LogError::HoldsLog`], or an error of [`RealDisk::lock`].
    pub fn begin(dir: &Path) -> Result<Self, LogError> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let dirs = dir.ancestors().take_while(missing).map(Path::to_owned).collect();
        let created = CreatedPaths { lock: !dir.join("LOCK").exists(), dirs };
        let staged = Self { disk: RealDisk::lock(dir)?, dir: dir.to_owned(), created, published: false };
        staged.clear()?;
        Ok(staged)
    }

    /// Creates the empty log, with segments of this length.
    ///
    /// # Errors
    ///
    /// Its directory cannot be created.
    pub fn log(&self, segment_bytes: u64) -> Result<FileLog<RealDisk>, LogError> {
        Ok(FileLog::new(RealDisk::lock(&self.unfinished())?, segment_bytes))
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(UNFINISHED)
    }

    /// Removes the files of an import that was killed or is given up.
    ///
    /// **Invariant:** segments whose first one is still in the unfinished directory were left by an import
    /// that was killed while it moved them. All other segments are a log.
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

    /// Moves the log to its place, durably. The [log](Self::log) itself must have been dropped.
    ///
    /// # Errors
    ///
    /// The file system failed.
    pub fn publish(mut self) -> Result<(), LogError> {
        let unfinished = self.unfinished();
        let from = RealDisk::lock(&unfinished)?;
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
        // The log is in place, whether or not the rest succeeds.
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
            Err(error) => tracing::warn!("failed to remove an unfinished import: {error}"),
        }
        if self.created.lock {
            let lock = self.dir.join("LOCK");
            note(&lock, std::fs::remove_file(&lock));
        }
        for dir in &self.created.dirs {
            note(dir, std::fs::remove_dir(dir));
        }
        if let Some(failed) = failed {
            tracing::warn!("failed to remove an unfinished import: {failed}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::user_added;
    use crate::log::{EventLog, Frame, LogReader, Progress, Replay};
    use std::collections::BTreeSet;

    const SEGMENT_BYTES: u64 = 65_536;

    /// Returns all files below a directory.
    fn files(dir: &Path) -> BTreeSet<PathBuf> {
        let entries =
            std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { [path].into() }).collect()
    }

    /// Writes a log of three segments, to be published.
    fn staged(dir: &Path) -> StagedLog {
        let staged = StagedLog::begin(dir).expect("empty");
        let mut log = staged.log(SEGMENT_BYTES).expect("made");
        log.make_ready().expect("empty");
        for first in [1, 701, 1_401] {
            let mut frame = Frame::new(Position(first));
            (first..first + 700).for_each(|number| frame.push(&user_added(number)));
            log.append(&mut frame).expect("room");
        }
        staged
    }

    /// Returns the position of the last event.
    fn last(dir: &Path) -> Result<u64, LogError> {
        let (reader, progress) = (LogReader::open(dir)?, Progress::default());
        let mut walk = reader.walk(&progress);
        while walk.next_frame()?.is_some() {}
        Ok(walk.into_contents().last.0)
    }

    #[test]
    fn a_published_log_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().expect("made");
        let data = dir.path().join("some/where");
        let staged = staged(&data);
        assert_eq!(last(&data).expect("read"), 0, "nothing is there before");
        staged.publish().expect("published");
        assert_eq!(last(&data).expect("sound"), 2_100);
        let others: Vec<_> = files(&data).into_iter().filter(|file| !file.ends_with("LOCK")).collect();
        assert!(others.iter().all(|file| file.extension().is_some_and(|extension| extension == "log")));
        assert!(matches!(StagedLog::begin(&data), Err(LogError::HoldsLog { .. })));
        assert_eq!(last(&data).expect("still there"), 2_100);
    }

    #[test]
    fn a_log_that_is_not_published_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("made");
        drop(staged(&dir.path().join("some/where")));
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0, "as it was");
        std::fs::write(dir.path().join("notes.txt"), "mine").expect("written");
        drop(staged(dir.path()));
        assert_eq!(files(dir.path()), [dir.path().join("notes.txt")].into());
        drop(RealDisk::lock(dir.path()).expect("free"));
        drop(staged(dir.path()));
        assert_eq!(files(dir.path()).len(), 2, "a lock that was there stays");
    }

    /// Ends as a killed process does: nothing is removed.
    fn kill(mut staged: StagedLog) {
        staged.published = true;
    }

    #[test]
    fn the_next_import_removes_what_a_killed_one_left() {
        let moved_counts = [0, 1, 2];
        for moved in moved_counts {
            let dir = tempfile::tempdir().expect("made");
            kill(staged(dir.path()));
            let unfinished = dir.path().join(UNFINISHED);
            let mut segments: Vec<_> =
                files(&unfinished).into_iter().filter(|file| file.extension().is_some()).collect();
            assert_eq!(segments.len(), moved_counts.len());
            for segment in segments.drain(1..).rev().take(moved) {
                let name = segment.file_name().expect("a file");
                std::fs::rename(&segment, dir.path().join(name)).expect("moved");
            }
            drop(StagedLog::begin(dir.path()).expect("removed"));
            assert_eq!(files(dir.path()), [dir.path().join("LOCK")].into(), "{moved} moved");
        }
    }

    #[test]
    fn the_first_segment_is_moved_after_all_others() {
        for obstacle in [701, 1_401] {
            let dir = tempfile::tempdir().expect("made");
            let staged = staged(dir.path());
            let in_the_way = dir.path().join(segment::file_name(Position(obstacle)));
            std::fs::create_dir(&in_the_way).expect("made");
            staged.publish().expect_err("in the way");
            assert!(!dir.path().join(segment::file_name(Position(1))).exists(), "{obstacle}");
        }
    }

    #[test]
    fn a_log_begun_beside_a_killed_import_is_a_log() {
        let dir = tempfile::tempdir().expect("made");
        kill(staged(dir.path()));
        let mut log = FileLog::new(RealDisk::lock(dir.path()).expect("free"), SEGMENT_BYTES);
        log.make_ready().expect("empty");
        let mut frame = Frame::new(Position(1));
        frame.push(&user_added(1));
        log.append(&mut frame).expect("room");
        drop(log);
        assert!(matches!(StagedLog::begin(dir.path()), Err(LogError::HoldsLog { .. })));
        assert_eq!(last(dir.path()).expect("sound"), 1);
    }

    #[test]
    fn segments_without_the_first_are_a_log_if_no_import_left_them() {
        let dir = tempfile::tempdir().expect("made");
        staged(dir.path()).publish().expect("published");
        std::fs::remove_file(dir.path().join(segment::file_name(Position(1)))).expect("there");
        let before = files(dir.path());
        assert!(matches!(StagedLog::begin(dir.path()), Err(LogError::HoldsLog { .. })));
        assert_eq!(files(dir.path()), before);
    }
}
