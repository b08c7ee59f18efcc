//! People, workspaces, and who may change whom.

use chrono::{DateTime, Utc};
use common::auth::{Caller, Role, Scope, Subject};
use common::{UserId, WorkspaceId};
use diesel::prelude::*;

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
}

impl Workspace {
    pub(crate) fn new(name: String, now: DateTime<Utc>) -> Self {
        Self {
            id: WorkspaceId::new(),
            name,
            version: 1,
            created_at: now,
            updated_at: now,
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
}

/// A person as a part of one workspace.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) user: User,
    pub(crate) role: Role,
}

/// Whoever changes something about members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    caller: Caller,
    /// What a person is right now; their token may be older. None for a key.
    role: Option<Role>,
}

impl Actor {
    /// `role` is the caller's membership as it stands in the database.
    pub(crate) fn new(caller: Caller, role: Option<Role>) -> Self {
        Self { caller, role }
    }

    pub(crate) fn is(&self, user: UserId) -> bool {
        self.caller.subject == Subject::User(user)
    }

    /// Fails unless the actor may manage members at all, by token and by present role.
    pub(crate) fn may_manage(&self) -> Result<(), Error> {
        self.caller.require(Scope::UsersWrite)?;
        let still = match self.caller.subject {
            Subject::User(_) => self
                .role
                .is_some_and(|role| role.scopes().contains(Scope::UsersWrite)),
            _ => true,
        };
        still
            .then_some(())
            .ok_or(common::auth::AuthError::Forbidden(Scope::UsersWrite).into())
    }

    /// Fails if `role` is above the actor's own: nobody gives, takes or touches more than they
    /// have. A key has no role; it reaches as far as its scopes do, and never an owner.
    pub(crate) fn may_touch(&self, role: Role) -> Result<(), Error> {
        let reaches = match self.caller.subject {
            Subject::User(_) => self.role.is_some_and(|own| rank(own) >= rank(role)),
            _ => role != Role::Owner && self.caller.scopes().contains_all(role.scopes()),
        };
        reaches.then_some(()).ok_or(Error::AboveOwnRole(role))
    }
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Owner => 4,
        Role::Admin => 3,
        Role::Marketer => 2,
        Role::Analyst => 1,
        Role::Customer => 0,
    }
}
