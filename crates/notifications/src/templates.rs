//! Where templates come from: our own copies, and `campaigns` for what it has not told us yet.

use std::sync::Arc;

use chassis::client::{Peer, PeerError};
use chassis::{Db, Unavailable};
use common::auth::Service;
use common::dto::template::TemplateCopy;
use common::ids::{TemplateId, WorkspaceId};

use crate::Error;
use crate::store::templates::{self, Known};

#[derive(Clone, Debug)]
pub(crate) struct Templates {
    db: Db,
    campaigns: Option<Arc<Peer>>,
}

impl Templates {
    pub(crate) fn new(db: &Db, campaigns: Option<Arc<Peer>>) -> Self {
        Self {
            db: db.clone(),
            campaigns,
        }
    }

    /// A template that we have no copy of, if it exists. What is answered is kept.
    pub(crate) async fn ask(
        &self,
        workspace: WorkspaceId,
        id: TemplateId,
    ) -> Result<TemplateCopy, Error> {
        let away = || Unavailable::new(Service::Campaigns.as_str());
        let campaigns = self.campaigns.as_ref().ok_or_else(away)?;
        let path = format!("/internal/templates/{id}");
        let copy: TemplateCopy = campaigns
            .get(&path, &[("workspace_id", workspace)])
            .await
            .map_err(|error| match error {
                PeerError::Unavailable(away) => away.into(),
                PeerError::Refused(problem) if problem.code == "template_not_found" => {
                    Error::NoTemplate(id)
                }
                PeerError::Refused(problem) => {
                    Unavailable::because(Service::Campaigns.as_str(), problem.detail).into()
                }
            })?;
        let kept = self
            .db
            .run(move |conn| {
                templates::save(conn, workspace, id, &copy)?;
                // A newer one, or its end, may have been told of meanwhile.
                Ok::<_, Error>(templates::find(conn, workspace, id)?)
            })
            .await?;
        match kept {
            Some(Known::Copy(copy)) => Ok(copy),
            Some(Known::Deleted) | None => Err(Error::NoTemplate(id)),
        }
    }
}
