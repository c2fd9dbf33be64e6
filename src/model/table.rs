//! A hash table that grows without a pause.

use hashbrown::HashTable;

/// A table by extendible hashing (Fagin et al., 1979): a bucket that is full splits in two, so an insertion
/// moves the items of one bucket at most. Most hash tables move all of their items when they grow.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// The number of the bucket for each value of the hash's last `depth` [bits](slot).
    directory: Vec<u32>,
    depth: u32,
    buckets: Vec<Bucket<T>>,
}

#[derive(Debug)]
struct Bucket<T> {
    /// Number of bits that the hashes of its items have in common.
    depth: u32,
    items: HashTable<T>,
}

/// Number of items in a full bucket: as many as a hash table of 1,024 places holds.
const ITEMS_PER_BUCKET: usize = 896;
/// Maximum depth, which bounds the directory whatever the hashes are. A bucket that is this deep grows like any
/// hash table; with good hashes, that begins at some 200 million items.
const DEPTH_MAX: u32 = 18;

/// Returns the place of a hash in a directory of this depth. These bits are not the ones that a bucket uses.
fn slot(hash: u64, depth: u32) -> usize {
    usize::try_from(hash >> 24 & ((1 << depth) - 1)).expect("a few bits")
}

impl<T> Table<T> {
    /// Returns the item with this hash that `is_it` accepts.
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let bucket = *self.directory.get(slot(hash, self.depth))?;
        self.buckets[bucket as usize].items.find(hash, is_it)
    }

    /// Inserts an item that is not in the table. `hash_of` returns the hash of an item that is.
    pub(super) fn insert(&mut self, hash: u64, item: T, hash_of: impl Fn(&T) -> u64) {
        if self.buckets.is_empty() {
            self.directory.push(0);
            self.buckets.push(Bucket { depth: 0, items: HashTable::new() });
        }
        loop {
            let number = self.directory[slot(hash, self.depth)];
            let bucket = &mut self.buckets[number as usize];
            if bucket.items.len() < ITEMS_PER_BUCKET || bucket.depth == DEPTH_MAX {
                bucket.items.insert_unique(hash, item, hash_of);
                return;
            }
            self.split(hash, &hash_of);
        }
    }

    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        let of_bucket = |bucket: &Bucket<T>| size_of::<Bucket<T>>() + bucket.items.allocation_size();
        4 * self.directory.len() + self.buckets.iter().map(of_bucket).sum::<usize>()
    }

    /// Splits the bucket of this hash.
    fn split(&mut self, hash: u64, hash_of: &impl Fn(&T) -> u64) {
        let number = self.directory[slot(hash, self.depth)];
        let bucket = &mut self.buckets[number as usize];
        let depth = bucket.depth;
        bucket.depth += 1;
        let (mut low, mut high) = (HashTable::new(), HashTable::new());
        for item in bucket.items.drain() {
            let item_hash = hash_of(&item);
            let half = if slot(item_hash, DEPTH_MAX) & 1 << depth == 0 { &mut low } else { &mut high };
            half.insert_unique(item_hash, item, hash_of);
        }
        bucket.items = low;
        let new = u32::try_from(self.buckets.len()).expect("the depth has a maximum");
        self.buckets.push(Bucket { depth: depth + 1, items: high });
        if depth == self.depth {
            self.directory.extend_from_within(..);
            self.depth += 1;
        }
        let first = slot(hash, depth) | 1 << depth;
        for bucket in self.directory.iter_mut().skip(first).step_by(2 << depth) {
            *bucket = new;
        }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { directory: Vec::new(), depth: 0, buckets: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn good(item: u32) -> u64 {
        foldhash::fast::FixedState::default().hash_one(item)
    }

    /// A hash whose bits for the directory are always the same, as an attacker might try to bring about.
    fn bad(item: u32) -> u64 {
        good(item) & !(((1 << DEPTH_MAX) - 1) << 24)
    }

    #[test]
    fn every_item_is_found_whatever_its_hash() {
        for (hash_of, items) in [(good as fn(u32) -> u64, 100_000), (bad, 20_000)] {
            let mut table = Table::default();
            for item in 0..items {
                assert_eq!(table.find(hash_of(item), |other| *other == item), None);
                table.insert(hash_of(item), item, |other| hash_of(*other));
            }
            for item in 0..items {
                assert_eq!(table.find(hash_of(item), |other| *other == item), Some(&item));
            }
            assert!(table.directory.len() <= 1 << DEPTH_MAX);
        }
    }

    #[test]
    fn no_bucket_holds_more_than_its_share() {
        let mut table = Table::default();
        (0..100_000).for_each(|item| table.insert(good(item), item, |other| good(*other)));
        let largest = table.buckets.iter().map(|bucket| bucket.items.len()).max();
        assert!(table.buckets.len() > 110 && largest <= Some(ITEMS_PER_BUCKET), "{largest:?}");
        let items: usize = table.buckets.iter().map(|bucket| bucket.items.len()).sum();
        assert_eq!(items, 100_000);
    }
}
