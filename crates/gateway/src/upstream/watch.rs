//! Looks after the pools: names are looked up again, and replicas are asked how they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::timeout;

use super::connection::{Connection, Failure};
use super::pool::{Pool, Pools};
use super::replica::Replica;
use crate::gate::Shared;

/// How often replicas are asked, how long they may take, and how often names are looked up.
const CHECK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_UP_EVERY: u32 = 5;
/// How long a start or a new table waits for its names.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Looks up the names that were not looked up yet, so that whoever asks at once is answered. Name
/// servers that are slow are not waited for.
pub(crate) async fn look_up(pools: &Pools) {
    let unknown = pools.values().filter(|pool| pool.is_lost());
    let looking = join_all(unknown.map(|pool| pool.resolve()));
    timeout(FIRST_LOOK, looking).await.ok();
}

/// Works until the gateway stops.
pub(crate) async fn watch(shared: Arc<Shared>) {
    // The start has looked names up already.
    for round in 1_u32.. {
        let table = shared.table.load_full();
        let pools = table.pools().values().map(|pool| look(pool, round));
        tokio::select! {
            () = shared.close.cancelled() => return,
            _ = join_all(pools) => {}
        }
        // A name that nobody answers for is looked up sooner.
        let pause = match table.pools().values().any(|pool| pool.is_lost()) {
            true => Duration::from_millis(200),
            false => CHECK,
        };
        tokio::select! {
            () = shared.close.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(pool: &Pool, round: u32) {
    if pool.is_lost() || (pool.has_names() && round.is_multiple_of(LOOK_UP_EVERY)) {
        pool.resolve().await;
    }
    let replicas = pool.replicas();
    // The only one is asked in any case, whatever it says of itself.
    if replicas.len() > 1 {
        let checks = replicas.iter().map(|replica| check(pool, replica));
        join_all(checks).await;
    }
}

async fn check(pool: &Pool, replica: &Replica) {
    let asked = timeout(PATIENCE, ask(pool, replica)).await;
    replica.checked(asked.unwrap_or_else(|_| Err(Failure::Late.to_string())));
}

/// Asks by a connection of its own: that one can be made is a part of the answer.
async fn ask(pool: &Pool, replica: &Replica) -> Result<(), String> {
    let asking = async {
        let mut connection = Connection::open(replica).await?;
        let (path, host) = (&pool.check, &replica.host);
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        connection.out.extend_from_slice(head.as_bytes());
        let until = Instant::now() + PATIENCE;
        connection.send(until).await?;
        connection.head(until).await
    };
    let asked: Result<_, Failure> = asking.await;
    match asked {
        Ok(head) if (200..300).contains(&head.status) => Ok(()),
        Ok(head) => Err(format!("it answered {}", head.status)),
        Err(failure) => Err(failure.to_string()),
    }
}
