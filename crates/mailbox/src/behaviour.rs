//! What the local part of an address asks the mailbox to do.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How often a `soft+` or `busy+` address is refused before it is accepted.
const SOFT_REFUSALS: u32 = 2;
/// Past this many all of them are forgotten, which bounds the memory.
const SOFT_ADDRESSES: usize = 100_000;

/// What an address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Accept,
    /// There is no such mailbox, ever.
    Hard,
    /// Not now; later it works.
    Soft,
    /// We are asked to come more slowly; later it works.
    Busy,
    /// The mailbox is full, and stays so.
    Full,
    /// The connection ends after the dot without a reply; nothing is stored.
    Drop,
    /// The connection ends after the dot without a reply, though the message is stored.
    DropAfter,
    Slow,
}

impl Behaviour {
    pub(crate) fn of(address: &str) -> Self {
        let tag = address.split_once('+').map_or("", |(tag, _)| tag);
        match tag.to_ascii_lowercase().as_str() {
            "hard" => Self::Hard,
            "soft" => Self::Soft,
            "busy" => Self::Busy,
            "full" => Self::Full,
            "drop" => Self::Drop,
            "dropafter" => Self::DropAfter,
            "slow" => Self::Slow,
            _ => Self::Accept,
        }
    }
}

/// Counts how often each `soft+` and `busy+` address was tried since this process began.
#[derive(Debug, Default)]
pub(crate) struct SoftTries(Mutex<HashMap<String, u32>>);

impl SoftTries {
    /// Whether this try is refused.
    pub(crate) fn refuses(&self, address: &str) -> bool {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= SOFT_ADDRESSES {
            tries.clear();
        }
        let tried = tries.entry(address.to_lowercase()).or_default();
        *tried = tried.saturating_add(1);
        *tried <= SOFT_REFUSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_tag_before_the_plus_counts() {
        assert_eq!(Behaviour::of("hard+1@example.com"), Behaviour::Hard);
        assert_eq!(Behaviour::of("HARD+1@example.com"), Behaviour::Hard);
        assert_eq!(
            Behaviour::of("dropafter+@example.com"),
            Behaviour::DropAfter
        );
        for plain in [
            "hard@example.com",
            "richard+1@example.com",
            "hardly+1@x.y",
            "@",
            "",
        ] {
            assert_eq!(Behaviour::of(plain), Behaviour::Accept, "{plain}");
        }
    }

    #[test]
    fn a_soft_address_is_refused_twice_in_any_case_of_letters() {
        let tries = SoftTries::default();
        assert!(tries.refuses("soft+a@x.y"));
        assert!(tries.refuses("SOFT+a@x.y"));
        assert!(tries.refuses("soft+b@x.y"));
        assert!(!tries.refuses("soft+a@x.y"));
        assert!(tries.refuses("soft+b@x.y"));
    }
}
