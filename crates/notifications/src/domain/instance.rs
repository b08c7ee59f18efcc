//! Whether a database is the one that the ledger was kept in, or what was restored from it.

use std::fmt;

/// What tells one database from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the cluster, made by `initdb`. A server may refuse to tell it.
    pub(crate) system: Option<i64>,
    /// Goes up when a replica is promoted and when a backup is recovered to a point in time; not
    /// by a crash.
    pub(crate) timeline: Option<i32>,
    pub(crate) database: i64,
}

/// Why a database is taken for a restored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    Cluster,
    Database,
    Timeline { from: i32, to: i32 },
    Behind { mark: i64, remembered: i64 },
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("the ledger was moved to another Postgres cluster"),
            Self::Database => {
                f.write_str("the ledger's database was made again, or this one is a copy")
            }
            Self::Timeline { from, to } => write!(
                f,
                "Postgres went from timeline {from} to {to}: a backup was recovered or a replica promoted"
            ),
            Self::Behind { mark, remembered } => write!(
                f,
                "the ledger is behind what was seen of it: mark {mark} after {remembered}"
            ),
        }
    }
}

/// What the database found here says against being the known one at its `mark`, of which
/// `remembered` was seen before, as far as somebody remembers.
pub(crate) fn judge(
    known: &Identity,
    found: &Identity,
    mark: i64,
    remembered: Option<i64>,
) -> Option<Restored> {
    if matches!((known.system, found.system), (Some(known), Some(found)) if known != found) {
        return Some(Restored::Cluster);
    }
    if known.database != found.database {
        return Some(Restored::Database);
    }
    if let (Some(from), Some(to)) = (known.timeline, found.timeline)
        && from != to
    {
        return Some(Restored::Timeline { from, to });
    }
    let remembered = remembered.filter(|remembered| *remembered > mark)?;
    Some(Restored::Behind { mark, remembered })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Identity = Identity {
        system: Some(7),
        timeline: Some(1),
        database: 16_384,
    };

    #[test]
    fn the_same_database_is_the_same_whatever_is_remembered_of_its_past() {
        for remembered in [None, Some(0), Some(5)] {
            assert_eq!(judge(&KNOWN, &KNOWN, 5, remembered), None);
        }
    }

    #[test]
    fn each_difference_tells() {
        let found = |change: fn(&mut Identity)| {
            let mut found = KNOWN;
            change(&mut found);
            judge(&KNOWN, &found, 5, Some(5))
        };
        assert_eq!(found(|i| i.system = Some(8)), Some(Restored::Cluster));
        assert_eq!(found(|i| i.database = 1), Some(Restored::Database));
        let timeline = Restored::Timeline { from: 1, to: 2 };
        assert_eq!(found(|i| i.timeline = Some(2)), Some(timeline));
        let behind = Restored::Behind {
            mark: 5,
            remembered: 6,
        };
        assert_eq!(judge(&KNOWN, &KNOWN, 5, Some(6)), Some(behind));
    }

    #[test]
    fn what_a_server_does_not_tell_says_nothing() {
        let silent = Identity {
            system: None,
            timeline: None,
            ..KNOWN
        };
        assert_eq!(judge(&KNOWN, &silent, 5, None), None);
        assert_eq!(judge(&silent, &KNOWN, 5, None), None);
    }
}
