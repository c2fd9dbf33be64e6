//! An open file of a simulated disk.

use std::io;

use super::state::{Extent, State, eio, stopped};
use super::{Fault, SimFile, Stop};
use crate::log::disk::DiskFile;

impl SimFile {
    fn call(&self, state: &mut State, what: &'static str) -> io::Result<Extent> {
        let name = state.files[self.index].name.clone();
        state.call(what, &name)
    }

    fn call_whole(&self, state: &mut State, what: &'static str) -> io::Result<()> {
        match self.call(state, what)? {
            Extent::Whole => Ok(()),
            Extent::Cut(_) => Err(stopped()),
        }
    }
}

impl State {
    /// Fails a write with EIO: the kernel loses some of its sectors, and any other pages of the file.
    fn fail_write(&mut self, index: usize, bytes: &[u8], offset: usize) -> io::Error {
        let Self { files, chance, .. } = self;
        files[index].write_some(bytes, offset, || chance.below(2) == 1);
        files[index].settle(chance);
        eio()
    }

    fn cut_write(&mut self, index: usize, bytes: &[u8], offset: usize, stop: Stop) -> io::Error {
        let Self { files, chance, .. } = self;
        // If the machine stops, the crash decides what reaches the platter.
        files[index].write_some(bytes, offset, || stop == Stop::Machine || chance.below(2) == 1);
        stopped()
    }
}

impl DiskFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        let mut state = self.disk.0.lock();
        self.call_whole(&mut state, "measure")?;
        Ok(state.files[self.index].cache().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        self.call_whole(&mut state, "read")?;
        let start = usize::try_from(offset).expect("small");
        let bytes = state.files[self.index].cache().get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let extent = self.call(&mut state, "write")?;
        let start = usize::try_from(offset).expect("small");
        let end = start + bytes.len();
        let fits = state.reach(self.index, end).saturating_sub(start).min(bytes.len());
        if let Extent::Cut(stop) = extent {
            return Err(state.cut_write(self.index, &bytes[..fits], start, stop));
        }
        if state.fault_now(Fault::Write) {
            return Err(state.fail_write(self.index, &bytes[..fits], start));
        }
        if state.lies_about_write(self.index, bytes) {
            return Ok(());
        }
        let below_max = state.file_bytes_max.map_or(bytes.len(), |max| {
            usize::try_from(max).expect("small").saturating_sub(start).min(bytes.len())
        });
        state.files[self.index].write(&bytes[..fits.min(below_max)], start);
        if below_max < fits {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let extent = self.call(&mut state, "allocate")?;
        let len = usize::try_from(bytes).expect("small");
        if state.file_bytes_max.is_some_and(|max| bytes > max) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !state.cannot_allocate {
            if state.reach(self.index, len) < len {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files[self.index].grow(len);
        }
        if extent == Extent::Whole { Ok(()) } else { Err(stopped()) }
    }

    fn sync(&self) -> io::Result<()> {
        let duration = self.disk.0.lock().sync_duration;
        std::thread::sleep(duration);
        let mut state = self.disk.0.lock();
        self.call_whole(&mut state, "sync")?;
        if state.fault_now(Fault::Sync) {
            let State { files, chance, .. } = &mut *state;
            files[self.index].settle(chance);
            return Err(eio());
        }
        if !state.lies_about_sync(self.index) {
            state.files[self.index].sync();
        }
        Ok(())
    }
}
