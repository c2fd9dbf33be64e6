//! A hash table that grows without a pause.

use hashbrown::HashTable;

/// A hash table that is divided into shards. Each shard is a hash table that grows separately, so an insertion
/// moves the items of one shard at most.
///
/// A small table has only one shard, because empty shards also take memory.
#[derive(Debug)]
pub(super) struct Table<T>(Vec<HashTable<T>>);

/// Number of shards of a large table. With ten million items, each shard holds about 2,400.
const SHARDS: usize = 4096;
/// Maximum items of a table with one shard: the capacity of a hash table of 2,048 slots.
const ONE_SHARD_ITEMS_MAX: usize = 1_792;

impl<T> Table<T> {
    /// Returns the item with this hash that `is_it` accepts.
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.0[self.shard_of(hash)].find(hash, is_it)
    }

    /// Inserts an item that is not in the table. `hash_of` returns the hash of an item that is.
    pub(super) fn insert(&mut self, hash: u64, item: T, hash_of: impl Fn(&T) -> u64) {
        if let [only] = self.0.as_mut_slice()
            && only.len() == ONE_SHARD_ITEMS_MAX
        {
            let items = std::mem::take(only);
            self.0.resize_with(SHARDS, HashTable::new);
            for item in items {
                let hash = hash_of(&item);
                let shard = self.shard_of(hash);
                self.0[shard].insert_unique(hash, item, &hash_of);
            }
        }
        let shard = self.shard_of(hash);
        self.0[shard].insert_unique(hash, item, hash_of);
    }

    /// Removes the item with this hash that `is_it` accepts, if there is one.
    pub(super) fn remove(&mut self, hash: u64, is_it: impl FnMut(&T) -> bool) {
        let shard = self.shard_of(hash);
        if let Ok(found) = self.0[shard].find_entry(hash, is_it) {
            found.remove();
        }
    }

    /// Returns the number of the shard for this hash. It depends on bits that the shard itself does not use.
    fn shard_of(&self, hash: u64) -> usize {
        usize::try_from(hash >> 32).expect("32 bits") & (self.0.len() - 1)
    }

    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.0.iter().map(|shard| size_of_val(shard) + shard.allocation_size()).sum()
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(vec![HashTable::new()])
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn good(item: u32) -> u64 {
        foldhash::fast::FixedState::default().hash_one(item)
    }

    /// A hash that leaves all items in one shard.
    fn bad(item: u32) -> u64 {
        good(item) & u64::from(u32::MAX)
    }

    #[test]
    fn every_item_is_found_whatever_its_hash() {
        for hash_of in [good as fn(u32) -> u64, bad] {
            let mut table = Table::default();
            for item in 0..50_000 {
                assert_eq!(table.find(hash_of(item), |other| *other == item), None);
                table.insert(hash_of(item), item, |other| hash_of(*other));
            }
            for item in 0..50_000 {
                assert_eq!(table.find(hash_of(item), |other| *other == item), Some(&item));
            }
            for item in (0..50_000).step_by(2) {
                table.remove(hash_of(item), |other| *other == item);
            }
            for item in 0..50_000 {
                let found = table.find(hash_of(item), |other| *other == item);
                assert_eq!(found.is_some(), item % 2 == 1, "{item}");
            }
        }
    }

    #[test]
    fn no_insertion_moves_many_items() {
        let mut table = Table::default();
        for item in 0..200_000 {
            let moved = std::cell::Cell::new(0);
            table.insert(good(item), item, |other| {
                moved.set(moved.get() + 1);
                good(*other)
            });
            assert!(moved.get() <= 2 * ONE_SHARD_ITEMS_MAX, "{} at {item}", moved.get());
        }
        let shards: Vec<_> = table.0.iter().map(HashTable::len).collect();
        assert_eq!(shards.iter().sum::<usize>(), 200_000);
        assert!(shards.iter().max() < Some(&100), "{shards:?}");
    }
}
