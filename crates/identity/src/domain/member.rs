//! People, workspaces, and who may change whom.

use chrono::{DateTime, Utc};
use common::auth::{Caller, Role, Scope, ScopeSet, Subject};
use common::{UserId, WorkspaceId};
use diesel::prelude::*;

use super::Standing;
use crate::error::Error;
use crate::schema::{users, workspaces};

/// A tenant.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = workspaces)]
pub(crate) struct Workspace {
    pub(crate) id: WorkspaceId,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// Whether strangers may join as customers.
    pub(crate) customer_registration: bool,
    /// Whether whoever has no second factor may do nothing here.
    pub(crate) second_factor_required: bool,
}

impl Workspace {
    pub(crate) fn new(name: String, now: DateTime<Utc>) -> Self {
        Self {
            id: WorkspaceId::new(),
            name,
            version: 1,
            created_at: now,
            updated_at: now,
            customer_registration: false,
            second_factor_required: false,
        }
    }
}

/// A person of this installation.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) email_key: String,
    pub(crate) name: String,
    pub(crate) password_hash: String,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// When they showed that mails to this address reach them.
    pub(crate) email_verified_at: Option<DateTime<Utc>>,
}

/// A person as a part of one workspace.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) user: User,
    pub(crate) standing: Standing,
}

/// Whoever changes something about members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    caller: Caller,
    /// What a person is right now and what they may do; their token may be older. None for a key.
    now: Option<(Role, ScopeSet)>,
}

impl Actor {
    /// `standing` is the caller's membership as it stands in the database.
    pub(crate) fn new(caller: Caller, standing: Option<&Standing>) -> Self {
        let now = standing.map(|standing| (standing.role, standing.scopes()));
        Self { caller, now }
    }

    pub(crate) fn is(&self, user: UserId) -> bool {
        self.caller.subject == Subject::User(user)
    }

    /// Fails unless the actor may manage members at all, by token and by present role.
    pub(crate) fn may_manage(&self) -> Result<(), Error> {
        self.caller.require(Scope::UsersWrite)?;
        let still = match self.caller.subject {
            Subject::User(_) => self
                .now
                .is_some_and(|(_, scopes)| scopes.contains(Scope::UsersWrite)),
            _ => true,
        };
        still
            .then_some(())
            .ok_or(common::auth::AuthError::Forbidden(Scope::UsersWrite).into())
    }

    /// Fails if `other` is above the actor: nobody gives, takes or touches more than they have. A
    /// key and a role of a workspace's own reach as far as their scopes do, and never an owner.
    pub(crate) fn may_touch(&self, other: &Standing) -> Result<(), Error> {
        let by_scopes =
            |own: ScopeSet| other.role != Role::Owner && own.contains_all(other.scopes());
        let reaches = match (self.caller.subject, self.now) {
            (Subject::User(_), None) => false,
            (Subject::User(_), Some((Role::Custom, scopes))) => by_scopes(scopes),
            (Subject::User(_), Some((_, scopes))) if other.role == Role::Custom => {
                by_scopes(scopes)
            }
            (Subject::User(_), Some((own, _))) => rank(own) >= rank(other.role),
            _ => by_scopes(self.caller.scopes()),
        };
        reaches.then_some(()).ok_or(Error::AboveOwnRole(other.role))
    }
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Owner => 4,
        Role::Admin => 3,
        Role::Marketer => 2,
        Role::Analyst => 1,
        Role::Customer | Role::Custom => 0,
    }
}
