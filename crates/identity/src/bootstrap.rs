//! How workspaces begin: by registration, or with the installation's first owner.

use chassis::outbox;
use chrono::{DateTime, Utc};
use common::UserId;
use common::auth::Role;
use common::events::{UserCreated, WorkspaceCreated};
use common::values::EmailAddress;
use diesel::PgConnection;
use diesel::result::Error as QueryError;

use crate::domain::{Standing, User, Workspace};
use crate::error::Error;
use crate::settings::FirstOwner;
use crate::state::State;
use crate::store::{members, signing_keys, workspaces};

const FIRST_WORKSPACE: &str = "My workspace";

/// A person who does not exist yet.
pub(crate) fn new_user(
    email: &EmailAddress,
    name: &str,
    password_hash: String,
    now: DateTime<Utc>,
) -> User {
    User {
        id: UserId::new(),
        email: email.as_str().to_owned(),
        email_key: email.key(),
        name: name.to_owned(),
        password_hash,
        version: 1,
        created_at: now,
        updated_at: now,
        email_verified_at: None,
    }
}

/// Makes a person known, as a member of `workspace`, and tells.
pub(crate) fn add_member(
    conn: &mut PgConnection,
    workspace: &Workspace,
    user: &User,
    standing: &Standing,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    members::insert_user(conn, user).map_err(taken)?;
    members::join(conn, workspace.id, user.id, standing, now)?;
    let event = UserCreated {
        user_id: user.id,
        email: user.email.clone(),
    };
    Ok(outbox::push(conn, workspace.id, &event)?)
}

/// A violated e-mail address is somebody else's, everything else is our failure.
pub(crate) fn taken(error: QueryError) -> Error {
    match chassis::error::violated_unique(&error) {
        Some("users_email_key_key") => Error::EmailTaken,
        _ => Error::Query(error),
    }
}

/// Opens a workspace with its owner.
pub(crate) fn open_workspace(
    conn: &mut PgConnection,
    workspace: &Workspace,
    owner: &User,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    found(conn, workspace)?;
    add_member(conn, workspace, owner, &Role::Owner.into(), now)
}

/// Makes a workspace that nobody belongs to yet, and tells.
pub(crate) fn found(conn: &mut PgConnection, workspace: &Workspace) -> Result<(), Error> {
    workspaces::insert(conn, workspace)?;
    let event = WorkspaceCreated {
        workspace_id: workspace.id,
        name: workspace.name.clone(),
    };
    Ok(outbox::push(conn, workspace.id, &event)?)
}

/// Makes the first owner if there is nobody yet. Replicas that start together make one.
pub(crate) async fn first_owner(state: &State, first: FirstOwner) -> Result<(), Error> {
    let nobody = state
        .host
        .db
        .run(|conn| Ok::<_, Error>(members::nobody(conn)?))
        .await?;
    if !nobody {
        return Ok(());
    }
    let (hash, now) = (state.passwords.hash(first.password).await?, state.now());
    // The operator vouches for the address.
    let owner = User {
        email_verified_at: Some(now),
        ..new_user(&first.email, "Owner", hash, now)
    };
    state
        .host
        .db
        .transaction(move |conn| {
            signing_keys::take_turns(conn)?;
            if !members::nobody(conn)? {
                return Ok(());
            }
            let workspace = Workspace::new(FIRST_WORKSPACE.to_owned(), now);
            open_workspace(conn, &workspace, &owner, now)?;
            tracing::info!(user.id = %owner.id, "the first owner was made");
            Ok(())
        })
        .await
}
