//! A sequence that grows without a pause: growth moves nothing that is in it.

use std::ops::{Index, IndexMut};

/// A sequence in pieces of equal capacity. It also leaves little memory unused.
#[derive(Debug, PartialEq)]
pub(super) struct Pieces<T>(Vec<Vec<T>>);

const ITEMS_PER_PIECE: usize = 4096;

impl<T> Pieces<T> {
    pub(super) fn push(&mut self, item: T) {
        if self.0.last().is_none_or(|piece| piece.len() == ITEMS_PER_PIECE) {
            self.0.push(Vec::with_capacity(ITEMS_PER_PIECE));
        }
        self.0.last_mut().expect("pushed if there was none").push(item);
    }

    pub(super) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * ITEMS_PER_PIECE + last.len())
    }

    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.0.len() * (ITEMS_PER_PIECE * size_of::<T>() + size_of::<Vec<T>>())
    }

    /// Returns the index of the first item for which `is_before` is false. It must be true for all items before
    /// that one, and false for all after it.
    pub(super) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let begun = self.0.partition_point(|piece| is_before(&piece[0]));
        let Some(last) = begun.checked_sub(1) else { return 0 };
        last * ITEMS_PER_PIECE + self.0[last].partition_point(is_before)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Index<usize> for Pieces<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.0[index / ITEMS_PER_PIECE][index % ITEMS_PER_PIECE]
    }
}

impl<T> IndexMut<usize> for Pieces<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.0[index / ITEMS_PER_PIECE][index % ITEMS_PER_PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_wherever_it_is() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.partition_point(|_: &usize| true), 0);
        let count = 2 * ITEMS_PER_PIECE + 1;
        (0..count).for_each(|number| pieces.push(number));
        for first in [0, 1, 4095, 4096, 4097, 8191, 8192, count] {
            assert_eq!(pieces.partition_point(|number| *number < first), first);
        }
    }

    #[test]
    fn items_stay_where_they_are() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.len(), 0);
        pieces.push(0);
        let first: *const usize = &raw const pieces[0];
        for number in 1..=3 * ITEMS_PER_PIECE {
            assert_eq!(pieces.len(), number);
            pieces.push(number);
        }
        pieces[ITEMS_PER_PIECE] += 7;
        assert_eq!(pieces[ITEMS_PER_PIECE], ITEMS_PER_PIECE + 7);
        assert!(pieces.iter().enumerate().all(|(at, item)| at == *item || at == ITEMS_PER_PIECE));
        assert_eq!(first, &raw const pieces[0]);
    }
}
