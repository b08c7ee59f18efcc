//! What `clarion up` needs when it has nothing to do, with its own servers on a fresh folder: the
//! private memory of its process, which holds every service and the mailbox (Postgres and Redis
//! are processes of their own), and how long it takes from its start to its `ready` line.
//!
//! The first start makes the database cluster, every schema and the first owner; a warm one finds
//! them. Memory is read when the platform has been left alone for some seconds after a warm start.

use std::time::Duration;

use super::platform::{Platform, folder};
use super::table::{Aim, Rounds, Row};
use super::{Size, say};

const MOST_MEGABYTES: f64 = 80.0;
const MOST_SECONDS: f64 = 3.0;
/// How long a platform is left alone before its memory is read.
const REST: Duration = Duration::from_secs(5);

pub(super) async fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let folder = folder()?;
    let [mut first, mut warm, mut private, mut resident] =
        std::array::from_fn(|_| Rounds::default());
    first.add_alone(
        Platform::start(folder.path(), &[])
            .await?
            .started_in
            .as_secs_f64(),
    );
    for _ in 0..size.rounds {
        let platform = Platform::start(folder.path(), &[]).await?;
        let started = platform.started_in.as_secs_f64();
        warm.add_alone(started);
        tokio::time::sleep(REST).await;
        let memory = platform.memory()?;
        say(&format!(
            "idle: {:.1} MB private, {:.1} MB resident, started in {started:.2} s",
            memory.0, memory.1
        ));
        private.add_alone(memory.0);
        resident.add_alone(memory.1);
    }
    let row = |name, unit, aim, rounds| Row::new(name, unit, aim, rounds);
    Ok(vec![
        row(
            "idle, private memory",
            "MB",
            Aim::AtMost(MOST_MEGABYTES),
            private,
        )
        .noting("every service in one process"),
        row("idle, resident memory", "MB", Aim::None, resident)
            .noting("the program's own pages included"),
        row("warm start", "s", Aim::AtMost(MOST_SECONDS), warm).noting("from start to `ready`"),
        row("first start", "s", Aim::None, first).noting("makes the database cluster"),
    ])
}
