//! Claims what is due, makes messages of it, and keeps the lanes supplied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Unavailable;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Delivery;
use super::hand::InHand;
use super::heavy::{Heavy, Making};
use super::ledger::Ledger;
use super::letters::{Found, Letter, Letters, LoadError};
use super::outlets::Dispatcher;
use crate::domain::state::State;
use crate::store::bundles::{self, Bundle, Lease};
use crate::store::campaigns::{self, Campaign};
use crate::store::claims::{self, Claimed};
use crate::store::moves::Move;

/// Messages made in one go on a blocking thread.
const CHUNK: usize = 32;
/// How often an idle feeder looks; whoever adds messages in this process wakes it earlier.
const POLL: Duration = Duration::from_millis(250);

/// What a feeder looks after. Messages without a campaign (a receipt, a password link) have a
/// feeder of their own, so that they wait behind no campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Campaigns,
    Singles,
}

impl Source {
    /// A new claim is made when fewer messages than this are in hand.
    fn enough(self) -> usize {
        match self {
            Self::Campaigns => 3 * bundles::SIZE,
            Self::Singles => 256,
        }
    }

    /// Most bundles claimed at a time.
    fn bundles(self) -> i64 {
        match self {
            Self::Campaigns => 2,
            Self::Singles => 64,
        }
    }

    fn left(self, hand: &InHand) -> &Notify {
        match self {
            Self::Campaigns => &hand.left,
            Self::Singles => &hand.left_single,
        }
    }

    fn wake(self, delivery: &Delivery) -> &Notify {
        match self {
            Self::Campaigns => &delivery.wake.campaigns,
            Self::Singles => &delivery.wake.singles,
        }
    }
}

pub(super) struct Feeder {
    source: Source,
    delivery: Delivery,
    ledger: Ledger,
    hand: Arc<InHand>,
    dispatcher: Dispatcher,
    letters: Letters,
    heavy: Heavy,
}

#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
}

impl Feeder {
    pub(super) fn new(
        source: Source,
        delivery: &Delivery,
        ledger: Ledger,
        hand: Arc<InHand>,
        dispatcher: Dispatcher,
    ) -> Self {
        Self {
            source,
            delivery: delivery.clone(),
            ledger,
            hand,
            dispatcher,
            letters: Letters::new(delivery.vault.clone()),
            heavy: Heavy::new(delivery.sending.attachments_memory),
        }
    }

    /// Works until `stop`. Claims that did not reach a lane by then are given back by the caller.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (batches, mut claimed) = mpsc::channel::<Vec<Claimed>>(1);
        let claimer = Claimer {
            source: self.source,
            delivery: self.delivery.clone(),
            ledger: self.ledger.clone(),
            hand: Arc::clone(&self.hand),
            turn: 0,
        };
        let making = async {
            while let Some(batch) = claimed.recv().await {
                self.make(batch).await;
            }
        };
        let making = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = making => {}
            }
        };
        // A claim is never cut off: what it took must be known to be in hand.
        tokio::join!(claimer.run(batches, &stop), making);
    }

    async fn make(&mut self, batch: Vec<Claimed>) {
        let mut work = Vec::with_capacity(CHUNK);
        for message in batch {
            match self.letters.of(&self.delivery.db, &message).await {
                Ok(Ok(letter)) if !message.attachments.is_empty() => {
                    self.make_heavy(message, letter).await;
                }
                Ok(found) => work.push((message, found)),
                Err(error) => self.wait_out(message, error).await,
            }
            if work.len() == CHUNK {
                self.make_chunk(std::mem::take(&mut work)).await;
            }
        }
        self.make_chunk(work).await;
    }

    /// The content cannot be read now; the message waits as if it had not been claimed.
    async fn wait_out(&self, message: Claimed, error: LoadError) {
        tracing::warn!(message.id = %message.of.id, %error, "a content cannot be read at the moment");
        let due_at = self.delivery.clock.now() + TimeDelta::seconds(1);
        self.ledger.give_back(&message.of, due_at).await;
    }

    /// Begins to make a mail with files, if there is room for it now.
    async fn make_heavy(&mut self, message: Claimed, letter: Arc<Letter>) {
        let Some(room) = self.heavy.room_for(&message.attachments) else {
            let due_at = self.delivery.clock.now() + TimeDelta::seconds(1);
            return self.ledger.give_back(&message.of, due_at).await;
        };
        self.heavy.begin(Making {
            db: self.delivery.db.clone(),
            clock: self.delivery.clock.clone(),
            links: self.delivery.links.clone(),
            ledger: self.ledger.clone(),
            dispatcher: self.dispatcher.clone(),
            message,
            letter,
            room,
        });
    }

    async fn make_chunk(&self, work: Vec<(Claimed, Found)>) {
        if work.is_empty() {
            return;
        }
        let (links, now) = (self.delivery.links.clone(), self.delivery.clock.now());
        let made = tokio::task::spawn_blocking(move || {
            let make = |(message, found): (Claimed, Found)| {
                let made = found
                    .map_err(|why| why.to_string())
                    .and_then(|letter| letter.make(&message, &[], &links, now));
                (message.of, made)
            };
            work.into_iter().map(make).collect::<Vec<_>>()
        });
        let made = match made.await {
            Ok(made) => made,
            Err(error) => {
                return tracing::error!(%error, "making messages failed; their leases will end");
            }
        };
        for (of, message) in made {
            match message {
                Ok(ready) => self.dispatcher.offer(ready).await,
                Err(why) => {
                    self.ledger
                        .write(Move::settle(of, State::Skipped, Some(why)))
                        .await
                }
            }
        }
    }
}

/// Takes hold of due bundles, as many as the lanes can use.
struct Claimer {
    source: Source,
    delivery: Delivery,
    ledger: Ledger,
    hand: Arc<InHand>,
    /// Counts claims, so that campaigns take turns.
    turn: usize,
}

/// What a claim took: bundles, and their messages that may be sent.
#[derive(Default)]
struct Taken {
    bundles: Vec<Bundle>,
    messages: Vec<Claimed>,
    /// Who must not be mailed any more, and why.
    withheld: Vec<(Uuid, String)>,
}

impl Claimer {
    async fn run(mut self, batches: mpsc::Sender<Vec<Claimed>>, stop: &CancellationToken) {
        loop {
            let limit = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                limit = self.room() => limit,
            };
            match self.claim(limit).await {
                Ok(Some(batch)) => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        sent = batches.send(batch) => match sent {
                            Ok(()) => continue,
                            Err(_) => return,
                        },
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "messages cannot be claimed at the moment"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.source.wake(&self.delivery).notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Waits until more can be used; answers how many bundles.
    async fn room(&self) -> i64 {
        let of_campaigns = self.source == Source::Campaigns;
        while self.hand.len(of_campaigns) >= self.source.enough() {
            tokio::select! {
                () = self.source.left(&self.hand).notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        self.source.bundles()
    }

    /// The messages of what was claimed; none when nothing is due.
    async fn claim(&mut self, limit: i64) -> Result<Option<Vec<Claimed>>, ClaimError> {
        if !self.delivery.guard.is_open() {
            return Ok(None);
        }
        let now = self.delivery.clock.now();
        let until = now + self.delivery.sending.lease;
        let lease = Lease {
            token: Uuid::now_v7(),
            until,
        };
        self.turn = self.turn.wrapping_add(1);
        let (source, turn) = (self.source, self.turn);
        let outlets = Arc::clone(&self.delivery.outlets);
        let taken = self
            .delivery
            .db
            .transaction(move |conn| match source {
                Source::Singles => claim_singles(conn, lease, now, limit),
                Source::Campaigns => {
                    let waits = |id: Uuid| outlets.courses.waits(id, Instant::now());
                    claim_of_campaigns(conn, lease, now, limit, (turn, &waits))
                }
            })
            .await?;
        if taken.bundles.is_empty() {
            return Ok(None);
        }
        self.take(&taken, lease).await;
        let messages = self.without_withheld(taken).await;
        Ok(Some(messages))
    }

    /// Notes what is in hand now; bundles that nobody is left in end at once.
    async fn take(&self, taken: &Taken, lease: Lease) {
        for bundle in &taken.bundles {
            let theirs = |message: &&Claimed| message.of.bundle == bundle.id;
            let open = taken.messages.iter().filter(theirs).count();
            if open > 0 {
                self.hand.take(bundle, lease.token, lease.until, open);
            } else {
                let end = bundles::End {
                    workspace_id: bundle.workspace_id,
                    id: bundle.id,
                    lease: lease.token,
                    due_at: None,
                };
                self.ledger.end(end).await;
            }
        }
    }

    /// Settles those who must not be mailed any more; the others are to be sent.
    async fn without_withheld(&self, taken: Taken) -> Vec<Claimed> {
        let mut messages = taken.messages;
        for (id, reason) in taken.withheld {
            if let Some(at) = messages.iter().position(|message| message.of.id == id) {
                let message = messages.swap_remove(at);
                self.ledger
                    .write(Move::settle(message.of, State::Suppressed, Some(reason)))
                    .await;
            }
        }
        messages
    }
}

/// Campaigns take turns: each claim begins with another one, and one bundle of each is taken while
/// there is room.
fn claim_of_campaigns(
    conn: &mut PgConnection,
    lease: Lease,
    now: DateTime<Utc>,
    limit: i64,
    (turn, waits): (usize, &dyn Fn(Uuid) -> bool),
) -> Result<Taken, ClaimError> {
    let mut running = campaigns::open(conn, "running")?;
    // No sender can take anything of these for a while.
    running.retain(|campaign| !waits(campaign.id.0));
    let mut taken = Taken::default();
    let first = turn.checked_rem(running.len()).unwrap_or_default();
    running.rotate_left(first);
    let mut room = limit;
    for (index, campaign) in running.iter().enumerate() {
        let left = i64::try_from(running.len() - index).unwrap_or(i64::MAX);
        let part = (room + left - 1) / left;
        let key = (campaign.workspace_id.0, campaign.id.0);
        let bundles = bundles::claim_of_campaign(conn, key, lease, now, part)?;
        room -= i64::try_from(bundles.len()).unwrap_or(room);
        add(conn, &mut taken, bundles, lease, Some(campaign))?;
        if room <= 0 {
            break;
        }
    }
    taken.withheld = claims::withheld(conn, &taken.messages)?;
    Ok(taken)
}

fn claim_singles(
    conn: &mut PgConnection,
    lease: Lease,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Taken, ClaimError> {
    let mut taken = Taken::default();
    let bundles = bundles::claim_without_campaign(conn, lease, now, limit)?;
    add(conn, &mut taken, bundles, lease, None)?;
    taken.withheld = claims::withheld(conn, &taken.messages)?;
    Ok(taken)
}

fn add(
    conn: &mut PgConnection,
    taken: &mut Taken,
    bundles: Vec<Bundle>,
    lease: Lease,
    campaign: Option<&Campaign>,
) -> Result<(), ClaimError> {
    let messages = claims::members(conn, &bundles, lease.token, campaign)?;
    taken.messages.extend(messages);
    taken.bundles.extend(bundles);
    Ok(())
}
