//! `clarion demo`: the main job once, through the public API, and every figure compared with what
//! was done.

pub(crate) mod api;
mod checks;
mod console;
mod inbox;
mod people;
mod platform;
mod readers;
mod report;
mod steps;

use std::path::PathBuf;

use anyhow::{Context, bail};
use chassis::settings::Source;

use api::Account;
use people::{Crowd, SHIPPED_PEOPLE};
use platform::Platform;
use report::Outcome;

/// Where a platform usually is.
const USUAL_URL: &str = "http://127.0.0.1:8080";

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The platform to use [CLARION_PUBLIC_URL, http://127.0.0.1:8080]; when none answers at the
    /// usual place, a fresh one is started for the time of the demo
    #[arg(long)]
    url: Option<String>,
    /// Who to sign in as [CLARION_OWNER_EMAIL]; without it a workspace is registered
    #[arg(long, requires = "password")]
    email: Option<String>,
    /// Their password [CLARION_OWNER_PASSWORD]
    #[arg(long, requires = "email")]
    password: Option<String>,
    /// How many people to import and to write to; the shipped file holds 10000
    #[arg(long, default_value_t = SHIPPED_PEOPLE, value_parser = people)]
    leads: usize,
    /// How many of their mails are read, by people and by machines
    #[arg(long, default_value_t = 400)]
    sample: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Only write the file of people that would be imported
    #[arg(long, hide = true)]
    write_csv: Option<PathBuf>,
}

/// Fewer people would leave some of the figures empty, more would take the demo too long.
fn people(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 100..=1_000_000) => Ok(number),
        _ => Err("must be a number from 100 to 1000000".to_owned()),
    }
}

/// Does the main job; fails when a step fails or a figure is not what was done.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(path) = &args.write_csv {
        return std::fs::write(path, Crowd::new(args.leads).csv)
            .with_context(|| format!("cannot write {}", path.display()));
    }
    let stop = chassis::process::stop_on_signal()?;
    let outcome = tokio::select! {
        outcome = on_platform(&args) => outcome?,
        () = stop.cancelled() => bail!("stopped"),
    };
    outcome.print(args.json)?;
    outcome.verdict()
}

async fn on_platform(args: &Args) -> anyhow::Result<Outcome> {
    let source = Source::from_process();
    let mut read = source.reader();
    let settings = (
        read.optional::<String>("CLARION_PUBLIC_URL"),
        read.optional::<String>("CLARION_OWNER_EMAIL"),
        read.optional_secret("CLARION_OWNER_PASSWORD"),
    );
    let (public_url, owner, password) = read.finish(settings)?;
    let url = args
        .url
        .clone()
        .or(public_url)
        .unwrap_or_else(|| USUAL_URL.to_owned());
    let platform = Platform::find_or_start(url.trim_end_matches('/'), args.url.is_some()).await?;
    let given = args.email.clone().zip(args.password.clone());
    let owner = owner.zip(password.map(|password| password.expose().to_owned()));
    let account = match platform.is_fresh() {
        true => None,
        false => given
            .or(owner)
            .map(|(email, password)| Account { email, password }),
    };
    steps::run(&platform.url, account, args.leads, args.sample).await
}
