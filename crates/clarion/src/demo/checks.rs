//! What the demo did, beside what the platform says of it.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;

/// One figure from both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// What the demo itself did or knows.
    pub(crate) done: String,
    /// What the platform answers.
    pub(crate) reported: String,
}

impl Figure {
    pub(crate) fn agrees(&self) -> bool {
        self.done == self.reported
    }
}

/// Every figure, in the order it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// Puts what was done beside what is reported.
    pub(crate) fn compare(
        &mut self,
        name: impl Into<String>,
        done: impl Display,
        reported: impl Display,
    ) {
        self.0.push(Figure {
            name: name.into(),
            done: done.to_string(),
            reported: reported.to_string(),
        });
    }

    /// Compares two collections by name; a difference says which names are missing or too many.
    pub(crate) fn compare_names<D, R>(&mut self, name: impl Into<String>, done: D, reported: R)
    where
        D: IntoIterator<Item = String>,
        R: IntoIterator<Item = String>,
    {
        let (total, difference) = difference(done, reported);
        let reported = match difference.as_str() {
            "" => total.to_string(),
            difference => difference.to_owned(),
        };
        self.compare(name, total, reported);
    }

    pub(crate) fn all(&self) -> &[Figure] {
        &self.0
    }

    pub(crate) fn mismatches(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter().filter(|figure| !figure.agrees())
    }
}

/// How many names there ought to be, and how the others differ, as a sentence.
fn difference(
    done: impl IntoIterator<Item = String>,
    reported: impl IntoIterator<Item = String>,
) -> (usize, String) {
    let mut balance: BTreeMap<String, i64> = BTreeMap::new();
    let mut total = 0;
    for name in done {
        *balance.entry(name).or_default() += 1;
        total += 1;
    }
    for name in reported {
        *balance.entry(name).or_default() -= 1;
    }
    let missing = few(balance.iter().filter(|(_, left)| **left > 0));
    let surplus = few(balance.iter().filter(|(_, left)| **left < 0));
    let sentences = [("missing: ", missing), ("too many: ", surplus)];
    let said = sentences.into_iter().filter(|(_, names)| !names.is_empty());
    let said: Vec<String> = said.map(|(what, names)| format!("{what}{names}")).collect();
    (total, said.join("; "))
}

/// The first few names, and how many more there are.
fn few<'a>(names: impl Iterator<Item = (&'a String, &'a i64)>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    let shown = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn equal_figures_agree_and_different_ones_are_told() {
        let mut figures = Figures::default();
        figures.compare("opens", 3, 3);
        figures.compare("clicks", 2, 4);
        assert_eq!(figures.all().len(), 2);
        let wrong: Vec<_> = figures.mismatches().collect();
        assert_eq!(wrong.len(), 1);
        assert_eq!(
            (wrong[0].done.as_str(), wrong[0].reported.as_str()),
            ("2", "4")
        );
    }

    #[test]
    fn names_are_compared_without_their_order() {
        let mut figures = Figures::default();
        figures.compare_names("mailed", names(&["a", "b"]), names(&["b", "a"]));
        assert_eq!(figures.mismatches().count(), 0);
    }

    #[test]
    fn a_name_missing_twice_or_once_too_often_is_named() {
        let mut figures = Figures::default();
        figures.compare_names("mailed", names(&["a", "b", "c"]), names(&["a", "a", "b"]));
        let wrong: Vec<_> = figures.mismatches().collect();
        assert_eq!(
            (wrong[0].done.as_str(), wrong[0].reported.as_str()),
            ("3", "missing: c; too many: a")
        );
    }

    #[test]
    fn long_differences_are_cut() {
        let many: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let (total, said) = difference(many, []);
        assert_eq!(
            (total, said.as_str()),
            (9, "missing: 0, 1, 2, 3, 4 and 4 more")
        );
    }
}
