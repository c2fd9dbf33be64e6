//! What a disk was told, in order, as QEMU's blklogwrites wrote it down, and what a power cut makes of it.
//!
//! The format is that of Linux's dm-log-writes: a superblock, then entries, each of a header sector and, for a
//! write, its data. An entry stands there before the disk says that it is done.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Dice;

const MAGIC: &[u8] = b"rhswfsj\0";
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// All that was told.
pub struct WriteLog {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    sector: usize,
    sectors: usize,
    flags: u64,
    /// Where its data stands in the log.
    data: usize,
}

/// How many entries the log holds by now. What a flush made durable stands before that number, once it is done.
pub fn entries_so_far(log: &File) -> u64 {
    let mut superblock = [0; 24];
    log.read_exact_at(&mut superblock, 0).expect("a superblock");
    assert_eq!(&superblock[..8], MAGIC);
    u64_at(&superblock, 16)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

fn index(bytes: &[u8], offset: usize) -> usize {
    usize::try_from(u64_at(bytes, offset)).expect("64 bits")
}

impl WriteLog {
    /// Reads a log that is complete.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the log");
        assert_eq!(&bytes[..8], MAGIC);
        let mut entries = Vec::new();
        let mut at = SECTOR;
        for _ in 0..u64_at(&bytes, 16) {
            let (sector, sectors) = (index(&bytes, at), index(&bytes, at + 8));
            let flags = u64_at(&bytes, at + 16);
            entries.push(Entry { sector, sectors, flags, data: at + SECTOR });
            at += SECTOR + if flags & DISCARD == 0 { sectors * SECTOR } else { 0 };
        }
        Self { bytes, entries }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_flush(&self, entry: usize) -> bool {
        self.entries[entry].flags & FLUSH != 0
    }

    /// Does to the disk what stands in these entries.
    pub fn apply(&self, entries: std::ops::Range<usize>, disk: &mut [u8]) {
        for entry in &self.entries[entries] {
            for sector in 0..entry.sectors {
                self.apply_sector(entry, sector, disk);
            }
        }
    }

    /// Does of what stands in these entries what a disk may have done that lost its power: all that had to be durable
    /// at once, and of the rest each sector with this chance, in a hundred. Gives how many were kept and lost.
    pub fn apply_some(
        &self,
        entries: std::ops::Range<usize>,
        disk: &mut [u8],
        chance: u64,
        dice: &mut Dice,
    ) -> (usize, usize) {
        let (mut kept, mut lost) = (0, 0);
        for entry in &self.entries[entries] {
            for sector in 0..entry.sectors {
                if entry.flags & FUA != 0 || dice.below(100) < chance {
                    self.apply_sector(entry, sector, disk);
                    kept += 1;
                } else {
                    lost += 1;
                }
            }
        }
        (kept, lost)
    }

    fn apply_sector(&self, entry: &Entry, sector: usize, disk: &mut [u8]) {
        let to = (entry.sector + sector) * SECTOR;
        let target = &mut disk[to..to + SECTOR];
        if entry.flags & DISCARD == 0 {
            let from = entry.data + sector * SECTOR;
            target.copy_from_slice(&self.bytes[from..from + SECTOR]);
        } else {
            target.fill(0);
        }
    }
}
