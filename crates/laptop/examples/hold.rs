//! Starts both servers in the folder given, prints their pids, and stays until it is stopped.

use std::{convert::Infallible, error::Error, path::PathBuf, process::ExitCode, thread};

use laptop::{Postgres, PostgresOptions, Redis, RedisOptions};

fn main() -> ExitCode {
    let Err(error) = hold();
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn hold() -> Result<Infallible, Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: hold <folder>")?);
    let postgres = Postgres::start(PostgresOptions::new(folder.join("postgres")))?;
    let redis = Redis::start(RedisOptions::new(folder.join("redis")))?;
    println!("{} {}", postgres.pid(), redis.pid());
    loop {
        thread::park();
    }
}
