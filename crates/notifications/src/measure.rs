//! The sending path without the ledger, for measurements: the same letters, made and handed over
//! by the same code, with nothing written down. What it sends is not accounted for.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::Utc;
use common::dto::dispatch::CampaignSnapshot;
use common::ids::CampaignId;
use common::token::Keyring;
use common::values::Secret;
use mail::smtp::{Connection, Handed, Next, Permit, SmtpServer, Timeouts};
use url::Url;
use uuid::Uuid;

use crate::delivery::{Letter, Links, Ready};
use crate::store::claims::{Claimed, Kind};
use crate::store::moves::Held;

/// What is sent, and how.
#[derive(Debug)]
pub struct Load {
    pub snapshot: CampaignSnapshot,
    /// Each a lead's variables with an `email`; repeated until there are enough messages.
    pub people: Vec<serde_json::Value>,
    pub messages: usize,
    /// As `SMTP_URL` says it.
    pub server: String,
    pub connections: usize,
}

/// A letter and whom it goes to.
#[derive(Debug)]
struct Work {
    letter: Letter,
    links: Links,
    people: Vec<serde_json::Value>,
    campaign: CampaignId,
    messages: usize,
    next: AtomicUsize,
}

/// Messages made in one go on a blocking thread, as the feeder does.
const CHUNK: usize = 32;

impl Work {
    fn new(load: &Load) -> anyhow::Result<Self> {
        let campaign = CampaignId::new();
        let public = Url::parse("http://127.0.0.1:9/")?;
        let keys = Keyring::new(Secret::new("a secret of a measurement"));
        let letter = Letter::new(load.snapshot.clone(), Some(campaign), "Bench".into());
        Ok(Self {
            letter: letter.map_err(anyhow::Error::msg)?,
            links: Links::new(keys, &public),
            people: load.people.clone(),
            campaign,
            messages: load.messages,
            next: AtomicUsize::new(0),
        })
    }

    fn claimed(&self, index: usize) -> Option<Claimed> {
        let lead = self.people.get(index % self.people.len().max(1))?;
        Some(Claimed {
            of: Held {
                workspace_id: Uuid::nil(),
                id: Uuid::now_v7(),
                campaign_id: Some(self.campaign.0),
                lead_id: Some(Uuid::now_v7()),
                bundle: Uuid::nil(),
                place: 0,
                lease: Uuid::nil(),
            },
            kind: Kind::Campaign,
            snapshot_id: Uuid::nil(),
            policy: Default::default(),
            began_at: Some(Utc::now()),
            address: lead["email"].as_str().unwrap_or_default().to_owned(),
            variables: lead.into(),
            attempts: 0,
            attachments: Vec::new(),
        })
    }

    /// The next few messages; none when there are enough.
    fn chunk(&self) -> Result<Vec<Ready>, String> {
        let first = self.next.fetch_add(CHUNK, Ordering::Relaxed);
        let last = (first + CHUNK).min(self.messages);
        let claimed = (first..last).filter_map(|index| self.claimed(index));
        claimed
            .map(|message| self.letter.make(&message, &[], &self.links, Utc::now()))
            .collect()
    }
}

/// How long making messages takes alone, on one thread: each, on average.
pub fn make(load: &Load) -> anyhow::Result<Duration> {
    let work = Work::new(load)?;
    let began = Instant::now();
    while !work.chunk().map_err(anyhow::Error::msg)?.is_empty() {}
    let messages = u32::try_from(load.messages.max(1)).unwrap_or(u32::MAX);
    Ok(began.elapsed() / messages)
}

/// Makes and sends all messages; answers how long it took.
pub async fn send(load: &Load) -> anyhow::Result<Duration> {
    let server = SmtpServer::from_str(&load.server).map_err(anyhow::Error::msg)?;
    let work = Arc::new(Work::new(load)?);
    let (queue, waiting) = async_channel::bounded::<Ready>(load.connections * 2 + 64);
    let began = Instant::now();
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..load.connections {
        lanes.spawn(lane(server.clone(), waiting.clone()));
    }
    drop(waiting);
    loop {
        let making = Arc::clone(&work);
        let made = tokio::task::spawn_blocking(move || making.chunk()).await?;
        let made = made.map_err(anyhow::Error::msg)?;
        if made.is_empty() {
            break;
        }
        for ready in made {
            queue.send(ready).await.context("all connections ended")?;
        }
    }
    drop(queue);
    while let Some(ended) = lanes.join_next().await {
        ended??;
    }
    Ok(began.elapsed())
}

/// Nothing has to be written first.
struct Always;

impl Permit for Always {
    async fn granted(&mut self) -> bool {
        true
    }
}

async fn lane(server: SmtpServer, waiting: async_channel::Receiver<Ready>) -> anyhow::Result<()> {
    let timeouts = Timeouts::scaled(Duration::from_secs(60));
    let mut connection = Connection::open(&server, timeouts).await?;
    let mut ahead = None::<Ready>;
    while let Some(ready) = match ahead.take() {
        Some(ready) => Some(ready),
        None => waiting.recv().await.ok(),
    } {
        ahead = waiting.try_recv().ok();
        let next = ahead.as_ref().map(|next| Next {
            envelope: &next.envelope,
            size: next.content.len(),
        });
        let handed = connection
            .hand_over(&ready.envelope, &ready.content, &mut Always, next)
            .await;
        match handed {
            Handed::Answered(_, reply) if reply.is_positive() => {}
            other => bail!("a message was not taken: {other:?}"),
        }
    }
    connection.quit().await;
    Ok(())
}
