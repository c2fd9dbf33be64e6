//! A simulated file's bytes: in the page cache, on the platter, and between the two.

use std::ops::Range;

use super::chance::Chance;

/// Bytes that a disk writes wholly or not at all.
pub(in crate::log) const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct Contents {
    /// The file's name, or its last name if it was removed.
    pub(super) name: String,
    /// The bytes that a read sees.
    cache: Vec<u8>,
    /// The bytes that the platter holds for certain.
    durable: Vec<u8>,
    /// The sectors written since, oldest first; any of them may have reached the platter.
    pending: Vec<Version>,
    /// The lengths that the file has grown to since; any of them may have reached the platter.
    lengths: Vec<usize>,
}

struct Version {
    sector: usize,
    bytes: [u8; SECTOR_BYTES],
}

impl Contents {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub(super) fn cache(&self) -> &[u8] {
        &self.cache
    }

    /// Changes the file without a call, durably.
    pub(super) fn alter(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.cache);
        self.durable.clone_from(&self.cache);
        self.pending.clear();
        self.lengths.clear();
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        self.write_some(bytes, offset, || true);
    }

    /// Writes the sectors that are chosen.
    pub(super) fn write_some(&mut self, bytes: &[u8], offset: usize, mut chosen: impl FnMut() -> bool) {
        for piece in pieces(offset..offset + bytes.len()) {
            if chosen() {
                self.write_piece(&bytes[piece.start - offset..piece.end - offset], piece.start);
            }
        }
    }

    fn write_piece(&mut self, bytes: &[u8], start: usize) {
        let end = start + bytes.len();
        self.grow(end);
        self.cache[start..end].copy_from_slice(bytes);
        let sector = start / SECTOR_BYTES;
        let version = sector_of(&self.cache, sector);
        let latest = self.pending.iter().rev().find(|older| older.sector == sector);
        let same = match latest {
            Some(older) => older.bytes == version,
            None => sector_of(&self.durable, sector) == version,
        };
        if !same {
            self.pending.push(Version { sector, bytes: version });
        }
    }

    pub(super) fn grow(&mut self, len: usize) {
        if len > self.cache.len() {
            self.cache.resize(len, 0);
            self.lengths.push(len);
        }
    }

    /// Moves everything to the platter.
    pub(super) fn sync(&mut self) {
        if let Some(&len) = self.lengths.last() {
            self.durable.resize(len.max(self.durable.len()), 0);
        }
        self.lengths.clear();
        for version in std::mem::take(&mut self.pending) {
            // A length that was lost with a failed sync comes back with the sectors written since.
            let end = self.cache.len().min((version.sector + 1) * SECTOR_BYTES);
            self.durable.resize(end.max(self.durable.len()), 0);
            put_sector(&mut self.durable, &version);
        }
    }

    /// Moves any part of what was not synced to the platter, in any order; the rest never gets there. The
    /// cache stays as it is: after EIO the kernel marks its pages clean.
    pub(super) fn settle(&mut self, chance: &mut Chance) {
        let lengths = std::mem::take(&mut self.lengths);
        if let Some(chosen) = chance.below(lengths.len() + 1).checked_sub(1) {
            self.durable.resize(lengths[chosen], 0);
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|version| version.sector);
        for versions in pending.chunk_by(|one, other| one.sector == other.sector) {
            if let Some(chosen) = chance.below(versions.len() + 1).checked_sub(1) {
                put_sector(&mut self.durable, &versions[chosen]);
            }
        }
    }

    /// Cuts the power: what has not reached the platter is lost.
    pub(super) fn crash(&mut self, chance: &mut Chance) {
        self.settle(chance);
        self.cache.clone_from(&self.durable);
    }
}

/// Splits a range of a file where sectors begin.
fn pieces(stretch: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = stretch.start;
    std::iter::from_fn(move || {
        let end = stretch.end.min((start / SECTOR_BYTES + 1) * SECTOR_BYTES);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR_BYTES] {
    let mut copy = [0; SECTOR_BYTES];
    let there = bytes.get(sector * SECTOR_BYTES..).unwrap_or_default();
    let len = there.len().min(SECTOR_BYTES);
    copy[..len].copy_from_slice(&there[..len]);
    copy
}

/// Writes a sector, as far as the file reaches.
fn put_sector(file: &mut [u8], version: &Version) {
    let there = file.get_mut(version.sector * SECTOR_BYTES..).unwrap_or_default();
    let len = there.len().min(SECTOR_BYTES);
    there[..len].copy_from_slice(&version.bytes[..len]);
}
