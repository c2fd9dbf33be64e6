//! Files that are read again: when one of them has changed, and at SIGHUP.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TrySendError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::ServeError;
use crate::thread::{SpawnError, spawn};

/// Time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(2);

/// Files whose content the server uses, and their states before it has read them.
pub(super) struct WatchedFiles {
    paths: Vec<PathBuf>,
    seen: Vec<Option<FileState>>,
}

/// All that shows a change of a file, whether it is written, replaced by rename, or made readable.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFiles {
    /// Notes the states of the files. They must be read afterwards: a change between the two is then seen, and
    /// they are read once more.
    pub(super) fn note(paths: Vec<PathBuf>) -> Self {
        let seen = states(&paths);
        Self { paths, seen }
    }

    /// Calls `reload` whenever one of the files has changed, appeared or disappeared, and at each SIGHUP, until
    /// the runtime ends. It runs in a thread of its own, because a file system may hang.
    ///
    /// If `reload` fails, it is called again at the next look: what failed may have been the system. An error is logged
    /// once, and again if it is another one.
    ///
    /// # Errors
    ///
    /// The thread does not start, or the handler of the signal cannot be installed.
    pub(super) fn watch(
        self,
        reload: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> Result<(), ServeError> {
        let mut hangup = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
        let (hung_up, hangups) = mpsc::sync_channel(1);
        tokio::spawn(async move {
            // A signal that finds the channel full is answered by the reload that is waiting there.
            while hangup.recv().await.is_some()
                && !matches!(hung_up.try_send(()), Err(TrySendError::Disconnected(())))
            {}
        });
        Ok(self.watch_beside(hangups, INTERVAL, reload)?)
    }

    /// Starts the thread, which ends when nothing can come from `hangups` any more.
    fn watch_beside(
        mut self,
        hangups: Receiver<()>,
        interval: Duration,
        mut reload: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> Result<(), SpawnError> {
        let mut failed: Option<String> = None;
        let watching = spawn("reload", move || {
            loop {
                let is_asked = match hangups.recv_timeout(interval) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                // The states are noted before the files are read, as in `note`.
                let now = states(&self.paths);
                if is_asked || failed.is_some() || now != self.seen {
                    self.seen = now;
                    let error = reload().err();
                    if let Some(error) = error.as_ref().filter(|error| failed.as_ref() != Some(error)) {
                        tracing::error!("{error}");
                    }
                    failed = error;
                }
            }
        });
        watching.map(drop)
    }
}

fn states(paths: &[PathBuf]) -> Vec<Option<FileState>> {
    paths.iter().map(|path| state(path)).collect()
}

/// Returns `None` if there is no file, or if the directory cannot be searched. A symbolic link stands for the
/// file that it leads to.
fn state(path: &Path) -> Option<FileState> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileState {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::process::{Signal, getpid, kill_process};
    use tempfile::TempDir;

    use super::*;

    /// Reports each reload.
    fn reporter() -> (impl FnMut() -> Result<(), String> + Send + 'static, Receiver<()>) {
        let (reloaded, reloads) = mpsc::channel();
        (
            move || {
                // A test that has ended receives nothing.
                let _ = reloaded.send(());
                Ok(())
            },
            reloads,
        )
    }

    /// Waits for one reload, and sees that no other one follows.
    fn expect_one(reloads: &Receiver<()>, cause: &str) {
        reloads.recv_timeout(Duration::from_secs(20)).expect(cause);
        expect_quiet(reloads);
    }

    fn expect_quiet(reloads: &Receiver<()>) {
        assert!(reloads.recv_timeout(Duration::from_millis(20)).is_err(), "nothing has changed");
    }

    #[test]
    fn each_change_of_a_file_reloads_once() {
        let dir = TempDir::new().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let (first, second, link) = (path("first"), path("second"), path("link"));
        fs::write(&first, "old").expect("written");
        symlink(&first, &link).expect("linked");
        // Given two files, one of which is missing and the other one behind a link.
        let watched = WatchedFiles::note(vec![link.clone(), second.clone()]);
        let ((reload, reloads), (_hung_up, hangups)) = (reporter(), mpsc::channel());
        watched.watch_beside(hangups, Duration::from_millis(1), reload).expect("it watches");
        expect_quiet(&reloads);
        // When one of them is replaced by a file of the same length, it is read again.
        fs::write(path("new"), "new").expect("written");
        fs::rename(path("new"), &first).expect("renamed");
        expect_one(&reloads, "replaced");
        fs::set_permissions(&first, fs::Permissions::from_mode(0o600)).expect("set");
        expect_one(&reloads, "made readable");
        fs::write(&second, "").expect("written");
        expect_one(&reloads, "appeared");
        fs::remove_file(&link).expect("removed");
        expect_one(&reloads, "disappeared");
    }

    #[test]
    fn a_reload_that_failed_is_repeated() {
        let (reloaded, reloads) = mpsc::channel();
        let (hung_up, hangups) = mpsc::channel();
        let mut outcomes =
            [Err("the disk hangs".to_owned()), Err("the disk hangs".to_owned()), Ok(())].into_iter();
        let reload = move || {
            let _ = reloaded.send(());
            outcomes.next().expect("no more than three")
        };
        let watched = WatchedFiles::note(Vec::new());
        watched.watch_beside(hangups, Duration::from_millis(1), reload).expect("it watches");
        hung_up.send(()).expect("it watches");
        for _ in 0..2 {
            reloads.recv_timeout(Duration::from_secs(20)).expect("repeated");
        }
        expect_one(&reloads, "repeated until it succeeds");
    }

    #[test]
    fn a_change_before_the_watch_begins_is_seen() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "old").expect("written");
        let watched = WatchedFiles::note(vec![path.clone()]);
        fs::write(&path, "new content").expect("written");
        let ((reload, reloads), (_hung_up, hangups)) = (reporter(), mpsc::channel());
        watched.watch_beside(hangups, Duration::from_millis(1), reload).expect("it watches");
        expect_one(&reloads, "changed before the watch");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn each_hangup_reloads() {
        let (reload, reloads) = reporter();
        WatchedFiles::note(Vec::new()).watch(reload).expect("it watches");
        for _ in 0..2 {
            kill_process(getpid(), Signal::HUP).expect("signalled");
            reloads.recv_timeout(Duration::from_secs(20)).expect("reloaded");
        }
    }
}
