//! Texts as they are compared, and the words in them: one pass, however many words are looked for.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::Class;
use super::words::REASONS;

/// Lower case, one space between words, and no addresses: people call theirs `mailbox-full@`.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in text.split_whitespace().filter(|word| !word.contains('@')) {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain.to_lowercase()
}

/// The beginning of a text on one line.
pub(super) fn line(text: &str, most: usize) -> String {
    let words: Vec<_> = beginning(text, most).split_whitespace().collect();
    words.join(" ")
}

/// The beginning of a text, at most so many octets of it.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The first reason of the table that a plain text gives.
pub(super) fn reason(plain: &str) -> Option<(Class, &'static str)> {
    let found = TABLE.search.find_overlapping_iter(plain);
    let first = found.map(|word| TABLE.reasons[word.pattern()]).min()?;
    let reason = &REASONS[first];
    Some((reason.class, reason.name))
}

struct Table {
    search: AhoCorasick,
    /// By word: which reason it gives.
    reasons: Vec<usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let words = |(index, reason): (usize, &'static super::words::Reason)| {
        reason.words().map(move |word| (index, word))
    };
    let (reasons, words): (Vec<_>, Vec<_>) = REASONS.iter().enumerate().flat_map(words).unzip();
    let search = AhoCorasick::new(words).expect("the table is small");
    Table { search, reasons }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_without_case_addresses_and_line_ends() {
        let text = "Mailbox\r\n  <full@x.example>\tIS\u{a0}Full";
        assert_eq!(plain(text), "mailbox is full");
        assert_eq!(reason(&plain(text)), Some((Class::Soft, "full")));
        assert_eq!(reason(&plain("<mailbox-full@x.example>")), None);
    }

    #[test]
    fn the_first_reason_of_the_table_counts_wherever_it_stands() {
        let text = "no such user, because this is spam";
        assert_eq!(reason(text), Some((Class::Soft, "content")));
    }

    #[test]
    fn each_word_is_plain_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for word in REASONS.iter().flat_map(|reason| reason.words()) {
            assert!(word.len() > 2, "{word:?} is found everywhere");
            assert_eq!(plain(word), word);
            assert!(seen.insert(word), "{word:?} stands twice");
        }
    }

    #[test]
    fn no_more_is_kept_than_asked_for() {
        assert_eq!(line("a  b\r\ncd", 4), "a b");
        assert_eq!(beginning("aä", 2), "a");
        assert_eq!(beginning("a", 9), "a");
    }
}
