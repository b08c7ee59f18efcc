//! What is broken, for how long, and how many messages may be of unknown fate because of it.

use std::fmt;
use std::time::Duration;

use mailbox::{DropEvery, DropWhen, Faults, Refusal, Stage};
use rand::RngExt;
use rand::rngs::StdRng;

use super::world::{CONNECTIONS, REPLICAS, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    KillReplica(usize),
    KillAllReplicas,
    StopPostgres,
    KillRedis,
    /// The sink ends connections at every so many messages.
    Drop(DropWhen, u64),
    SinkAway,
    SinkHangs,
    SinkSlow,
    Refuse(Stage, u16),
}

/// How long a fault lasts.
const SHORT: std::ops::Range<u64> = 100..600;
/// Longer than a command's time, so that hanging is noticed.
const HANG: Duration = Duration::from_millis(3_500);

impl Fault {
    pub(super) fn random(random: &mut StdRng) -> Self {
        let stage = [Stage::Connect, Stage::Mail, Stage::Rcpt, Stage::Data];
        let stage = stage[random.random_range(0..stage.len())];
        let nth = random.random_range(3..40);
        match random.random_range(0..13) {
            0 | 1 => Self::KillReplica(random.random_range(0..REPLICAS)),
            2 => Self::KillAllReplicas,
            3 => Self::StopPostgres,
            4 => Self::KillRedis,
            5 => Self::Drop(DropWhen::Unstored, nth),
            6 => Self::Drop(DropWhen::BeforeReply, nth),
            7 => Self::Drop(DropWhen::AfterReply, nth),
            8 => Self::SinkAway,
            9 => Self::SinkHangs,
            10 => Self::SinkSlow,
            11 => Self::Refuse(stage, 451),
            _ => Self::Refuse(stage, 554),
        }
    }

    /// Breaks it, waits, and mends it. Answers how many messages were in `DATA` at most when it
    /// happened: of those nobody may know.
    pub(super) async fn happen(
        self,
        world: &mut World,
        random: &mut StdRng,
    ) -> anyhow::Result<u64> {
        let pause = Duration::from_millis(random.random_range(SHORT));
        let everywhere = CONNECTIONS * REPLICAS as u64;
        match self {
            Self::KillReplica(at) => {
                world.kill(at)?;
                tokio::time::sleep(pause).await;
                world.start_replica(at).await?;
                Ok(CONNECTIONS)
            }
            Self::KillAllReplicas => {
                (0..REPLICAS).try_for_each(|at| world.kill(at))?;
                tokio::time::sleep(pause).await;
                for at in 0..REPLICAS {
                    world.start_replica(at).await?;
                }
                Ok(everywhere)
            }
            Self::StopPostgres => {
                world.crash_postgres(pause).await?;
                // What began before it may outlive its lease.
                Ok(everywhere)
            }
            Self::KillRedis => {
                world.crash_redis(pause).await?;
                Ok(0)
            }
            Self::Drop(when, nth) => {
                let before = world.sink().dropped();
                let faults = Faults {
                    drop: Some(DropEvery { nth, when }),
                    ..Faults::default()
                };
                world.suffer(faults, pause).await;
                Ok(world.sink().dropped() - before)
            }
            Self::SinkAway => {
                let away = Faults {
                    away: true,
                    ..Faults::default()
                };
                world.suffer(away, pause).await;
                Ok(everywhere)
            }
            Self::SinkHangs => {
                let hang = Faults {
                    hang: true,
                    ..Faults::default()
                };
                world.suffer(hang, HANG).await;
                Ok(everywhere)
            }
            Self::SinkSlow => {
                let slow = Faults {
                    delay_ms: 20,
                    ..Faults::default()
                };
                world.suffer(slow, pause).await;
                Ok(0)
            }
            Self::Refuse(stage, code) => {
                let refuse = Some(Refusal { stage, code });
                let faults = Faults {
                    refuse,
                    ..Faults::default()
                };
                world.suffer(faults, pause / 4).await;
                Ok(0)
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillReplica(at) => write!(f, "kill -9 of replica {at}"),
            Self::KillAllReplicas => f.write_str("kill -9 of all replicas"),
            Self::StopPostgres => f.write_str("Postgres stopped immediately"),
            Self::KillRedis => f.write_str("Redis killed"),
            Self::Drop(DropWhen::Unstored, _) => f.write_str("dropped, message not taken"),
            Self::Drop(DropWhen::BeforeReply, _) => f.write_str("dropped before the reply"),
            Self::Drop(DropWhen::AfterReply, _) => f.write_str("dropped after the reply"),
            Self::SinkAway => f.write_str("the mail server away"),
            Self::SinkHangs => f.write_str("the mail server hangs"),
            Self::SinkSlow => f.write_str("the mail server slow"),
            Self::Refuse(_, code) if *code < 500 => f.write_str("4xx for everybody"),
            Self::Refuse(..) => f.write_str("5xx for everybody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_seed_repeats_its_faults_and_every_kind_comes_up() {
        let faults = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (0..300)
                .map(|_| Fault::random(&mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        let kinds: std::collections::BTreeSet<_> =
            faults(7).iter().map(ToString::to_string).collect();
        assert_eq!(kinds.len(), 13, "{kinds:?}");
    }
}
