//! The epochs of a log, and the one in which each event was written.

use crate::domain::{Epoch, Position};

/// Where each epoch begins, in order. A log has one for each start of a server that wrote something.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Epochs {
    begins: Vec<(Position, Epoch)>,
}

impl Epochs {
    /// Begins an epoch at this position, unless it is the current one.
    pub(super) fn enter(&mut self, first: Position, epoch: Epoch) {
        let current = self.begins.last().map_or(Epoch::UNKNOWN, |&(_, epoch)| epoch);
        if epoch != current {
            self.begins.push((first, epoch));
        }
    }

    /// Returns the epoch of the event at this position.
    pub(super) fn at(&self, position: Position) -> Epoch {
        let begun = self.begins.partition_point(|&(first, _)| first <= position);
        begun.checked_sub(1).map_or(Epoch::UNKNOWN, |last| self.begins[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_of_the_epoch_begun_before_it() {
        // Given events 1 to 3 of no known epoch, then 4 to 6 of one, and 7 of another.
        let mut epochs = Epochs::default();
        for (position, epoch) in [(1, 0), (3, 0), (4, 8), (6, 8), (7, 9)] {
            epochs.enter(Position(position), Epoch(epoch));
        }
        // Then each position tells its own.
        let at = |position| epochs.at(Position(position)).0;
        assert_eq!([0, 1, 3, 4, 6, 7, 70].map(at), [0, 0, 0, 8, 8, 9, 9]);
    }
}
