//! A log that is made whole before it is there: a server sees all of it, or none.
//!
//! It is made in a directory of its own inside the data directory, whose name the server does not know. Then its
//! segments are moved to their place, the first one last.

use std::path::{Path, PathBuf};

use super::LogError;
use super::chain;
use super::disk::{Disk, Files, RealDisk};
use super::error::Context;
use super::files::FileLog;
use super::segment;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::frame::tests::user_added;
    use crate::log::{EventLog, Frame, LogReader, Progress};
    use std::collections::BTreeSet;

    const SEGMENT_BYTES: u64 = 65_536;

    /// All files below a directory.
    fn files(dir: &Path) -> BTreeSet<PathBuf> {
        let entries =
            std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { [path].into() }).collect()
    }

    /// A log of three segments in the making.
    fn staged(dir: &Path) -> StagedLog {
        let staged = StagedLog::begin(dir).expect("empty");
        let mut log = staged.log(SEGMENT_BYTES).expect("made");
        log.replay(&Progress::default(), &mut |_| Ok(())).expect("empty");
        for first in [1, 701, 1_401] {
            let mut frame = Frame::new(Position(first));
            (first..first + 700).for_each(|number| frame.push(&user_added(number)));
            log.append(&mut frame).expect("room");
        }
        staged
    }

    fn last(dir: &Path) -> Result<u64, LogError> {
        LogReader::open(dir)?.walk(&Progress::default(), &mut |_| Ok(())).map(|contents| contents.last.0)
    }

    #[test]
    fn a_log_is_there_once_it_is_published_and_nothing_else_is() {
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

    /// Ends like a process that is killed: nothing is cleared away.
    fn kill(mut staged: StagedLog) {
        staged.published = true;
    }

    #[test]
    fn one_that_was_killed_anywhere_is_cleared_away_by_the_next() {
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
            drop(StagedLog::begin(dir.path()).expect("cleared away"));
            assert_eq!(files(dir.path()), [dir.path().join("LOCK")].into(), "{moved} moved");
        }
    }

    #[test]
    fn the_first_segment_is_put_in_place_when_all_others_are() {
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
    fn a_log_that_a_server_began_beside_one_that_was_killed_is_a_log() {
        let dir = tempfile::tempdir().expect("made");
        kill(staged(dir.path()));
        let mut log = FileLog::new(RealDisk::lock(dir.path()).expect("free"), SEGMENT_BYTES);
        log.replay(&Progress::default(), &mut |_| Ok(())).expect("empty");
        let mut frame = Frame::new(Position(1));
        frame.push(&user_added(1));
        log.append(&mut frame).expect("room");
        drop(log);
        assert!(matches!(StagedLog::begin(dir.path()), Err(LogError::HoldsLog { .. })));
        assert_eq!(last(dir.path()).expect("sound"), 1);
    }

    #[test]
    fn segments_that_no_import_left_are_a_log_even_without_the_first() {
        let dir = tempfile::tempdir().expect("made");
        staged(dir.path()).publish().expect("published");
        std::fs::remove_file(dir.path().join(segment::file_name(Position(1)))).expect("there");
        let before = files(dir.path());
        assert!(matches!(StagedLog::begin(dir.path()), Err(LogError::HoldsLog { .. })));
        assert_eq!(files(dir.path()), before);
    }
}
