//! Looks after the pools: names are looked up again, and replicas are asked how they are.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::pool::Pool;
use super::replica::Replica;
use crate::gate::Shared;

/// How often replicas are asked, how long they may take, and how often names are looked up.
const CHECK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_UP_EVERY: u32 = 5;

/// Works until the gateway stops.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let http = chassis::client::http();
    for round in 0_u32.. {
        let table = shared.table.load_full();
        let pools = table.pools().values().map(|pool| look(pool, &http, round));
        tokio::select! {
            () = shared.close.cancelled() => return,
            _ = join_all(pools) => {}
        }
        // A name that nobody answers for is looked up sooner.
        let lost = |pool: &Arc<Pool>| pool.has_names() && pool.replicas().is_empty();
        let pause = match table.pools().values().any(lost) {
            true => Duration::from_millis(200),
            false => CHECK,
        };
        tokio::select! {
            () = shared.close.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(pool: &Pool, http: &reqwest::Client, round: u32) {
    if pool.has_names() && (pool.replicas().is_empty() || round.is_multiple_of(LOOK_UP_EVERY)) {
        pool.resolve().await;
    }
    let replicas = pool.replicas();
    // The only one is asked in any case, whatever it says of itself.
    if replicas.len() > 1 {
        let checks = replicas.iter().map(|replica| check(pool, replica, http));
        join_all(checks).await;
    }
}

async fn check(pool: &Pool, replica: &Replica, http: &reqwest::Client) {
    let url = format!("http://{}{}", replica.address, pool.check);
    let asked = http
        .get(url)
        .header("host", replica.host.as_ref())
        .timeout(PATIENCE)
        .send();
    let well = asked.await.is_ok_and(|answer| answer.status().is_success());
    replica.checked(well);
}
