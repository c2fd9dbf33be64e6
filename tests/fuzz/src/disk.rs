//! A directory in memory for a log.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chinwag::log::{Disk, DiskFile, ReadDisk};

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<BTreeMap<String, Contents>>>);

pub struct MemoryFile(Contents);

impl MemoryDisk {
    /// Returns a directory with these files.
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| (name, Arc::new(Mutex::new(bytes))));
        Self(Arc::new(Mutex::new(files.collect())))
    }

    /// Returns all files with their contents.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.lock().unwrap();
        files.iter().map(|(name, bytes)| (name.clone(), bytes.lock().unwrap().clone())).collect()
    }
}

impl ReadDisk for MemoryDisk {
    type File = MemoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn open_to_read(&self, name: &str) -> io::Result<MemoryFile> {
        let files = self.0.lock().unwrap();
        files.get(name).map(|file| MemoryFile(Arc::clone(file))).ok_or(io::ErrorKind::NotFound.into())
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        self.open_to_read(name)
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let file = Contents::default();
        self.0.lock().unwrap().insert(name.to_owned(), Arc::clone(&file));
        Ok(MemoryFile(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.0.lock().unwrap().remove(name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn is_named(&self, name: &str, file: &MemoryFile) -> io::Result<bool> {
        Ok(self.0.lock().unwrap().get(name).is_some_and(|named| Arc::ptr_eq(named, &file.0)))
    }

    fn check_length(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let read = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(read);
        Ok(())
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + written.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(written);
        Ok(())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
