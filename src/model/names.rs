//! Usernames in order, for look-ups by the beginning of a name. Case does not count.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::directory::UserIndex;

/// All usernames in the order of their folded forms. Names of the same form are in the order in which the users
/// were added.
#[derive(Debug, Default)]
pub(super) struct NamesInOrder(BTreeSet<OrderedName>);

impl NamesInOrder {
    pub(super) fn insert(&mut self, name: &Arc<str>, user: UserIndex) {
        self.0.insert(OrderedName::new(Arc::clone(name), user));
    }

    pub(super) fn remove(&mut self, name: &Arc<str>, user: UserIndex) {
        self.0.remove(&OrderedName::new(Arc::clone(name), user));
    }

    /// Returns the users whose names begin with `prefix`, in order.
    pub(super) fn beginning_with(&self, prefix: &str) -> impl Iterator<Item = UserIndex> {
        let first = OrderedName::new(prefix.into(), UserIndex::from_u32(0));
        let names = self.0.range(first..);
        let begins = |name: &&OrderedName| begins_with(&name.name, prefix);
        names.take_while(begins).map(|name| name.user)
    }
}

/// A name by the order of its folded form.
#[derive(Debug)]
struct OrderedName {
    /// The first bytes of the folded form. They decide most comparisons, without a look at the name.
    begin: [u8; 8],
    user: UserIndex,
    name: Arc<str>,
}

impl OrderedName {
    fn new(name: Arc<str>, user: UserIndex) -> Self {
        let mut begin = [0; 8];
        let folded: String = folded(&name).take(begin.len()).collect();
        begin.iter_mut().zip(folded.bytes()).for_each(|(to, byte)| *to = byte);
        Self { begin, user, name }
    }
}

impl Ord for OrderedName {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_name = || {
            // Each character is folded by itself, so what is equal before folding need not be folded.
            let (name, other) = without_common_beginning(&self.name, &other.name);
            folded(name).cmp(folded(other))
        };
        self.begin.cmp(&other.begin).then_with(by_name).then(self.user.cmp(&other.user))
    }
}

impl PartialOrd for OrderedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedName {}

fn without_common_beginning<'n>(name: &'n str, other: &'n str) -> (&'n str, &'n str) {
    let mut common = name.bytes().zip(other.bytes()).take_while(|(byte, other)| byte == other).count();
    while !(name.is_char_boundary(common) && other.is_char_boundary(common)) {
        common -= 1;
    }
    (&name[common..], &other[common..])
}

fn begins_with(name: &str, prefix: &str) -> bool {
    let mut name = folded(name);
    folded(prefix).all(|c| name.next() == Some(c))
}

/// Returns the characters without their case. The way over upper case makes `ß` equal to `ss`, and `ς` to `σ`, as
/// Unicode's case folding does; `ẞ` first becomes `ß`.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(names: &[&str]) -> NamesInOrder {
        let mut in_order = NamesInOrder::default();
        for (index, name) in names.iter().enumerate() {
            in_order.insert(&(*name).into(), UserIndex::from_len(index));
        }
        in_order
    }

    #[test]
    fn names_are_found_by_their_beginning_in_any_case() {
        let all = [
            "anna",
            "Ann",
            "ANN",
            "bob",
            "an",
            "Änne",
            "straße",
            "STRASSE 7",
            "STRAẞE 8",
            "Ὀδυσσεύς",
            "ὈΔΥΣΣΕΎΣ",
            "annabella of the long name",
            "Annabella",
            "an a",
        ];
        let in_order = names(&all);
        let found = |prefix: &str| -> Vec<_> {
            in_order.beginning_with(prefix).map(|user| all[user.as_usize()]).collect()
        };
        assert_eq!(found("ann"), ["Ann", "ANN", "anna", "Annabella", "annabella of the long name"]);
        assert_eq!(found("ANNABELLA"), ["Annabella", "annabella of the long name"]);
        assert_eq!(found("annabella OF"), ["annabella of the long name"]);
        assert_eq!(
            found("an"),
            ["an", "an a", "Ann", "ANN", "anna", "Annabella", "annabella of the long name"]
        );
        assert_eq!(found("ä"), ["Änne"]);
        assert_eq!(found("strass"), ["straße", "STRASSE 7", "STRAẞE 8"]);
        assert_eq!(found("ὀδυσσεύσ"), ["Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"]);
        assert!(found("annabella!").is_empty() && found("z").is_empty());
    }

    proptest! {
        #[test]
        fn a_look_up_agrees_with_a_search_through_all(
            all in prop::collection::vec("[aAbBßẞé ]{1,10}", 0..40),
            prefix in "[aAbBßẞé ]{1,9}",
        ) {
            let all: Vec<_> = all.iter().map(String::as_str).collect();
            let found: Vec<_> = names(&all).beginning_with(&prefix).map(UserIndex::as_usize).collect();
            let form = |text: &str| folded(text).collect::<String>();
            let mut expected: Vec<_> =
                (0..all.len()).filter(|&index| form(all[index]).starts_with(&form(&prefix))).collect();
            expected.sort_by_key(|&index| form(all[index]));
            prop_assert_eq!(found, expected);
        }
    }
}
