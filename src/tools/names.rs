//! The users or the chats of a history by names: how they are identified, and the names that they get.

use std::collections::HashMap;
use std::ops::Deref;

use crate::domain::InvalidValue;

/// Users or chats, numbered in the order in which they first appear. One that has a foreign id is identified
/// by it, and keeps the name that it has at first. The others are identified by their names.
pub(super) struct Names<N, I> {
    chars_max: usize,
    by_foreign_id: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
    /// For each name that was given, the last number that was put at its end.
    given: HashMap<String, u64>,
    all: Vec<Named<N, I>>,
    renamed: u64,
}

/// A name, and the id of what it names once that is added.
pub(super) struct Named<N, I> {
    pub(super) name: N,
    pub(super) id: Option<I>,
}

impl<N: TryFrom<String, Error = InvalidValue> + Deref<Target = str>, I> Names<N, I> {
    /// Names have at most this number of characters.
    pub(super) fn new(chars_max: usize) -> Self {
        let (by_foreign_id, by_name, given) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { chars_max, by_foreign_id, by_name, given, all: Vec::new(), renamed: 0 }
    }

    /// Returns the number of the user or chat with this foreign id, or of the one without an id that has this
    /// name.
    pub(super) fn number(&mut self, foreign_id: Option<String>, name: N) -> usize {
        let (numbers, key) = match foreign_id {
            Some(id) => (&mut self.by_foreign_id, id),
            None => (&mut self.by_name, name.to_string()),
        };
        if let Some(&number) = numbers.get(&key) {
            return number;
        }
        let number = self.all.len();
        numbers.insert(key, number);
        let name = self.free(name);
        self.all.push(Named { name, id: None });
        number
    }

    /// Returns the name if it is free, or otherwise the name with the first number at its end that makes it
    /// free.
    fn free(&mut self, name: N) -> N {
        let Some(&last) = self.given.get(&*name) else {
            self.given.insert(name.to_string(), 1);
            return name;
        };
        self.renamed += 1;
        let mut candidates = (last + 1..).map(|number| (number, numbered(&name, number, self.chars_max)));
        let (number, free) =
            candidates.find(|(_, name)| !self.given.contains_key(name)).expect("numbers do not end");
        self.given.insert(name.to_string(), number);
        self.given.insert(free.clone(), 1);
        N::try_from(free).expect("a name that fits, with a number at its end")
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the name and the id of a number.
    pub(super) fn named(&mut self, number: usize) -> &mut Named<N, I> {
        &mut self.all[number]
    }

    /// Returns how many got a number at the end of their names.
    pub(super) fn renamed(&self) -> u64 {
        self.renamed
    }
}

/// Returns the name with a number at its end. A long name loses its end.
fn numbered(name: &str, number: u64, chars_max: usize) -> String {
    let number = format!(" {number}");
    let kept: String = name.chars().take(chars_max - number.len()).collect();
    kept.trim_end().to_owned() + &number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Username;

    /// Returns the number and the name of each.
    fn numbers(given: &[(&str, &str)]) -> Vec<(usize, String)> {
        let mut names = Names::<Username, ()>::new(Username::CHARS_MAX);
        let number = |&(id, name): &(&str, &str)| {
            let id = (!id.is_empty()).then(|| id.to_owned());
            let number = names.number(id, Username::try_from(name.to_owned()).expect("a name"));
            (number, names.named(number).name.to_string())
        };
        given.iter().map(number).collect()
    }

    fn expected(numbers: &[(usize, &str)]) -> Vec<(usize, String)> {
        numbers.iter().map(|&(number, name)| (number, name.to_owned())).collect()
    }

    #[test]
    fn an_id_identifies_a_user() {
        let given = [("1", "Anna"), ("2", "Anna"), ("1", "Anna B."), ("2", "Anna"), ("3", "Anna")];
        let told = [(0, "Anna"), (1, "Anna 2"), (0, "Anna"), (1, "Anna 2"), (2, "Anna 3")];
        assert_eq!(numbers(&given), expected(&told));
    }

    #[test]
    fn one_without_an_id_is_identified_by_name() {
        let given = [("1", "Anna"), ("", "Anna"), ("", "Anna"), ("Anna", "Bob"), ("", "Bob")];
        let told = [(0, "Anna"), (1, "Anna 2"), (1, "Anna 2"), (2, "Bob"), (3, "Bob 2")];
        assert_eq!(numbers(&given), expected(&told));
    }

    #[test]
    fn a_number_makes_no_name_that_is_taken() {
        let given = [("1", "Anna 2"), ("2", "Anna"), ("3", "Anna"), ("4", "Anna 2"), ("5", "Anna 3")];
        let told = [(0, "Anna 2"), (1, "Anna"), (2, "Anna 3"), (3, "Anna 2 2"), (4, "Anna 3 2")];
        assert_eq!(numbers(&given), expected(&told));
    }

    #[test]
    fn a_long_name_makes_room_for_its_number() {
        let (long, spaced) = ("é".repeat(64), "é".repeat(61) + " éé");
        let given = [("1", &*long), ("2", &long), ("3", &spaced), ("4", &spaced)];
        let (long_2, spaced_2) = ("é".repeat(62) + " 2", "é".repeat(61) + " 2");
        assert_eq!(numbers(&given), expected(&[(0, &long), (1, &long_2), (2, &spaced), (3, &spaced_2)]));
    }
}
