//! `clarion rescore`: judges hits of the past by the rules of today.

use std::path::PathBuf;

use analytics::rescore;
use anyhow::Context;
use chassis::migrate::role;
use chassis::settings::{Reader, Source};
use chrono::NaiveDate;
use common::auth::Service as Name;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The first day, by when hits were received: 2026-03-01; all when absent
    #[arg(long)]
    from: Option<NaiveDate>,
    /// The last day
    #[arg(long)]
    to: Option<NaiveDate>,
    /// A role that migrates, or the one of analytics; `DATABASE_URL` when absent, else the
    /// private Postgres of a running `clarion up` in CLARION_DATA_DIR
    #[arg(long)]
    database_url: Option<String>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut source = Source::from_process();
    if let Some(url) = args.database_url {
        source = source.with("DATABASE_URL", url);
    }
    let mut read = source.reader();
    let url = database_url(&mut read);
    let mut conn = connect(&read.finish(url)?)?;
    let (from, to) = (
        args.from.unwrap_or(NaiveDate::MIN),
        args.to.unwrap_or(NaiveDate::MAX),
    );
    let done = rescore::rescore(&mut conn, from, to, |day, so_far| {
        eprintln!(
            "{day}: {} hits looked at, {} changed",
            so_far.looked_at, so_far.changed
        );
    })?;
    println!(
        "{} hits looked at, {} judged otherwise now",
        done.looked_at, done.changed
    );
    Ok(())
}

fn database_url(read: &mut Reader<'_>) -> Secret {
    let folder = read.or("CLARION_DATA_DIR", PathBuf::from("./.clarion"));
    let private = || {
        let url = laptop::Postgres::url_in(&folder.join("postgres"), "clarion");
        Secret::new(url.unwrap_or_default())
    };
    let url = read.optional_secret("DATABASE_URL").unwrap_or_else(private);
    if url.expose().is_empty() {
        read.refuse(
            "DATABASE_URL",
            "must be set where no `clarion up` with a Postgres of its own runs",
        );
    }
    url
}

/// A connection that works as analytics does.
fn connect(url: &Secret) -> anyhow::Result<PgConnection> {
    let mut conn = PgConnection::establish(url.expose()).context("cannot connect")?;
    let (schema, role) = (Name::Analytics.as_str(), role(Name::Analytics));
    conn.batch_execute(&format!(
        "SET ROLE {role}; SET search_path TO {schema}; SET TIME ZONE 'UTC'"
    ))
    .context("cannot work as analytics does")?;
    Ok(conn)
}
