//! A disk in memory for the log's tests, which may behave as badly as a real one.
//!
//! Any part of what was not synced survives a crash, in any order, sector by sector; the same holds for names
//! until the directory is synced. A write can be cut short. After EIO the page cache shows, marked clean,
//! what the platter does not hold. Room runs out at any byte. A crash, or the end of the process alone, can
//! be set for any call.
//!
//! The simulation relies on two promises of a real disk: a sector is written wholly or not at all, and a
//! rename is one change.

mod chance;
mod contents;
mod file;
mod names;
mod state;
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub(crate) use chance::Chance;
use state::{State, eio, stopped};

use crate::log::{Disk, ReadDisk};

/// A disk whose clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// A call that was made to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) what: &'static str,
    pub(crate) name: String,
}

/// A call that will fail once, with EIO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Write,
    Sync,
}

/// A stop in the middle of a call, of the machine or of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The machine: the page cache is lost. [`SimDisk::crash`] starts it again.
    Machine,
    /// The process: the page cache stays. [`SimDisk::restart`] starts another process.
    Process,
}

/// Calls that count towards a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Among {
    All,
    /// Those that may change what is on the disk.
    Changes,
}

/// A call that the disk acknowledges without doing it, as if the log had not made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    SegmentSync,
    HeaderSync,
    DirectorySync,
    /// A write to a segment of anything but zeros.
    SegmentWrite,
    /// A write to a segment of zeros.
    SegmentZeroing,
}

impl SimDisk {
    pub(crate) fn new(chance: Chance) -> Self {
        Self(Arc::new(Mutex::new(State { chance, ..State::default() })))
    }

    /// Creates a disk that holds these files, durably.
    pub(crate) fn with_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let disk = Self::default();
        {
            let mut state = disk.0.lock();
            for (name, bytes) in files {
                let index = state.add_file(name);
                state.files[index].alter(|empty| empty.extend_from_slice(bytes));
            }
            state.names.sync();
        }
        disk
    }

    /// Sets the source of its choices.
    pub(crate) fn set_chance(&self, chance: Chance) {
        self.0.lock().chance = chance;
    }

    /// Returns the source of its choices, for another disk.
    pub(crate) fn take_chance(&self) -> Chance {
        std::mem::take(&mut self.0.lock().chance)
    }

    /// Leaves room for `room` more bytes, or unlimited room.
    pub(crate) fn set_room(&self, room: Option<u64>) {
        let mut state = self.0.lock();
        let used = state.used();
        state.bytes_max = room.map(|room| used + usize::try_from(room).expect("small"));
    }

    /// Limits the length of a file that is written.
    pub(crate) fn set_file_bytes_max(&self, max: Option<u64>) {
        self.0.lock().file_bytes_max = max;
    }

    /// Sets the time that each sync of a file takes.
    pub(crate) fn set_sync_duration(&self, duration: Duration) {
        self.0.lock().sync_duration = duration;
    }

    pub(crate) fn set_cannot_allocate(&self, cannot: bool) {
        self.0.lock().cannot_allocate = cannot;
    }

    /// Sets whether a full disk may also refuse new names.
    pub(crate) fn set_names_need_room(&self, need: bool) {
        self.0.lock().names_need_room = need;
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        self.fail_after(Some((fault, 0)));
    }

    pub(crate) fn fail_after(&self, fault: Option<(Fault, usize)>) {
        self.0.lock().fault = fault;
    }

    /// Returns whether a call failed with EIO since the last crash or restart.
    pub(crate) fn eio_met(&self) -> bool {
        self.0.lock().eio_met
    }

    /// Ends the process or the machine in the middle of a call, after a number of calls.
    pub(crate) fn stop_after(&self, stop: Option<(Stop, usize, Among)>) {
        self.0.lock().stop = stop;
    }

    /// Returns the stop that has happened, and its call.
    pub(crate) fn stopped(&self) -> Option<(Stop, Call)> {
        self.0.lock().stopped.clone()
    }

    pub(crate) fn set_lie(&self, lie: Option<Lie>) {
        self.0.lock().lie = lie;
    }

    /// Cuts the power and turns it on again: any part of what was not synced is lost.
    pub(crate) fn crash(&self) {
        let mut state = self.0.lock();
        let State { names, files, chance, .. } = &mut *state;
        names.crash(chance);
        for file in files {
            file.crash(chance);
        }
        state.begin_again();
    }

    /// Starts another process on the same machine, which reads what was written.
    pub(crate) fn restart(&self) {
        self.0.lock().begin_again();
    }

    pub(crate) fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.files[state.names.get(name).expect("there")].cache().to_vec()
    }

    /// Changes a file without the log, durably.
    pub(crate) fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let index = state.names.get(name).expect("there");
        state.files[index].alter(change);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().names.all().map(|(name, _)| name.clone()).collect()
    }

    /// Returns the calls since the last time that read or changed something.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.0.lock().calls);
        calls.into_iter().map(|call| format!("{} {}", call.what, call.name)).collect()
    }
}

pub(crate) struct SimFile {
    disk: SimDisk,
    index: usize,
}

impl ReadDisk for SimDisk {
    type File = SimFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.lock().call_whole("list", "directory")?;
        Ok(self.names())
    }

    fn open_to_read(&self, name: &str) -> io::Result<SimFile> {
        self.open(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("sim").join(name)
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.0.lock();
        state.call_whole("open", name)?;
        let index = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { disk: self.clone(), index })
    }

    /// Puts a new file in place of one of that name: after a crash, that looks the same as emptying it.
    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.0.lock();
        if !state.call_for_name("create", name)? {
            return Err(stopped());
        }
        state.find_room_for_name()?;
        let index = state.add_file(name);
        state.answer().map(|()| SimFile { disk: self.clone(), index })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.call_for_name("rename", to)? {
            state.find_room_for_name()?;
            let index = state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.rename(from, to);
            to.clone_into(&mut state.files[index].name);
        }
        state.answer()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.call_for_name("remove", name)? {
            state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            state.names.remove(name);
        }
        state.answer()
    }

    /// Asks the system and not the disk, so it does not count as a call of the disk.
    fn check_length(&self, bytes: u64) -> io::Result<()> {
        let max = self.0.lock().file_bytes_max;
        if max.is_some_and(|max| bytes > max) { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    /// A disk cannot fail here, so it does not count as a call of the disk.
    fn is_named(&self, name: &str, file: &SimFile) -> io::Result<bool> {
        Ok(self.0.lock().names.get(name) == Some(file.index))
    }

    /// After EIO, the changes of names are not lost: they go through a journal, and a file system that cannot
    /// write its journal stops.
    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call_whole("sync", "directory")?;
        if state.fault_now(Fault::Sync) {
            return Err(eio());
        }
        if state.lie != Some(Lie::DirectorySync) {
            state.names.sync();
        }
        Ok(())
    }
}
