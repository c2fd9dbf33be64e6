//! A disk in memory for the log's tests: what was synced, what was not, and faults on demand.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};

/// A disk whose clones are the same disk.
#[derive(Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Names as they are, and as they would be after a crash.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    /// Room for so many bytes more; none is no limit.
    room: Option<u64>,
    fault: Option<Fault>,
    /// What was asked of it, in order.
    calls: Vec<String>,
}

#[derive(Default, Clone)]
struct Contents {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

/// A call that will fail once, with EIO.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Write,
    Sync,
}

impl SimDisk {
    pub(super) fn set_room(&self, room: Option<u64>) {
        self.0.lock().room = room;
    }

    pub(super) fn fail_next(&self, fault: Fault) {
        self.0.lock().fault = Some(fault);
    }

    /// The power goes: what was not synced is gone.
    pub(super) fn crash(&self) {
        let mut state = self.0.lock();
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            file.bytes = file.durable.clone();
        }
    }

    pub(super) fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock();
        state.files[state.names[name]].bytes.clone()
    }

    /// Changes a file behind the log's back, durably.
    pub(super) fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let index = state.names[name];
        let file = &mut state.files[index];
        change(&mut file.bytes);
        file.durable = file.bytes.clone();
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// What was asked since the last time.
    pub(super) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().calls)
    }
}

impl State {
    fn call(&mut self, what: &str, name: &str) {
        self.calls.push(format!("{what} {name}"));
    }

    fn take_room(&mut self, bytes: u64) -> io::Result<()> {
        let Some(room) = self.room else { return Ok(()) };
        self.room = Some(room.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?);
        Ok(())
    }

    fn fail_if(&mut self, fault: Fault) -> io::Result<()> {
        if self.fault == Some(fault) {
            self.fault = None;
            return Err(io::Error::other("EIO"));
        }
        Ok(())
    }
}

pub(super) struct SimFile {
    disk: SimDisk,
    index: usize,
}

impl SimFile {
    /// The file's name as it is at the time; files are renamed while open.
    fn name(&self) -> String {
        let state = self.disk.0.lock();
        let name = state.names.iter().find(|(_, index)| **index == self.index).map(|(name, _)| name.clone());
        name.unwrap_or_default()
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let index = *self.0.lock().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { disk: self.clone(), index })
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.0.lock();
        state.call("create", name);
        state.files.push(Contents::default());
        let index = state.files.len() - 1;
        state.names.insert(name.to_owned(), index);
        Ok(SimFile { disk: self.clone(), index })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call("rename", to);
        let index = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), index);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.names.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.call("sync", "directory");
        state.fail_if(Fault::Sync)?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("sim").join(name)
    }
}

impl DiskFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.index].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let name = self.name();
        let mut state = self.disk.0.lock();
        state.call("read", &name);
        let start = usize::try_from(offset).expect("small");
        let bytes = state.files[self.index].bytes.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let name = self.name();
        let mut state = self.disk.0.lock();
        state.call("write", &name);
        state.fail_if(Fault::Write)?;
        let start = usize::try_from(offset).expect("small");
        let end = start + bytes.len();
        let growth = end.saturating_sub(state.files[self.index].bytes.len());
        state.take_room(growth as u64)?;
        let file = &mut state.files[self.index];
        file.bytes.resize(file.bytes.len().max(end), 0);
        file.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let fits = state.room.is_none_or(|room| bytes <= room);
        if fits { Ok(()) } else { state.take_room(bytes) }
    }

    fn sync(&self) -> io::Result<()> {
        let name = self.name();
        let mut state = self.disk.0.lock();
        state.call("sync", &name);
        state.fail_if(Fault::Sync)?;
        let file = &mut state.files[self.index];
        file.durable = file.bytes.clone();
        Ok(())
    }
}
