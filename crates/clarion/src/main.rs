//! `clarion`: the whole platform in one process, and the operator's tools.

mod bench;
mod chaos;
mod demo;
mod keys;
mod ledger;
mod migrate;
mod process;
mod rescore;
mod secrets;
mod serve;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser, Debug)]
#[command(
    name = "clarion",
    version,
    about = "Campaigns, leads, analytics and revenue in one stack"
)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run everything in this process, with a private Postgres, Redis and mailbox where no server is given
    Up(up::Args),
    /// Run one service in this process, as its own image does
    Serve(serve::Args),
    /// Make each service's role and schema, and bring the schemas up to date
    Migrate(migrate::Args),
    /// Rotate the keys that access tokens are signed with
    Keys(keys::Args),
    /// See whether messages are held because the database looks restored, and release them
    Ledger(ledger::Args),
    /// Judge hits of the past by the rules of today, and count them anew
    Rescore(rescore::Args),
    /// Do the main job once, through the public API, and check every figure
    Demo(demo::Args),
    /// Measure speeds, each against its limit in the same run
    Bench(bench::Args),
    /// Send a campaign while everything that can break is broken, and account for everybody
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    let done = match Command::parse().verb {
        Verb::Up(args) => up::run(args),
        Verb::Serve(args) => serve::run(args),
        Verb::Migrate(args) => migrate::run(args),
        Verb::Keys(args) => keys::run(args),
        Verb::Ledger(args) => ledger::run(args),
        Verb::Rescore(args) => rescore::run(args),
        Verb::Demo(args) => on_runtime(demo::run(args)),
        Verb::Bench(args) => on_runtime(bench::run(args)),
        Verb::Chaos(args) => on_runtime(chaos::run(args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clarion: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    chassis::process::runtime()?.block_on(work)
}
