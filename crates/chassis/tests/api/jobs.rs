use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::jobs::{Done, Job, Runner, enqueue, waiting};
use chassis::{Clock, Host};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use testkit::{Database, eventually};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::probe::{clock, database, host};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ring {
    number: u32,
    once: Option<String>,
}

impl Job for Ring {
    const KIND: &'static str = "ring";

    fn unique_key(&self) -> Option<String> {
        self.once.clone()
    }
}

fn ring(number: u32) -> Ring {
    Ring { number, once: None }
}

/// What ran, as (number, attempt).
type Log = Arc<Mutex<Vec<(u32, u32)>>>;

struct Bench {
    database: Database,
    clock: Clock,
    host: Host,
    log: Log,
}

impl Bench {
    async fn new() -> Self {
        let (database, clock) = (database(), clock());
        let host = host(&database, &clock, None).await;
        Self {
            database,
            clock,
            host,
            log: Log::default(),
        }
    }

    /// A worker that logs each run and ends it as `done` says, by attempt.
    fn worker(&self, done: impl Fn(u32) -> Done + Send + Sync + 'static) -> Runner {
        let log = Arc::clone(&self.log);
        Runner::new(&self.host).on(move |job: Ring, attempt| {
            log.lock()
                .expect("no panic holds it")
                .push((job.number, attempt));
            let done = done(attempt);
            async move { done }
        })
    }

    fn enqueue(&self, job: &Ring) {
        enqueue(&mut self.database.connect(), job, self.clock.now())
            .expect("the jobs table is there");
    }

    fn waiting(&self) -> i64 {
        waiting(&mut self.database.connect(), self.clock.now()).expect("the jobs table is there")
    }

    fn ran(&self) -> Vec<(u32, u32)> {
        self.log.lock().expect("no panic holds it").clone()
    }
}

#[tokio::test]
async fn a_job_runs_when_it_is_due_and_not_again() {
    let bench = Bench::new().await;
    let worker = bench.worker(|_| Done::Done);
    let later = bench.clock.now() + Duration::from_secs(60);
    enqueue(&mut bench.database.connect(), &ring(1), later).unwrap();
    assert_eq!(worker.run_due().await, 0);

    bench.clock.advance(chrono::Duration::seconds(60));
    assert_eq!(worker.run_due().await, 1);
    assert_eq!(worker.run_due().await, 0);
    assert_eq!(bench.ran(), [(1, 1)]);
}

#[tokio::test]
async fn a_job_exists_with_the_commit_or_not_at_all() {
    let bench = Bench::new().await;
    let now = bench.clock.now();
    let undone: QueryResult<()> = bench.database.connect().transaction(|conn| {
        enqueue(conn, &ring(1), now)?;
        Err(diesel::result::Error::RollbackTransaction)
    });
    assert!(undone.is_err());
    assert_eq!(bench.worker(|_| Done::Done).run_due().await, 0);
}

#[tokio::test]
async fn a_job_is_retried_after_its_pause_and_given_up_when_it_says_so() {
    let bench = Bench::new().await;
    let worker = bench.worker(|attempt| match attempt {
        1 | 2 => Done::RetryAfter(Duration::from_secs(30), "not yet".into()),
        _ => Done::GiveUp("never".into()),
    });
    bench.enqueue(&ring(1));
    assert_eq!(worker.run_due().await, 1);
    bench.clock.advance(chrono::Duration::seconds(29));
    assert_eq!(worker.run_due().await, 0, "the pause has not passed");
    for _ in 0..2 {
        bench.clock.advance(chrono::Duration::seconds(31));
        assert_eq!(worker.run_due().await, 1);
    }
    assert_eq!(bench.ran(), [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(bench.waiting(), 0, "given up");
}

#[tokio::test]
async fn jobs_with_one_key_are_one_while_the_first_waits() {
    let bench = Bench::new().await;
    let worker = bench.worker(|_| Done::Done);
    let once = |number| Ring {
        number,
        once: Some("the key".into()),
    };
    bench.enqueue(&once(1));
    bench.enqueue(&once(2));
    bench.enqueue(&ring(3));
    assert_eq!(worker.run_due().await, 2);
    bench.enqueue(&once(4));
    assert_eq!(worker.run_due().await, 1);
    assert_eq!(bench.ran(), [(1, 1), (3, 1), (4, 1)]);
}

#[tokio::test]
async fn two_workers_run_each_job_once() {
    let bench = Bench::new().await;
    for number in 0..40 {
        bench.enqueue(&ring(number));
    }
    let other = host(&bench.database, &bench.clock, None).await;
    let log = Arc::clone(&bench.log);
    let other = Runner::new(&other).on(move |job: Ring, attempt| {
        log.lock().unwrap().push((job.number, attempt));
        async { Done::Done }
    });
    let own = bench.worker(|_| Done::Done);
    let (one, two) = futures::join!(own.run_due(), other.run_due());
    assert_eq!(one + two, 40);
    let mut ran = bench.ran();
    ran.sort_unstable();
    assert_eq!(ran, (0..40).map(|number| (number, 1)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stuck_workers_job_is_taken_over_and_its_late_end_changes_nothing() {
    let bench = Bench::new().await;
    bench.enqueue(&ring(1));
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (Arc::clone(&begun), Arc::clone(&go_on));
    let stuck = Runner::new(&bench.host).on(move |_: Ring, _| {
        let (begun, go_on) = signals.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            Done::Done
        }
    });
    let stuck = tokio::spawn(async move { stuck.run_due().await });
    begun.notified().await;

    let other = bench.worker(|_| Done::RetryAfter(Duration::from_secs(5), "later".into()));
    assert_eq!(other.run_due().await, 0, "the lease holds");
    bench.clock.advance(chrono::Duration::seconds(16));
    assert_eq!(other.run_due().await, 1, "the lease has run out");
    assert_eq!(bench.ran(), [(1, 2)]);

    go_on.notify_one();
    stuck.await.expect("it ends");
    bench.clock.advance(chrono::Duration::seconds(5));
    assert_eq!(
        bench.waiting(),
        1,
        "the job is not the stuck worker's to end"
    );
}

#[tokio::test]
async fn a_job_that_panics_is_retried_and_takes_nobody_along() {
    let bench = Bench::new().await;
    let log = Arc::clone(&bench.log);
    let worker = Runner::new(&bench.host).on(move |job: Ring, attempt| {
        log.lock().unwrap().push((job.number, attempt));
        async move {
            assert!(
                job.number != 1 || attempt > 1,
                "this panic is part of the test"
            );
            Done::Done
        }
    });
    bench.enqueue(&ring(1));
    bench.enqueue(&ring(2));
    assert_eq!(worker.run_due().await, 2);
    bench.clock.advance(chrono::Duration::hours(1));
    assert_eq!(worker.run_due().await, 1);
    assert_eq!(bench.ran(), [(1, 1), (2, 1), (1, 2)]);
    assert_eq!(bench.waiting(), 0);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_given_up_and_other_kinds_are_left_alone() {
    let bench = Bench::new().await;
    bench
        .database
        .connect()
        .batch_execute(
            "INSERT INTO jobs (id, kind, payload, run_at) VALUES
             (gen_random_uuid(), 'ring', '{\"number\": \"seven\"}', '2026-01-01'),
             (gen_random_uuid(), 'of another release', '{}', '2026-01-01')",
        )
        .unwrap();
    assert_eq!(bench.worker(|_| Done::Done).run_due().await, 1);
    assert!(bench.ran().is_empty());
    assert_eq!(bench.waiting(), 1);
}

#[tokio::test]
async fn a_running_worker_hears_of_new_jobs_and_ends_when_told() {
    let bench = Bench::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(bench.worker(|_| Done::Done).run(2, stop.clone()));
    let now = bench.clock.now();
    let work = move |conn: &mut PgConnection| enqueue(conn, &ring(9), now).map_err(Failed::from);
    bench.host.db.transaction(work).await.unwrap();
    eventually("the job has run", || async { bench.ran() == [(9, 1)] }).await;
    stop.cancel();
    running.await.expect("it ends");
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Unavailable(#[from] chassis::Unavailable),
}
