//! Who watches, and what wakes them: every commit rings for its workspace through Redis, to all
//! replicas. Redis is the bell and Postgres the log: without it they look every now and then.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::Host;
use chrono::{DateTime, Utc};
use common::WorkspaceId;
use deadpool_redis::redis;
use futures::StreamExt;
use tokio::sync::{mpsc, watch};

/// Where commits are told.
const CHANNEL: &str = "clarion:live";
/// Commits of so long are told together.
const GATHER: Duration = Duration::from_millis(50);
/// Between two attempts to reach Redis.
const PAUSE: Duration = Duration::from_secs(1);

/// Wakes those who watch. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    committed: mpsc::UnboundedSender<(WorkspaceId, DateTime<Utc>)>,
    watched: Arc<Mutex<HashMap<WorkspaceId, watch::Sender<Ring>>>>,
}

/// Most rings of which it is remembered what they told.
const RECENT: usize = 64;

/// How often it rang, and since when what the last rings told of was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    pub times: u64,
    recent: VecDeque<DateTime<Utc>>,
}

impl Ring {
    /// Since when that was received which was told after so many rings; nothing if nothing was.
    /// Whoever missed too many rings looks back as far as it can.
    pub fn since(&self, times: u64) -> Option<DateTime<Utc>> {
        let missed = usize::try_from(self.times - times).unwrap_or(usize::MAX);
        match missed > self.recent.len() {
            true => Some(DateTime::<Utc>::MIN_UTC),
            false => self.recent.iter().rev().take(missed).min().copied(),
        }
    }
}

/// What the bell's task takes in.
#[derive(Debug)]
pub struct Commits(mpsc::UnboundedReceiver<(WorkspaceId, DateTime<Utc>)>);

impl Live {
    pub fn new() -> (Self, Commits) {
        let (committed, commits) = mpsc::unbounded_channel();
        let live = Self {
            committed,
            watched: Arc::default(),
        };
        (live, Commits(commits))
    }

    /// Says that events of a workspace are committed, the oldest of them received at this time.
    pub fn committed(&self, workspace: WorkspaceId, since: DateTime<Utc>) {
        // While the service stops nobody listens any more.
        self.committed.send((workspace, since)).ok();
    }

    /// Rings whenever something of a workspace is committed, on whichever replica.
    pub fn watch(&self, workspace: WorkspaceId) -> watch::Receiver<Ring> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| sender.receiver_count() > 0);
        let sender = watched
            .entry(workspace)
            .or_insert_with(|| watch::Sender::new(Ring::default()));
        sender.subscribe()
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values().map(watch::Sender::receiver_count).sum()
    }

    fn ring(&self, workspace: WorkspaceId, since: DateTime<Utc>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&workspace) {
            sender.send_modify(|ring| {
                ring.times += 1;
                ring.recent.push_back(since);
                if ring.recent.len() > RECENT {
                    ring.recent.pop_front();
                }
            });
        }
    }

    fn heard(&self, message: &str) {
        for line in message.lines() {
            let told = line.split_once(' ').and_then(|(workspace, micros)| {
                let since = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
                Some((workspace.parse::<WorkspaceId>().ok()?, since))
            });
            if let Some((workspace, since)) = told {
                self.ring(workspace, since);
            }
        }
    }
}

/// Tells commits and hears of them until the service stops.
pub async fn run(host: Host, live: Live, commits: Commits) {
    let Commits(mut commits) = commits;
    let Some(redis) = &host.redis else {
        // Alone: what is committed here is all there is.
        loop {
            tokio::select! {
                () = host.stop.cancelled() => return,
                Some((workspace, since)) = commits.recv() => live.ring(workspace, since),
            }
        }
    };
    loop {
        let connected = tokio::select! {
            () = host.stop.cancelled() => return,
            done = connected(&live, redis.client(), &mut commits) => done,
        };
        if let Err(error) = connected {
            tracing::warn!(%error, "redis is away: who watches looks every now and then");
        }
        tokio::select! {
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        // Nobody was told of these; those who watch here need not wait for the next.
        while let Ok((workspace, since)) = commits.try_recv() {
            live.ring(workspace, since);
        }
    }
}

/// Works until the connection ends.
async fn connected(
    live: &Live,
    client: &redis::Client,
    commits: &mut mpsc::UnboundedReceiver<(WorkspaceId, DateTime<Utc>)>,
) -> redis::RedisResult<()> {
    let mut publisher = client.get_multiplexed_async_connection().await?;
    let mut subscriber = client.get_async_pubsub().await?;
    subscriber.subscribe(CHANNEL).await?;
    let mut messages = subscriber.on_message();
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => live.heard(&message.get_payload::<String>()?),
                None => return Ok(()),
            },
            Some(first) = commits.recv() => {
                tokio::time::sleep(GATHER).await;
                let message = gather(first, commits);
                let () = redis::cmd("PUBLISH").arg(CHANNEL).arg(message).query_async(&mut publisher).await?;
            }
        }
    }
}

/// A line for every workspace of which something waits to be told.
fn gather(
    first: (WorkspaceId, DateTime<Utc>),
    commits: &mut mpsc::UnboundedReceiver<(WorkspaceId, DateTime<Utc>)>,
) -> String {
    let mut oldest = HashMap::from([first]);
    while let Ok((workspace, since)) = commits.try_recv() {
        let known = oldest.entry(workspace).or_insert(since);
        *known = since.min(*known);
    }
    let line = |(workspace, since): (WorkspaceId, DateTime<Utc>)| {
        format!("{workspace} {}\n", since.timestamp_micros())
    };
    oldest.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_rung_for_and_nobody_else() {
        let (live, _commits) = Live::new();
        let (mine, theirs) = (WorkspaceId::new(), WorkspaceId::new());
        let watching = live.watch(mine);
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        live.heard(&format!(
            "{mine} {}\nnonsense\n{theirs} 5\n",
            at(20).timestamp_micros()
        ));
        live.heard(&format!("{mine} {}\n", at(10).timestamp_micros()));
        let ring = watching.borrow().clone();
        assert_eq!(
            (ring.times, ring.since(0), ring.since(1)),
            (2, Some(at(10)), Some(at(10)))
        );
        assert_eq!(ring.since(2), None);
        assert_eq!(live.watchers(), 1);
        drop(watching);
        live.watch(theirs);
        assert_eq!(live.watchers(), 0);
    }

    #[test]
    fn whoever_missed_too_many_rings_looks_back_as_far_as_it_can() {
        let (live, _commits) = Live::new();
        let workspace = WorkspaceId::new();
        let watching = live.watch(workspace);
        for _ in 0..=RECENT {
            live.ring(workspace, Utc::now());
        }
        let ring = watching.borrow().clone();
        assert_eq!(ring.since(0), Some(DateTime::<Utc>::MIN_UTC));
        assert!(
            ring.since(1)
                .is_some_and(|since| since > DateTime::<Utc>::MIN_UTC)
        );
    }

    #[test]
    fn commits_that_come_together_are_one_line() {
        let (live, Commits(mut commits)) = Live::new();
        let workspace = WorkspaceId::new();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        live.committed(workspace, at(7));
        live.committed(workspace, at(9));
        let text = gather((workspace, at(8)), &mut commits);
        assert_eq!(text, format!("{workspace} 7000000\n"));
    }
}
