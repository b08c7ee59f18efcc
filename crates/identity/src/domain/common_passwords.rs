//! Passwords that are guessed first: those that turn up most often in breaches (from the lists of
//! zxcvbn, MIT licence) and what people make of them to please a rule. Only lengths that are
//! otherwise allowed are listed.

/// Sorted; the first character of a line says how many characters it shares with the one before.
const LIST: &str = include_str!("../common_passwords.txt");

/// Whether a password is one of them, however it is spelt. Reads the whole list, which takes a
/// small part of the time that its hash does, and keeps nothing in memory.
pub(crate) fn contains(password: &str) -> bool {
    let wanted = password.to_lowercase();
    let mut word = String::new();
    LIST.lines().any(|line| {
        let mut letters = line.chars();
        let shared = letters.next().and_then(|digit| digit.to_digit(36));
        let kept = word.char_indices().nth(shared.unwrap_or(0) as usize);
        word.truncate(kept.map_or(word.len(), |(at, _)| at));
        word.push_str(letters.as_str());
        word == wanted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guessed_first_is_listed_however_it_is_spelt() {
        for password in [
            "password",
            "Password1",
            "qwertyuiop",
            "iloveyou",
            "P@SSWORD",
            "12345678",
            "football1",
            "aaaaaaaa",
            "Summer2026!",
            "changeme",
            "letmein123",
            "contraseña",
        ] {
            assert!(contains(password), "{password}");
        }
    }

    #[test]
    fn what_is_not_common_is_not() {
        for password in [
            "correct horse battery",
            "seven lonely lighthouses",
            "a long enough password",
            "",
            "passwor",
            "3v]Kq0zr",
        ] {
            assert!(!contains(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_long_and_in_order() {
        let mut words: Vec<String> = Vec::new();
        for line in LIST.lines() {
            let shared = line.chars().next().and_then(|digit| digit.to_digit(36));
            let before = words.last().map_or("", String::as_str);
            let kept: String = before
                .chars()
                .take(shared.expect("a digit") as usize)
                .collect();
            words.push(format!("{kept}{}", &line[1..]));
        }
        assert!(words.len() > 70_000, "{}", words.len());
        assert!(words.is_sorted());
        assert!(words.iter().all(|word| word.chars().count() >= 8));
    }
}
