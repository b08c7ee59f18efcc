//! Who is who: which of the ids that senders know people by are one person.
//!
//! An id that a device was given belongs to the first person who is known on it, whoever uses the
//! device later. Ids that a sender gives to people are joined when it says that one was the other.
//! Two leads are always two people.

use std::collections::{HashMap, HashSet};

use common::WorkspaceId;

use crate::domain::event::Said;
use crate::domain::visitor::Visitor;

/// What is known of some visitors of one workspace, and what was learnt since it was loaded.
#[derive(Clone, Debug, Default)]
pub struct People {
    person: HashMap<Visitor, Visitor>,
    leads: HashSet<Visitor>,
    /// People who turned out to be somebody else.
    merged: Vec<Visitor>,
}

impl People {
    /// Everything that is stored of the visitors that are going to be spoken of.
    pub fn new(
        stored: impl IntoIterator<Item = (Visitor, Visitor)>,
        leads: impl IntoIterator<Item = Visitor>,
    ) -> Self {
        Self {
            person: stored.into_iter().collect(),
            leads: leads.into_iter().collect(),
            merged: Vec::new(),
        }
    }

    /// Who a visitor is.
    pub fn person(&self, visitor: Visitor) -> Visitor {
        let mut at = visitor;
        while let Some(next) = self.person.get(&at).filter(|next| **next != at) {
            at = *next;
        }
        at
    }

    /// Those who were people of their own and are somebody else now, each with whom.
    pub fn moves(&self) -> Vec<(Visitor, Visitor)> {
        let moves = self
            .merged
            .iter()
            .map(|former| (*former, self.person(*former)));
        moves.collect()
    }

    /// Takes in what an event says.
    pub fn hear(&mut self, workspace: WorkspaceId, said: &Said) {
        match said {
            Said::Identified {
                anonymous,
                user,
                lead,
                email: _,
            } => {
                let lead = lead.map(|id| Visitor::lead(workspace, id));
                self.leads.extend(lead);
                if let (Some(user), Some(lead)) = (user, lead) {
                    self.join(*user, lead);
                }
                if let (Some(anonymous), Some(known)) = (anonymous, user.or(lead)) {
                    self.claim(*anonymous, known);
                }
            }
            Said::Renamed {
                former: [anonymous, former],
                user,
            } => {
                self.claim(*anonymous, *user);
                self.join(*former, *user);
            }
        }
    }

    /// The visitor is this lead, as its address says.
    pub fn is_lead(&mut self, visitor: Visitor, lead: Visitor) {
        self.leads.insert(lead);
        self.join(visitor, lead);
    }

    /// A device becomes somebody's, unless it is already.
    fn claim(&mut self, device: Visitor, known: Visitor) {
        if self.person(device) == device {
            self.join(device, known);
        }
    }

    fn join(&mut self, one: Visitor, other: Visitor) {
        let (mut loser, mut winner) = (self.person(one), self.person(other));
        if self.leads.contains(&loser) {
            (loser, winner) = (winner, loser);
        }
        if loser != winner && !self.leads.contains(&loser) {
            self.person.insert(loser, winner);
            self.merged.push(loser);
        }
    }
}

/// The visitors that are spoken of.
pub fn named(workspace: WorkspaceId, said: &Said) -> Vec<Visitor> {
    match said {
        Said::Identified {
            anonymous,
            user,
            lead,
            email: _,
        } => {
            let lead = lead.map(|id| Visitor::lead(workspace, id));
            [*anonymous, *user, lead].into_iter().flatten().collect()
        }
        Said::Renamed { former, user } => vec![former[0], former[1], *user],
    }
}

/// Whose address it is, if one was told of somebody who is not known as a lead.
pub fn address(said: &Said) -> Option<(&str, Visitor)> {
    match said {
        Said::Identified {
            anonymous,
            user,
            lead: None,
            email: Some(email),
        } => Some((email, user.or(*anonymous)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::LeadId;
    use proptest::prelude::*;

    const ANON: [Visitor; 2] = [Visitor(1), Visitor(2)];
    const USER: [Visitor; 2] = [Visitor(11), Visitor(12)];

    fn workspace() -> WorkspaceId {
        WorkspaceId(uuid::Uuid::from_u128(1))
    }

    fn identified(anonymous: Option<Visitor>, user: Option<Visitor>, lead: Option<LeadId>) -> Said {
        Said::Identified {
            anonymous,
            user,
            lead,
            email: None,
        }
    }

    #[test]
    fn a_device_is_its_first_owners() {
        let mut people = People::default();
        people.hear(workspace(), &identified(Some(ANON[0]), Some(USER[0]), None));
        people.hear(workspace(), &identified(Some(ANON[0]), Some(USER[1]), None));
        assert_eq!(people.person(ANON[0]), USER[0]);
        assert_eq!(people.person(USER[1]), USER[1]);
        assert_eq!(people.moves(), [(ANON[0], USER[0])]);
    }

    #[test]
    fn who_was_renamed_takes_everything_along() {
        let mut people = People::new([(ANON[0], USER[0])], []);
        let former = [Visitor(99), USER[0]];
        people.hear(
            workspace(),
            &Said::Renamed {
                former,
                user: USER[1],
            },
        );
        for visitor in [ANON[0], USER[0], USER[1], Visitor(99)] {
            assert_eq!(people.person(visitor), USER[1]);
        }
    }

    #[test]
    fn leads_keep_their_name_and_stay_apart() {
        let (ada, bob) = (LeadId::new(), LeadId::new());
        let lead = |id| Visitor::lead(workspace(), id);
        let mut people = People::default();
        people.hear(
            workspace(),
            &identified(Some(ANON[0]), Some(USER[0]), Some(ada)),
        );
        people.hear(workspace(), &identified(None, Some(USER[1]), Some(bob)));
        let former = [ANON[1], USER[0]];
        people.hear(
            workspace(),
            &Said::Renamed {
                former,
                user: USER[1],
            },
        );
        assert_eq!(people.person(USER[0]), lead(ada));
        assert_eq!(people.person(ANON[0]), lead(ada));
        assert_eq!(people.person(ANON[1]), lead(bob));
        people.is_lead(USER[1], lead(ada));
        assert_eq!(people.person(USER[1]), lead(bob));
    }

    proptest! {
        /// Whatever was said, whoever was loaded half-way comes to the same people.
        #[test]
        fn hearing_in_two_parts_is_hearing_at_once(
            spec in prop::collection::vec((0i64..4, 0i64..4, any::<bool>()), 0..12), cut in 0usize..12
        ) {
            let said: Vec<_> = spec.into_iter().map(|(a, u, rename)| match rename {
                true => Said::Renamed { former: [Visitor(a), Visitor(10 + a)], user: Visitor(10 + u) },
                false => identified(Some(Visitor(a)), Some(Visitor(10 + u)), None),
            }).collect();
            let (first, second) = said.split_at(cut.min(said.len()));
            let mut at_once = People::default();
            said.iter().for_each(|said| at_once.hear(workspace(), said));
            let mut before = People::default();
            first.iter().for_each(|said| before.hear(workspace(), said));
            let all = (0..4).chain(10..14).map(Visitor);
            let stored = all.clone().map(|visitor| (visitor, before.person(visitor)));
            let mut after = People::new(stored, []);
            second.iter().for_each(|said| after.hear(workspace(), said));
            for visitor in all {
                prop_assert_eq!(after.person(visitor), at_once.person(visitor));
            }
        }
    }
}
