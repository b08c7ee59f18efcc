//! Which sender serves a message.

use common::ids::SenderId;

/// Where a sender stands in the order of those that may serve a message; the smallest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    tier: Tier,
    /// The smaller, the earlier.
    priority: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// The campaign asked for it.
    Chosen,
    /// It is for the domain that the mail is from.
    ForDomain,
    /// It is for all domains.
    ForAll,
    /// The installation's own.
    Fallback,
}

/// The rank of the installation's own server: after all others.
pub(crate) const FALLBACK: Rank = Rank {
    tier: Tier::Fallback,
    priority: i32::MAX,
};

/// What of a sender routing looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serves<'s> {
    pub(crate) id: SenderId,
    pub(crate) priority: i32,
    /// In lower case; empty for all.
    pub(crate) domains: &'s [String],
}

/// The sender's rank for mail from `domain`; none when it does not serve it.
pub(crate) fn rank(sender: Serves<'_>, chosen: Option<SenderId>, domain: &str) -> Option<Rank> {
    let tier = if chosen == Some(sender.id) {
        Tier::Chosen
    } else if sender.domains.is_empty() {
        Tier::ForAll
    } else if sender.domains.iter().any(|own| own == domain) {
        Tier::ForDomain
    } else {
        return None;
    };
    Some(Rank {
        tier,
        priority: sender.priority,
    })
}

/// Whether a sender can take a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes it; so many are before it.
    Open(usize),
    /// It works and has as much to do as it can hold.
    Full,
    /// It may send no more today.
    Spent,
    /// It cannot be reached, or refuses everything.
    Closed,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This one of the candidates sends it.
    Send(usize),
    /// It waits for this one.
    Wait(usize),
    /// No sender serves it at all.
    Nobody,
}

/// Chooses among candidates in the order of their rank; of equal ones the one with least to do.
/// A sender that is closed or spent is passed over; one that only has a limit is waited for. The
/// installation's server takes the place of senders that do not work, never of spent ones.
pub(crate) fn choose(candidates: &[(Rank, Standing)]) -> Choice {
    let mut at = 0;
    while let Some((rank, _)) = candidates.get(at) {
        let equal = candidates[at..]
            .iter()
            .take_while(|(other, _)| other == rank)
            .count();
        let group = &candidates[at..at + equal];
        let passed = &candidates[..at];
        let barred = *rank == FALLBACK && passed.iter().any(|(_, s)| *s == Standing::Spent);
        if !barred && let Some(choice) = among(group, at) {
            return choice;
        }
        at += equal;
    }
    waited_for(candidates).map_or(Choice::Nobody, Choice::Wait)
}

fn among(group: &[(Rank, Standing)], from: usize) -> Option<Choice> {
    let open = |(index, (_, standing)): (usize, &(Rank, Standing))| match standing {
        Standing::Open(queued) => Some((*queued, index)),
        _ => None,
    };
    if let Some((_, index)) = group.iter().enumerate().filter_map(open).min() {
        return Some(Choice::Send(from + index));
    }
    let full = group.iter().position(|(_, s)| *s == Standing::Full)?;
    Some(Choice::Wait(from + full))
}

/// A spent sender rather than a closed one: it is known when that changes.
fn waited_for(candidates: &[(Rank, Standing)]) -> Option<usize> {
    let spent = candidates.iter().position(|(_, s)| *s == Standing::Spent);
    spent.or((!candidates.is_empty()).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(priority: i32, domains: &[String]) -> Serves<'_> {
        Serves {
            id: SenderId::new(),
            priority,
            domains,
        }
    }

    fn ranks(tier: Tier) -> Rank {
        Rank { tier, priority: 1 }
    }

    #[test]
    fn the_chosen_one_comes_first_then_those_for_the_domain_then_those_for_all() {
        let domains = ["shop.example".to_owned()];
        let (own, all) = (sender(90, &domains), sender(1, &[]));
        let of = |sender, chosen, domain| rank(sender, chosen, domain);
        let for_domain = of(own, None, "shop.example");
        assert!(for_domain < of(all, None, "shop.example"));
        assert!(of(all, Some(all.id), "shop.example") < for_domain);
        assert_eq!(of(own, None, "other.example"), None);
        assert!(of(own, Some(own.id), "other.example").is_some());
        assert!(of(all, None, "x.example") < Some(FALLBACK));
        assert!(of(sender(1, &[]), None, "x") < of(sender(2, &[]), None, "x"));
    }

    #[test]
    fn the_first_that_is_open_sends_and_equals_share() {
        use Standing::*;
        let (first, second) = (ranks(Tier::ForDomain), ranks(Tier::ForAll));
        assert_eq!(
            choose(&[(first, Open(9)), (second, Open(0))]),
            Choice::Send(0)
        );
        assert_eq!(
            choose(&[(first, Closed), (second, Open(0))]),
            Choice::Send(1)
        );
        assert_eq!(
            choose(&[(first, Spent), (second, Open(0))]),
            Choice::Send(1)
        );
        assert_eq!(
            choose(&[(first, Open(3)), (first, Open(2)), (second, Open(0))]),
            Choice::Send(1)
        );
        assert_eq!(choose(&[(first, Full), (first, Open(2))]), Choice::Send(1));
    }

    #[test]
    fn a_limit_is_waited_for_and_not_evaded() {
        use Standing::*;
        let (first, second) = (ranks(Tier::ForDomain), ranks(Tier::ForAll));
        assert_eq!(choose(&[(first, Full), (second, Open(0))]), Choice::Wait(0));
        assert_eq!(choose(&[(first, Closed), (second, Full)]), Choice::Wait(1));
    }

    #[test]
    fn the_installations_server_helps_when_others_fail_and_evades_no_warm_up() {
        use Standing::*;
        let own = ranks(Tier::ForAll);
        assert_eq!(choose(&[(FALLBACK, Open(0))]), Choice::Send(0));
        assert_eq!(
            choose(&[(own, Closed), (FALLBACK, Open(0))]),
            Choice::Send(1)
        );
        assert_eq!(
            choose(&[(own, Spent), (FALLBACK, Open(0))]),
            Choice::Wait(0)
        );
        assert_eq!(
            choose(&[(own, Closed), (own, Spent), (FALLBACK, Open(0))]),
            Choice::Wait(1)
        );
        assert_eq!(
            choose(&[(own, Closed), (FALLBACK, Closed)]),
            Choice::Wait(0)
        );
        assert_eq!(choose(&[]), Choice::Nobody);
    }
}
