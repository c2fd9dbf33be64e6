//! A simulated directory: the file of each name, and the names that survive a crash.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::Chance;

/// Names, each with the index of its file.
#[derive(Default)]
pub(super) struct Names {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// The changes since, oldest first.
    pending: Vec<Change>,
}

enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn make(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, index) => {
                names.insert(name.clone(), *index);
            }
            Self::Rename(from, to) => {
                let index = names.remove(from).expect("the change before it was made");
                names.insert(to.clone(), index);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }

    fn names(&self) -> [&str; 2] {
        match self {
            Self::Create(name, _) | Self::Remove(name) => [name, name],
            Self::Rename(from, to) => [from, to],
        }
    }
}

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.now.get(name).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, usize)> {
        self.now.iter().map(|(name, &index)| (name, index))
    }

    pub(super) fn create(&mut self, name: &str, index: usize) {
        self.change(Change::Create(name.to_owned(), index));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.change(Change::Rename(from.to_owned(), to.to_owned()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Change::Remove(name.to_owned()));
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.now);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.now);
        self.pending.clear();
    }

    /// Cuts the power: each change since the last sync survives or not. A change survives only with the
    /// earlier changes of the same name.
    pub(super) fn crash(&mut self, chance: &mut Chance) {
        let mut undone = BTreeSet::new();
        let pending = std::mem::take(&mut self.pending);
        for change in &pending {
            let names = change.names();
            let possible = names.iter().all(|name| !undone.contains(name));
            if possible && chance.below(2) == 1 {
                change.make(&mut self.durable);
            } else {
                undone.extend(names);
            }
        }
        self.now.clone_from(&self.durable);
    }
}
