//! Roles that workspaces make, and what somebody is.

use chrono::{DateTime, Utc};
use common::auth::{Role, Scope, ScopeSet};
use common::{RoleId, WorkspaceId};
use diesel::prelude::*;

use crate::schema::roles;

/// A set of scopes with a name. What is not in it is denied.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = roles)]
pub(crate) struct CustomRole {
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) id: RoleId,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl CustomRole {
    pub(crate) fn scope_set(&self) -> ScopeSet {
        scopes_of(&self.scopes)
    }
}

/// The scopes of these names. One that this release does not know grants nothing.
pub(crate) fn scopes_of(names: &[String]) -> ScopeSet {
    let known: Vec<_> = names.iter().filter_map(|name| Scope::parse(name)).collect();
    ScopeSet::of(&known)
}

/// What somebody is in a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    /// Which one, when the role is custom.
    pub(crate) custom: Option<CustomRole>,
}

impl From<Role> for Standing {
    fn from(role: Role) -> Self {
        Self { role, custom: None }
    }
}

impl Standing {
    /// As it is stored. A role that this release does not know grants nothing.
    pub(crate) fn read(role: &str, custom: Option<CustomRole>) -> Self {
        let role = Role::parse(role).unwrap_or(Role::Customer);
        Self { role, custom }
    }

    pub(crate) fn scopes(&self) -> ScopeSet {
        match &self.custom {
            Some(custom) => custom.scope_set(),
            None => self.role.scopes(),
        }
    }

    pub(crate) fn role_id(&self) -> Option<RoleId> {
        self.custom.as_ref().map(|custom| custom.id)
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.role == other.role && self.role_id() == other.role_id()
    }
}
