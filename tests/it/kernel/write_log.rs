//! The requests to a disk in their order, as QEMU's blklogwrites records them, and the disk that a power cut
//! leaves.
//!
//! The format is that of Linux's dm-log-writes: a superblock, then entries, each of a header sector and, for
//! a write, its data. An entry is recorded before the disk acknowledges its request.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Dice;

const MAGIC: &[u8] = b"rhswfsj\0";
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// All recorded requests.
pub struct WriteLog {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    sector: usize,
    sectors: usize,
    flags: u64,
    /// The offset of its data in the log.
    data: usize,
}

/// Returns the number of entries recorded so far. After a flush, everything that it made durable is among
/// them.
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

    /// Returns the number of sectors written between the last flush and this point.
    pub fn sectors_unflushed(&self, cut: usize) -> usize {
        let unflushed = self.entries[..cut].iter().rev().take_while(|entry| entry.flags & FLUSH == 0);
        unflushed.map(|entry| entry.sectors).sum()
    }

    pub fn is_flush(&self, entry: usize) -> bool {
        self.entries[entry].flags & FLUSH != 0
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

/// A disk that loses its power at one point of a log after the other.
pub struct FailingPower<'a> {
    log: &'a WriteLog,
    /// The disk with everything in the log before `flushed`, which is what was flushed before the last cut.
    disk: Vec<u8>,
    flushed: usize,
    /// Number of unflushed sectors that have survived.
    pub kept: usize,
    /// Number of unflushed sectors that are lost.
    pub lost: usize,
}

impl<'a> FailingPower<'a> {
    /// Begins with the disk as it was before the log.
    pub fn new(log: &'a WriteLog, base: &[u8]) -> Self {
        Self { log, disk: base.to_owned(), flushed: 0, kept: 0, lost: 0 }
    }

    /// Returns the disk that a power cut after `cut` entries leaves: everything up to the last flush, and any
    /// selection of the sectors written later. `cut` must not be less than that of the previous call.
    pub fn cut_after(&mut self, cut: usize, dice: &mut Dice) -> Vec<u8> {
        let flushed = (self.flushed..cut).rev().find(|&entry| self.log.is_flush(entry));
        if let Some(flush) = flushed {
            for entry in &self.log.entries[self.flushed..flush] {
                (0..entry.sectors).for_each(|sector| self.log.apply_sector(entry, sector, &mut self.disk));
            }
            self.flushed = flush;
        }
        let mut left = self.disk.clone();
        let chance = dice.choose(&[0, 10, 50, 90, 100]);
        for entry in &self.log.entries[self.flushed..cut] {
            for sector in 0..entry.sectors {
                if entry.flags & FUA != 0 || dice.below(100) < chance {
                    self.log.apply_sector(entry, sector, &mut left);
                    self.kept += 1;
                } else {
                    self.lost += 1;
                }
            }
        }
        left
    }
}
