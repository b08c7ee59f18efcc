//! What happens before and at the start of a campaign: look at everything, then one transaction.

use chassis::client::PeerError;
use chassis::{jobs, outbox};
use chrono::{DateTime, Utc};
use common::dto::audience::{AudienceCount, AudienceQuery, Gap, GapsQuery};
use common::events::CampaignStarted;
use common::json::Stored;
use common::{CampaignId, WorkspaceId};
use diesel::PgConnection;

use crate::State;
use crate::domain::campaign::{Campaign, Status, Step};
use crate::domain::preflight::{self, Check};
use crate::error::Error;
use crate::linkcheck;
use crate::store::{campaigns, dispatches};
use crate::tasks::{Dispatch, Launch};

/// The audience of `campaign` as it is at this moment.
pub(crate) fn query(campaign: &Campaign, state: &State) -> AudienceQuery {
    AudienceQuery {
        workspace_id: campaign.workspace_id,
        audience: campaign.draft.audience.clone(),
        as_of: state.host.clock.now(),
    }
}

/// Looks at everything that could go wrong; also answers how many people are in the audience.
pub(crate) async fn look(
    state: &State,
    campaign: &Campaign,
) -> Result<(Vec<Check>, AudienceCount), Error> {
    let (mut checks, compiled) = preflight::content(campaign);
    let query = query(campaign, state);
    let (variables, unknown) = compiled
        .as_ref()
        .map(preflight::variables)
        .unwrap_or_default();
    let required = variables.len();
    let links = compiled.iter().flat_map(|compiled| compiled.links());
    let links = links.map(|link| link.url.clone()).collect();
    // Each of them may take a while, and none needs another.
    let (counted, gaps, domain, links) = tokio::join!(
        count(state, &query),
        gaps(state, &query, variables),
        domain(state, campaign),
        linkcheck::check(links, state.rules.check_private_links),
    );
    let counted = counted?;
    checks.push(preflight::audience(&counted));
    let count = counted.unwrap_or_default();
    checks.extend(preflight::schedule(campaign, state.host.clock.now()));
    checks.extend(domain?);
    if compiled.is_some() {
        checks.extend(unknown);
        // Of nobody nothing is missing, and what is wrong with the audience was told.
        let gaps = if count.count > 0 { gaps? } else { Vec::new() };
        checks.extend(preflight::gaps(&gaps, required));
        checks.extend(links);
    }
    Ok((checks, count))
}

/// For whom a variable would be empty.
async fn gaps(
    state: &State,
    query: &AudienceQuery,
    variables: Vec<String>,
) -> Result<Vec<Gap>, PeerError> {
    if variables.is_empty() || query.audience.is_empty() {
        return Ok(Vec::new());
    }
    let query = query.clone();
    state.peers.gaps(&GapsQuery { query, variables }).await
}

/// How the domain that it is from stands.
async fn domain(state: &State, campaign: &Campaign) -> Result<Option<Check>, PeerError> {
    let Some(from) = &campaign.draft.from else {
        return Ok(None);
    };
    let (workspace, domain) = (campaign.workspace_id, from.email.domain());
    let standing = state.peers.standing(workspace, &domain).await?;
    let required = state.rules.require_authenticated_domain;
    Ok(Some(preflight::domain(&domain, &standing, required)))
}

/// How many people are in the audience, or why there is none.
async fn count(
    state: &State,
    query: &AudienceQuery,
) -> Result<Result<AudienceCount, String>, PeerError> {
    if query.audience.is_empty() {
        return Ok(Err("no list or segment is chosen".to_owned()));
    }
    match state.peers.count(query).await {
        Ok(count) => Ok(Ok(count)),
        // A list or segment that was deleted, or never was in this workspace.
        Err(PeerError::Refused(problem)) if problem.status != 401 => Ok(Err(problem.detail)),
        Err(error) => Err(error),
    }
}

/// Waits for `at`.
pub(crate) fn plan(
    conn: &mut PgConnection,
    campaign: Campaign,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Campaign, Error> {
    let scheduled = campaign.moved(Step::Schedule, now)?;
    campaigns::update(conn, &scheduled)?;
    let job = Launch {
        workspace: scheduled.workspace_id,
        campaign: scheduled.id,
    };
    jobs::enqueue(conn, &job, at)?;
    Ok(scheduled)
}

/// One transaction: status, snapshot of content, event, and the job that hands the audience over.
pub(crate) fn go(
    conn: &mut PgConnection,
    state: &State,
    campaign: Campaign,
    count: AudienceCount,
    now: DateTime<Utc>,
) -> Result<Campaign, Error> {
    let query = query(&campaign, state);
    let snapshot = campaign
        .snapshot()
        .ok_or(Error::PreflightFailed(Vec::new()))?;
    let running = campaign.moved(Step::Start, now)?;
    campaigns::update(conn, &running)?;
    dispatches::insert(
        conn,
        &dispatches::Dispatch {
            workspace_id: running.workspace_id,
            campaign_id: running.id,
            snapshot: Stored(snapshot),
            audience: Stored(query.audience),
            schedule: running.draft.schedule.clone().map(Stored),
            as_of: query.as_of,
            expected: count.count,
            cursor: None,
            handed: 0,
            complete: false,
        },
    )?;
    let name = running.draft.name.clone();
    outbox::push(
        conn,
        running.workspace_id,
        &CampaignStarted {
            campaign_id: running.id,
            name,
        },
    )?;
    jobs::enqueue(conn, &dispatch_job(&running), now)?;
    Ok(running)
}

/// The job that hands the audience over.
pub(crate) fn dispatch_job(campaign: &Campaign) -> Dispatch {
    Dispatch {
        workspace: campaign.workspace_id,
        campaign: campaign.id,
        version: campaign.version,
    }
}

/// Starts a scheduled campaign whose time has come.
pub(crate) async fn begin(
    state: &State,
    workspace: WorkspaceId,
    id: CampaignId,
    count: AudienceCount,
) -> Result<(), Error> {
    let (inner, now) = (state.clone(), state.host.clock.now());
    state
        .host
        .db
        .transaction(move |conn| {
            let campaign = campaigns::lock(conn, workspace, id)?.ok_or(Error::NotFound(id))?;
            if campaign.status == Status::Scheduled {
                go(conn, &inner, campaign, count, now)?;
            }
            Ok(())
        })
        .await
}
