//! All senders at work: which one takes a message, and what becomes of it when none can.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chassis::sealing::Vault;
use chassis::{Clock, Db, Unavailable};
use chrono::{DateTime, TimeDelta, Utc};
use common::dto::dispatch::{Limit, LimitKind, Speed};
use common::ids::{CampaignId, SenderId, WorkspaceId};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::breaker::Way;
use super::courses::{Courses, Told};
use super::guard::Guard;
use super::holds;
use super::lane::Ready;
use super::ledger::Ledger;
use super::outlet::Outlet;
use super::rates::Rates;
use super::{Meters, Sending};
use crate::domain::pace::Pace;
use crate::domain::routing::{Choice, Rank, Standing, choose};
use crate::domain::warm_up::next_day;
use crate::store::moves::Held;
use crate::store::{replicas, senders};

/// How often senders are read and replicas hear of each other.
const EVERY: Duration = Duration::from_secs(1);
/// So long a feeder waits for a sender that is only busy.
const BUSY: Duration = Duration::from_millis(250);
/// A campaign whose sender is spent is looked at again after this, should its plan be changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What decides by whom a message is sent; the same for all messages of a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) chosen: Option<SenderId>,
    /// The domain it is from, as it stands in commands.
    pub(crate) domain: String,
}

#[derive(Debug)]
pub(crate) struct Outlets {
    installed: Arc<Outlet>,
    own: RwLock<HashMap<WorkspaceId, Vec<Arc<Outlet>>>>,
    pub(super) rates: Rates,
    pub(crate) courses: Courses,
    /// Rung when senders were changed.
    pub(crate) changed: Notify,
    vault: Vault,
    replica: Uuid,
}

/// What replicas tell each other.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    campaigns: HashMap<Uuid, Told>,
    /// By sender and destination domain.
    paces: HashMap<String, HashMap<String, Pace>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Outlets {
    pub(crate) fn new(sending: &Sending, vault: Vault, rates: Rates) -> Self {
        Self {
            installed: Arc::new(Outlet::installed(sending)),
            own: RwLock::default(),
            rates,
            courses: Courses::default(),
            changed: Notify::new(),
            vault,
            replica: Uuid::now_v7(),
        }
    }

    /// How fast a campaign goes and what limits it, in all replicas.
    pub(crate) fn speed(reports: Vec<serde_json::Value>, campaign: CampaignId) -> Speed {
        let mut speed = Speed::default();
        for report in reports {
            let mut report: Report = serde_json::from_value(report).unwrap_or_default();
            let Some(told) = report.campaigns.remove(&campaign.0) else {
                continue;
            };
            speed.per_second += f64::from(told.sent) / 10.0;
            for limit in told.limits {
                let same = |known: &Limit| {
                    (known.kind, &known.sender, &known.domain)
                        == (limit.kind, &limit.sender, &limit.domain)
                };
                if !speed.limited_by.iter().any(same) {
                    speed.limited_by.push(limit);
                }
            }
        }
        speed
    }

    /// Of a workspace's sender, or of the installation's when none is named.
    pub(crate) fn find(&self, id: Option<SenderId>) -> Option<Arc<Outlet>> {
        match id {
            None => Some(Arc::clone(&self.installed)),
            Some(_) => self.all().into_iter().find(|outlet| outlet.id == id),
        }
    }

    fn all(&self) -> Vec<Arc<Outlet>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let own = own.values().flatten().cloned();
        own.chain([Arc::clone(&self.installed)]).collect()
    }

    /// Those that serve a message, the first first.
    fn candidates(&self, workspace: WorkspaceId, route: &Route) -> Vec<(Rank, Arc<Outlet>)> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let own = own.get(&workspace).into_iter().flatten();
        let ranked = own.chain([&self.installed]).filter_map(|outlet| {
            Some((
                outlet.rank(route.chosen, &route.domain)?,
                Arc::clone(outlet),
            ))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked
    }

    /// Replaces those that were changed; answers whether any was.
    fn take_in(&self, read: &[senders::Sender]) -> bool {
        let known: HashMap<_, _> = self
            .all()
            .into_iter()
            .filter_map(|outlet| Some(((outlet.id?, outlet.version), outlet)))
            .collect();
        let mut own = HashMap::<_, Vec<_>>::new();
        let mut kept = 0;
        for sender in read {
            let outlet = match known.get(&(sender.id, sender.version)) {
                Some(outlet) => {
                    kept += 1;
                    Arc::clone(outlet)
                }
                None => Arc::new(Outlet::new(sender, &self.vault)),
            };
            own.entry(sender.workspace_id).or_default().push(outlet);
        }
        if kept == known.len() && kept == read.len() {
            return false;
        }
        let current: Vec<_> = own.values().flatten().cloned().collect();
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
        for old in known.into_values() {
            if !current.iter().any(|outlet| Arc::ptr_eq(outlet, &old)) {
                old.retire();
            }
        }
        self.courses.try_all_again();
        true
    }

    /// Keeps the senders and what is known of other replicas current until `stop`.
    pub(super) async fn run(
        &self,
        db: &Db,
        clock: &Clock,
        meters: &Meters,
        guard: &Guard,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            if let Err(error) = self.refresh(db, guard.held(), clock.now()).await {
                tracing::warn!(%error, "senders cannot be read at the moment");
            }
            meters.senders(self.all().iter().map(|outlet| outlet.state(Instant::now())));
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.changed.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.leave(db, clock.now()).await;
    }

    /// Reads senders and what other replicas tell. `held` says why nothing at all may be sent.
    pub(super) async fn refresh(
        &self,
        db: &Db,
        held: Option<String>,
        at: DateTime<Utc>,
    ) -> Result<(), ReadError> {
        let report = self.report(at);
        let id = self.replica;
        let (read, reports) = db
            .run(move |conn| {
                let report = serde_json::to_value(&report).unwrap_or_default();
                let reports = replicas::beat(conn, id, &report)?;
                Ok::<_, ReadError>((senders::enabled(conn)?, reports))
            })
            .await?;
        holds::round(db, &self.courses, held, at).await?;
        self.take_in(&read);
        self.rates.shared_by(reports.len());
        for report in reports {
            // A replica of another release may say it in another way.
            let report: Report = serde_json::from_value(report).unwrap_or_default();
            for outlet in self.all() {
                if let Some(paces) = report.paces.get(&outlet.key) {
                    outlet.adopt(paces);
                }
            }
        }
        Ok(())
    }

    fn report(&self, at: DateTime<Utc>) -> Report {
        let paces = self.all().into_iter().map(|outlet| {
            let paces = outlet.paces(at);
            (outlet.key.clone(), paces)
        });
        Report {
            campaigns: self.courses.tell(Instant::now()),
            paces: paces.filter(|(_, paces)| !paces.is_empty()).collect(),
        }
    }

    async fn leave(&self, db: &Db, at: DateTime<Utc>) {
        for outlet in self.all() {
            if let Some(allowance) = &outlet.allowance {
                allowance.end(db, at).await;
            }
        }
        let id = self.replica;
        let left = db.run(move |conn| Ok::<_, ReadError>(replicas::leave(conn, id)?));
        // The others notice by themselves within seconds.
        left.await.ok();
    }
}

/// The way from the feeders to the lanes, and from a lane whose sender cannot to another's.
#[derive(Clone, Debug)]
pub(super) struct Dispatcher {
    pub(super) outlets: Arc<Outlets>,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) meters: Meters,
    /// Where outlets go whose lanes must be started.
    pub(super) starts: mpsc::UnboundedSender<Arc<Outlet>>,
}

impl Dispatcher {
    /// Gives the message to a sender, or back to the ledger when none can take it. Nothing of it
    /// was begun.
    pub(super) async fn offer(&self, mut ready: Ready) {
        let single = ready.of.campaign_id.is_none();
        let (workspace, began) = (ready.of.workspace_id.into(), Instant::now());
        loop {
            let (now, at) = (Instant::now(), self.clock.now());
            let candidates = self.outlets.candidates(workspace, &ready.route);
            let standings: Vec<_> = candidates
                .iter()
                .map(|(rank, outlet)| (*rank, outlet.standing(single, now, at)))
                .collect();
            match choose(&standings) {
                Choice::Send(index) => match self.push(&candidates[index].1, ready) {
                    Ok(()) => return,
                    Err(back) => ready = *back,
                },
                Choice::Wait(index) => {
                    let (outlet, standing) = (&candidates[index].1, standings[index].1);
                    let busy = standing == Standing::Full && outlet.per_second.is_none();
                    if !busy || began.elapsed() > BUSY {
                        return self.let_wait(&ready, outlet, standing).await;
                    }
                    let patience = BUSY.saturating_sub(began.elapsed());
                    // Past it is as good as rung: it is looked at again.
                    tokio::time::timeout(patience, outlet.room.notified())
                        .await
                        .ok();
                }
                // There is always the installation's.
                Choice::Nobody => return self.ledger.give_back(&ready.of, at).await,
            }
        }
    }

    fn push(&self, outlet: &Arc<Outlet>, ready: Ready) -> Result<(), Box<Ready>> {
        outlet.push(ready)?;
        if outlet.starts() {
            // Delivery that has ended starts nothing, and nothing waits for it.
            self.starts.send(Arc::clone(outlet)).ok();
        }
        Ok(())
    }

    /// Others take what waits for this sender. By itself, because a lane that stops waiting must
    /// not take messages with it that are still in hand.
    pub(super) fn divert(&self, outlet: &Outlet) {
        let (waiting, dispatcher) = (outlet.drain(), self.clone());
        if waiting.is_empty() {
            return;
        }
        tokio::spawn(async move {
            for ready in waiting {
                dispatcher.meters.diverted();
                dispatcher.offer(ready).await;
            }
        });
    }

    async fn let_wait(&self, ready: &Ready, outlet: &Outlet, standing: Standing) {
        let (now, at) = (Instant::now(), self.clock.now());
        let (wait, due_at, kind, detail) = match standing {
            Standing::Spent => {
                let cap = outlet
                    .allowance
                    .as_ref()
                    .and_then(|allowed| allowed.cap(at));
                let detail = format!("the warm-up allows {} today", cap.unwrap_or_default());
                (LOOK_AGAIN, next_day(at), LimitKind::WarmUp, detail)
            }
            Standing::Closed => {
                let wait = match outlet.breaker.way(now) {
                    Way::Closed(wait) => wait,
                    Way::Trial | Way::Clear => BUSY,
                };
                let reason = outlet.breaker.reason().unwrap_or_default();
                (wait, at, LimitKind::SenderUnavailable, reason)
            }
            Standing::Full | Standing::Open(_) => {
                let detail = match outlet.per_second {
                    Some(rate) => format!("it may send {rate} a second"),
                    None => "it is busy".to_owned(),
                };
                (Duration::from_secs(1), at, LimitKind::SenderRate, detail)
            }
        };
        let mut due_at = due_at;
        match ready.of.campaign_id {
            Some(campaign) => {
                let until = (kind == LimitKind::WarmUp).then_some(due_at);
                self.met(&ready.of, kind, outlet, None, detail, until);
                self.outlets.courses.wait(campaign, now + wait, now);
            }
            None if kind != LimitKind::WarmUp => {
                due_at += TimeDelta::from_std(wait.min(Duration::from_secs(2))).unwrap_or_default();
            }
            None => {}
        }
        self.ledger.give_back(&ready.of, due_at).await;
    }

    pub(super) fn met(
        &self,
        of: &Held,
        kind: LimitKind,
        outlet: &Outlet,
        domain: Option<&str>,
        detail: String,
        until: Option<DateTime<Utc>>,
    ) {
        let limit = Limit {
            kind,
            sender: Some(outlet.name.clone()),
            domain: domain.map(str::to_owned),
            detail,
            until,
        };
        if let Some(campaign) = of.campaign_id {
            let key = (of.workspace_id, campaign);
            self.outlets.courses.met(key, limit, Instant::now());
        }
    }
}
