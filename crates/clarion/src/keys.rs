//! `clarion keys`: the keys that access tokens are signed with.

use std::path::PathBuf;

use anyhow::Context;
use chassis::migrate::role;
use chassis::settings::{Reader, Source};
use chrono::Utc;
use common::auth::Service as Name;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A role that migrates, or the one of identity; `DATABASE_URL` when absent, else the private
    /// Postgres of a running `clarion up` in CLARION_DATA_DIR
    #[arg(long, global = true)]
    database_url: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Make a new key that takes over in a moment; no request fails and nobody is signed out
    Rotate,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut source = Source::from_process();
    if let Some(url) = args.database_url {
        source = source.with("DATABASE_URL", url);
    }
    let mut read = source.reader();
    let url = database_url(&mut read);
    let url = read.finish(url)?;
    let mut conn = connect(&url)?;
    match args.verb {
        Verb::Rotate => {
            let rotated = identity::operator::rotate(&mut conn, Utc::now())?;
            println!(
                "{} signs from {} on; {} before it retire",
                rotated.kid,
                rotated.signs_from.format("%Y-%m-%d %H:%M:%S UTC"),
                rotated.retired
            );
        }
    }
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

/// A connection that works as identity does.
fn connect(url: &Secret) -> anyhow::Result<PgConnection> {
    let mut conn = PgConnection::establish(url.expose()).context("cannot connect")?;
    let (schema, role) = (Name::Identity.as_str(), role(Name::Identity));
    conn.batch_execute(&format!("SET ROLE {role}; SET search_path TO {schema}"))
        .context("cannot work as identity does")?;
    Ok(conn)
}
