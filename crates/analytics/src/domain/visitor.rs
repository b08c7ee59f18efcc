//! Who an event is about: a number for every id that senders know people by.

use common::{LeadId, WorkspaceId};
use sha2::{Digest, Sha256};

/// An id of a person, of whichever kind, as 64 bits of its hash. Among ten million visitors of a
/// workspace, two that share one are to be expected once in 400,000 workspaces.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, diesel::expression::AsExpression,
)]
#[diesel(sql_type = diesel::sql_types::BigInt)]
pub struct Visitor(pub i64);

impl Visitor {
    pub fn lead(workspace: WorkspaceId, lead: LeadId) -> Self {
        Self::of(workspace, b'l', lead.0.as_bytes())
    }

    /// By the id that a sender knows a person by.
    pub fn user(workspace: WorkspaceId, id: &str) -> Self {
        Self::of(workspace, b'u', id.as_bytes())
    }

    /// By the id that a browser or a device was given.
    pub fn anonymous(workspace: WorkspaceId, id: &str) -> Self {
        Self::of(workspace, b'a', id.as_bytes())
    }

    fn of(workspace: WorkspaceId, kind: u8, id: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(workspace.0.as_bytes())
            .chain_update([kind])
            .chain_update(id)
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(i64::from_be_bytes(first))
    }
}

impl diesel::serialize::ToSql<diesel::sql_types::BigInt, diesel::pg::Pg> for Visitor {
    fn to_sql<'b>(
        &'b self,
        out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
    ) -> diesel::serialize::Result {
        <i64 as diesel::serialize::ToSql<diesel::sql_types::BigInt, diesel::pg::Pg>>::to_sql(
            &self.0, out,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_and_the_workspace_are_part_of_who_it_is() {
        let (one, two) = (WorkspaceId::new(), WorkspaceId::new());
        assert_eq!(Visitor::user(one, "7"), Visitor::user(one, "7"));
        assert_ne!(Visitor::user(one, "7"), Visitor::anonymous(one, "7"));
        assert_ne!(Visitor::user(one, "7"), Visitor::user(two, "7"));
        assert_ne!(Visitor::user(one, "7"), Visitor::user(one, "8"));
    }
}
