//! What people and workspaces look like from outside.

use chrono::{DateTime, Utc};
use common::auth::Role;
use common::{RoleId, UserId, WorkspaceId};
use serde::Serialize;

use crate::domain::{Member, Standing, User, Workspace};

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::User)]
pub(crate) struct UserView {
    id: UserId,
    name: String,
    #[schema(format = "email")]
    email: String,
    /// Whether they showed that mails to this address reach them.
    email_verified: bool,
    /// What they are in the workspace.
    role: Role,
    /// Which role of the workspace's own, when it is `custom`.
    role_id: Option<RoleId>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl UserView {
    pub(crate) fn new(user: User, standing: &Standing) -> Self {
        Self {
            id: user.id,
            name: user.name,
            email: user.email,
            email_verified: user.email_verified_at.is_some(),
            role: standing.role,
            role_id: standing.role_id(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl From<Member> for UserView {
    fn from(member: Member) -> Self {
        Self::new(member.user, &member.standing)
    }
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Workspace)]
pub(crate) struct WorkspaceView {
    id: WorkspaceId,
    name: String,
    /// Whether strangers may join as customers.
    customer_registration: bool,
    /// Whether whoever has no second factor may do nothing here until they set one up.
    second_factor_required: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Workspace> for WorkspaceView {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id,
            name: workspace.name,
            customer_registration: workspace.customer_registration,
            second_factor_required: workspace.second_factor_required,
            created_at: workspace.created_at,
            updated_at: workspace.updated_at,
        }
    }
}

/// A fresh sign-in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::SignedIn)]
pub(crate) struct SignedIn {
    pub(crate) user: UserView,
    pub(crate) workspace: WorkspaceView,
    /// Whether they may do nothing here until they set up a second factor.
    pub(crate) second_factor_needed: bool,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
}

/// The tokens of a sign-in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = identity::Tokens)]
pub(crate) struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// Works once, at `/token/refresh`.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: i64,
}

impl Tokens {
    pub(crate) fn new(access_token: String, refresh_token: String) -> Self {
        Self {
            access_token,
            refresh_token,
            token_type: "Bearer",
            expires_in: crate::tokens::ACCESS_S,
        }
    }
}
