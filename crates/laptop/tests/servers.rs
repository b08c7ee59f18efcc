//! The real servers: started, stopped, killed, orphaned and refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use laptop::{Error, Postgres, PostgresOptions, Redis, RedisOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn fast(folder: &Path) -> PostgresOptions {
    PostgresOptions {
        durable: false,
        ..PostgresOptions::new(folder)
    }
}

fn query(url: &str, sql: &str) -> String {
    let output = Command::new("psql")
        .args([url, "-XAtc", sql])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn ask_redis(redis: &Redis, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    write!(stream, "{command}\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_running(pid: i32) -> bool {
    // A zombie that nobody has reaped yet runs no more.
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The example program that starts both servers in a folder and stays.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/hold")
}

#[test]
fn postgres_keeps_its_data_over_a_stop_and_a_crash() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("pg");
    let mut postgres = Postgres::start(fast(&folder)).unwrap();
    let (url, first) = (postgres.url(), postgres.pid());
    query(
        &url,
        "create table kept (n int); insert into kept values (7)",
    );

    assert!(matches!(
        postgres.start_again(),
        Err(Error::AlreadyRunning { .. })
    ));
    postgres.stop_immediate();
    assert!(!is_running(first));
    postgres.start_again().unwrap();
    assert_eq!(query(&url, "select n from kept"), "7");

    let second = postgres.pid();
    postgres.stop();
    assert!(!is_running(second));

    let again = Postgres::start(fast(&folder)).unwrap();
    assert_eq!(query(&again.url(), "select n from kept"), "7");
    assert_eq!(query(&again.url(), "show fsync"), "off");
    let third = again.pid();
    drop(again);
    assert!(!is_running(third));
}

#[test]
fn settings_and_durability_reach_postgres() {
    let home = tempfile::tempdir().unwrap();
    let mut options = PostgresOptions::new(home.path().join("pg"));
    options.max_connections = 33;
    options.settings = vec![("work_mem".into(), "9MB".into())];
    let postgres = Postgres::start(options).unwrap();

    let shown = |name: &str| query(&postgres.url(), &format!("show {name}"));
    assert_eq!(shown("max_connections"), "33");
    assert_eq!(shown("work_mem"), "9MB");
    assert_eq!(shown("fsync"), "on");
    assert_eq!(shown("synchronous_commit"), "on");
    assert_eq!(shown("server_encoding"), "UTF8");
}

#[test]
fn redis_keeps_durable_data_and_forgets_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("redis");
    let redis = Redis::start(RedisOptions::new(&folder)).unwrap();
    assert!(ask_redis(&redis, "SET colour green").contains("+OK"));
    let pid = redis.pid();
    redis.stop();
    assert!(!is_running(pid));

    let mut redis = Redis::start(RedisOptions::new(&folder)).unwrap();
    assert!(ask_redis(&redis, "GET colour").contains("green"));
    redis.stop_immediate();
    redis.start_again().unwrap();
    assert!(ask_redis(&redis, "GET colour").contains("green"));
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    drop(redis);

    let passing = RedisOptions {
        durable: false,
        databases: 64,
        ..RedisOptions::new(&folder)
    };
    let passing = Redis::start(passing).unwrap();
    assert!(ask_redis(&passing, "SELECT 63").contains("+OK"));
    assert!(ask_redis(&passing, "GET colour").contains("$-1"));
}

#[test]
fn a_killed_parent_leaves_no_orphan_and_its_data_is_found_again() {
    let home = tempfile::tempdir().unwrap();
    let mut parent = Command::new(example())
        .arg(home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pids: Vec<i32> = line
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 2, "{line}");
    assert!(pids.iter().all(|pid| is_running(*pid)));

    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("both servers are gone", || {
        !pids.iter().any(|pid| is_running(*pid))
    });

    let postgres = Postgres::start(PostgresOptions::new(home.path().join("postgres"))).unwrap();
    assert_eq!(query(&postgres.url(), "select 1"), "1");
}

#[test]
fn a_start_waits_for_the_last_server_on_the_folder_to_be_gone() {
    let home = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(fast(&home.path().join("pg"))).unwrap();
    let pid = Pid::from_raw(postgres.pid());
    let folder = home.path().join("pg");
    let second = thread::spawn(move || Postgres::start(fast(&folder)));
    kill(pid, Signal::SIGINT).unwrap();
    let second = second.join().unwrap().unwrap();
    assert_eq!(query(&second.url(), "select 1"), "1");
}

#[test]
fn a_folder_in_use_is_refused_with_the_pid() {
    let home = tempfile::tempdir().unwrap();
    let postgres = Postgres::start(fast(&home.path().join("pg"))).unwrap();
    let refusal = Postgres::start(fast(&home.path().join("pg")))
        .unwrap_err()
        .to_string();
    assert!(
        refusal.ends_with(&format!("in use by process {}", postgres.pid())),
        "{refusal}"
    );
    assert_eq!(query(&postgres.url(), "select 1"), "1");
}

#[test]
fn stale_files_with_a_living_number_do_not_stop_the_start() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("pg");
    Postgres::start(fast(&folder)).unwrap().stop();
    let stale = format!(
        "{}\n{}\n1\n5432\n\n127.0.0.1\n1 1\nready\n",
        std::process::id(),
        folder.display()
    );
    fs::write(folder.join("postmaster.pid"), &stale).unwrap();
    // Should the same port come again, Postgres would refuse it for this.
    let lock = folder.join(".s.PGSQL.5432.lock");
    fs::write(&lock, stale).unwrap();

    let postgres = Postgres::start(fast(&folder)).unwrap();
    assert_eq!(query(&postgres.url(), "select 1"), "1");
    assert!(!lock.exists());
}

#[test]
fn postgres_is_reached_by_its_socket_and_by_tcp_where_the_path_is_too_long() {
    let home = tempfile::tempdir().unwrap();
    let through = "select inet_server_addr() is null";
    let near = Postgres::start(fast(&home.path().join("a folder"))).unwrap();
    assert!(near.url().contains("%2Fa%20folder:"), "{}", near.url());
    assert_eq!(query(&near.url(), through), "t");

    let far = Postgres::start(fast(&home.path().join("long".repeat(25)))).unwrap();
    assert!(far.url().contains("@127.0.0.1:"), "{}", far.url());
    assert_eq!(query(&far.url(), through), "f");
}

#[test]
fn a_damaged_folder_is_refused_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let refused = |folder: &Path| {
        let refusal = Postgres::start(fast(folder)).unwrap_err().to_string();
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
        refusal
    };

    let foreign = home.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("photo.jpg"), "not a database").unwrap();
    assert!(refused(&foreign).contains("PG_VERSION is missing"));
    assert_eq!(
        fs::read(foreign.join("photo.jpg")).unwrap(),
        b"not a database"
    );

    let blank = home.path().join("blank");
    fs::create_dir(&blank).unwrap();
    fs::write(blank.join("PG_VERSION"), "").unwrap();
    assert!(refused(&blank).contains("PG_VERSION is empty"));

    let old = home.path().join("old");
    fs::create_dir(&old).unwrap();
    fs::write(old.join("PG_VERSION"), "9.6\n").unwrap();
    assert!(refused(&old).contains("postgresql-9.6"));

    let broken = home.path().join("broken");
    Postgres::start(fast(&broken)).unwrap().stop();
    fs::write(broken.join("global/pg_control"), "garbage").unwrap();
    let refusal = refused(&broken);
    assert!(
        refusal.contains("did not start") && refusal.contains("postgres.log"),
        "{refusal}"
    );
    assert!(
        refusal.contains("pg_control") || refusal.contains("control file"),
        "{refusal}"
    );
}

#[test]
fn damaged_redis_data_is_refused_with_its_own_words() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("redis");
    Redis::start(RedisOptions::new(&folder)).unwrap().stop();
    let parts = fs::read_dir(folder.join("appendonlydir")).unwrap();
    let manifest = parts
        .map(|part| part.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "manifest"))
        .unwrap();
    fs::write(manifest, "garbage\n").unwrap();

    let refusal = Redis::start(RedisOptions::new(&folder))
        .unwrap_err()
        .to_string();
    assert!(refusal.starts_with("redis did not start: "), "{refusal}");
    assert!(
        refusal.contains("redis.log") && refusal.lines().count() == 1,
        "{refusal}"
    );
}

#[test]
fn missing_binaries_name_the_package() {
    let home = tempfile::tempdir().unwrap();
    let empty = vec![home.path().to_owned()];
    let postgres = PostgresOptions {
        bin_dirs: empty.clone(),
        ..fast(&home.path().join("pg"))
    };
    let redis = RedisOptions {
        bin_dirs: empty,
        ..RedisOptions::new(home.path().join("redis"))
    };

    assert_eq!(
        Postgres::start(postgres).unwrap_err().to_string(),
        "postgres 15+ not found: install the Debian package postgresql"
    );
    assert_eq!(
        Redis::start(redis).unwrap_err().to_string(),
        "redis-server not found: install the Debian package redis-server"
    );
    assert!(
        !home.path().join("pg").exists(),
        "nothing is made before the binaries are found"
    );
}

#[test]
fn an_unusable_folder_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let refusal = Postgres::start(fast(&file.join("pg")))
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("cannot be used") && refusal.contains("file/pg"),
        "{refusal}"
    );
}

#[test]
fn a_taken_port_is_named_when_it_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    let postgres = PostgresOptions {
        port: Some(port),
        ..fast(&home.path().join("pg"))
    };
    let refusal = Postgres::start(postgres).unwrap_err();
    assert!(
        matches!(refusal, Error::PortTaken { port: named, .. } if named == port),
        "{refusal}"
    );

    let redis = RedisOptions {
        port: Some(port),
        ..RedisOptions::new(home.path().join("redis"))
    };
    let refusal = Redis::start(redis).unwrap_err();
    assert!(
        matches!(refusal, Error::PortTaken { port: named, .. } if named == port),
        "{refusal}"
    );
}

#[test]
fn an_asked_for_port_is_used() {
    let home = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = RedisOptions {
        port: Some(port),
        ..RedisOptions::new(home.path().join("r"))
    };
    match Redis::start(options) {
        Ok(redis) => assert_eq!(redis.port(), port),
        Err(refusal) => assert!(matches!(refusal, Error::PortTaken { .. }), "{refusal}"),
    }
}

#[test]
fn a_server_that_is_too_slow_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let mut options = fast(&home.path().join("pg"));
    Postgres::start(options.clone()).unwrap().stop();
    options.patience = Duration::ZERO;
    let refusal = Postgres::start(options.clone()).unwrap_err();
    assert!(matches!(refusal, Error::NotReady { .. }), "{refusal}");

    options.patience = Duration::from_secs(60);
    let postgres = Postgres::start(options).unwrap();
    assert_eq!(query(&postgres.url(), "select 1"), "1");
}

#[test]
fn a_cluster_half_made_by_a_killed_start_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("pg");
    let half: PathBuf = home.path().join("pg.new");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();

    let postgres = Postgres::start(fast(&folder)).unwrap();
    assert_eq!(query(&postgres.url(), "select 1"), "1");
    assert!(!half.exists());
}

#[test]
fn a_folder_below_a_private_one_is_reached() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = Postgres::start(fast(&home.path().join("deep/below/pg"))).unwrap();
    assert_eq!(query(&postgres.url(), "select 1"), "1");

    let status = fs::read_to_string(format!("/proc/{}/status", postgres.pid())).unwrap();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .unwrap();
    assert_ne!(
        uid.split_whitespace().next(),
        Some("0"),
        "Postgres never runs as root"
    );
}

#[tokio::test]
async fn a_server_that_dies_by_itself_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let redis = Redis::start(RedisOptions::new(home.path().join("redis"))).unwrap();
    let exited = redis.exited();
    kill(Pid::from_raw(redis.pid()), Signal::SIGKILL).unwrap();
    let how = tokio::time::timeout(Duration::from_secs(10), exited)
        .await
        .unwrap();
    assert!(how.contains("signal"), "{how}");
}

#[tokio::test]
async fn a_server_that_is_stopped_does_not_count_as_dead() {
    let home = tempfile::tempdir().unwrap();
    let redis = Redis::start(RedisOptions::new(home.path().join("redis"))).unwrap();
    let exited = redis.exited();
    redis.stop();
    let waited = tokio::time::timeout(Duration::from_millis(50), exited).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[test]
fn a_missing_setpriv_names_its_package() {
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["postgres", "initdb"] {
        fs::write(
            bin.join(program),
            "#!/bin/sh\necho 'postgres (PostgreSQL) 15.1'\n",
        )
        .unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let held = Command::new(example())
        .arg(home.path())
        .env("PATH", &bin)
        .output()
        .unwrap();
    assert!(!held.status.success());
    let said = String::from_utf8(held.stderr).unwrap();
    assert_eq!(
        said.trim(),
        "setpriv not found: install the Debian package util-linux"
    );
}

#[test]
fn a_folder_that_cannot_be_reached_names_what_bars_the_way() {
    if !nix::unistd::geteuid().is_root() {
        return; // Only root changes user, so nobody else can be barred by a parent folder.
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let held = Command::new("setpriv")
        .args([
            "--bounding-set=-all,+setuid,+setgid,+chown,+fowner,+kill",
            "--inh-caps=-all",
        ])
        .arg(example())
        .arg(home.path().join("data"))
        .output()
        .unwrap();
    assert!(!held.status.success());
    let said = String::from_utf8(held.stderr).unwrap();
    let barred = format!("chmod o+x {}", home.path().display());
    assert!(
        said.contains(&barred) && said.lines().count() == 1,
        "{said}"
    );
}
