//! Private Postgres and Redis for a test binary.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use laptop::{Postgres, PostgresOptions, Redis, RedisOptions};

/// A Postgres and a Redis of one's own. They die with this process.
#[derive(Debug)]
pub struct Servers {
    pub postgres: Postgres,
    pub redis: Redis,
}

static SHARED: OnceLock<Servers> = OnceLock::new();
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Servers {
    /// The ones all tests of this binary share.
    pub fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::start(false))
    }

    /// A pair for a test that stops them or needs commits to survive a crash.
    pub fn private() -> Self {
        Self::start(true)
    }

    /// A streaming replica of the Postgres, as far as it is now and from then on.
    pub fn replica(&self) -> Postgres {
        let data = folder().join("replica");
        let slot = format!("replica_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.postgres
            .copy_for_replica(&data, &slot)
            .expect("a running Postgres can be copied");
        Postgres::start(options(data, true)).expect("a replica starts")
    }

    fn start(durable: bool) -> Self {
        let folder = folder();
        let postgres = options(folder.join("postgres"), durable);
        let mut redis = RedisOptions::new(folder.join("redis"));
        redis.durable = durable;
        Self {
            postgres: Postgres::start(postgres).expect("a private Postgres starts"),
            redis: Redis::start(redis).expect("a private Redis starts"),
        }
    }
}

fn options(data: PathBuf, durable: bool) -> PostgresOptions {
    let mut postgres = PostgresOptions::new(data);
    postgres.durable = durable;
    postgres.max_connections = 400;
    let buffers = ("shared_buffers".into(), "64MB".into());
    postgres.settings.push(buffers);
    postgres
}

/// A fresh folder; those of test processes that are gone are removed.
fn folder() -> PathBuf {
    let root = std::env::temp_dir().join("clarion-tests");
    for entry in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .split('-')
            .next()
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another test process may be removing the same folder.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    root.join(format!("{}-{number}", std::process::id()))
}
