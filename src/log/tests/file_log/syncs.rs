//! The writes and syncs of a log, and their order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{append, first_segment, reopened, several_segments};
use crate::log::tests::simulated_disk::{Fault, SimDisk};
use crate::log::{AppendError, Disk, LogError};

#[test]
fn an_appended_frame_survives_a_crash() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    append(&mut log, 2, 3).expect("room");
    disk.crash();
    let mut log = reopened(&disk, 4);
    append(&mut log, 5, 1).expect("room");
    disk.crash();
    reopened(&disk, 5);
}

#[test]
fn an_append_is_synced_and_a_new_segment_before_its_use() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    log.wait_for_spare();
    disk.take_calls();
    let name = first_segment();
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    let calls = disk.take_calls();
    let ours: Vec<_> =
        calls.iter().filter(|call| call.ends_with(&name) || call.contains("directory")).collect();
    let [rename, directory, write, sync] = ours.as_slice() else { panic!("{calls:?}") };
    assert_eq!(**rename, format!("rename {name}"));
    assert_eq!(**directory, "sync directory");
    assert_eq!((write.as_str(), sync.as_str()), (&*format!("write {name}"), &*format!("sync {name}")));
    append(&mut log, 2, 1).expect("room");
    assert_eq!(disk.take_calls(), [format!("write {name}"), format!("sync {name}")]);
}

#[test]
fn boot_syncs_the_log_before_it_reads_it() {
    let (disk, segments) = several_segments();
    disk.take_calls();
    let log = reopened(&disk, 2_500);
    drop(log);
    let calls = disk.take_calls();
    let last = segments.last().expect("several");
    assert_eq!(calls[..2], ["sync directory".to_owned(), format!("sync {last}")]);
    assert!(calls[2].starts_with("read "), "{calls:?}");
}

#[test]
fn boot_writes_the_last_frame_again_after_a_failed_sync() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    disk.fail_next(Fault::Sync);
    assert!(matches!(append(&mut log, 2, 1), Err(AppendError::Failed(_))));
    drop(log);
    disk.take_calls();
    reopened(&disk, 2);
    let name = first_segment();
    let calls: Vec<_> = disk.take_calls().into_iter().filter(|call| call.ends_with(&name)).collect();
    let step = |what: &str| format!("{what} {name}");
    assert_eq!(calls, [step("sync"), step("read"), step("write"), step("sync")]);
}

#[test]
fn a_failed_write_is_not_a_refusal() {
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    log.wait_for_spare();
    disk.fail_next(Fault::Write);
    assert!(matches!(append(&mut log, 2, 1), Err(AppendError::Failed(_))));
}

/// A frame that nobody would find is not acknowledged.
#[test]
fn an_append_to_a_segment_without_its_name_fails() {
    for is_replaced in [false, true] {
        let disk = SimDisk::default();
        let mut log = reopened(&disk, 0);
        append(&mut log, 1, 1).expect("room");
        disk.remove(&first_segment()).expect("there");
        if is_replaced {
            disk.create(&first_segment()).expect("room");
        }
        let failed = append(&mut log, 2, 1);
        assert!(matches!(&failed, Err(AppendError::Failed(LogError::Vanished { .. }))), "{failed:?}");
    }
}

/// The messages that were logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock())).expect("text")
    }
}

#[test]
fn a_slow_sync_is_logged() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let disk = SimDisk::default();
    let mut log = reopened(&disk, 0);
    append(&mut log, 1, 1).expect("room");
    logged.take();
    disk.set_sync_duration(Duration::from_millis(260));
    append(&mut log, 2, 1).expect("room");
    let warning = logged.take();
    assert!(warning.contains("WARN") && warning.contains("a sync of the log was slow sync_ms="), "{warning}");
}
